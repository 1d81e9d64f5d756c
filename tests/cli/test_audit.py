"""`stitchrl audit` and `stitchrl advise` on a file."""

from cli.conftest import call, document
from cli.test_validate import many, write


def test_an_audit_is_a_table_or_json(tmp_path):
    log = many(tmp_path / "log.csv")
    shown = call("audit", log)
    assert shown.exit_code == 0
    for word in ("Returns", "Coverage", "Stitching", "Who acted", "Over time"):
        assert word in shown.stdout
    said = document(call("audit", log, "--json"))
    assert (said["decisions"], said["episodes"], said["has_propensities"]) == (
        320,
        160,
        True,
    )
    assert said["returns"]["smallest"] == 0 and said["returns"]["largest"] == 2


def test_advice_depends_on_the_situation(tmp_path):
    log = many(tmp_path / "log.csv")
    said = document(call("advise", log, "--collect", "--cheap", "--safe", "--json"))
    assert said["advice"][0]["code"] == "EXPERIMENT"
    shown = call("advise", log)
    assert shown.exit_code == 0
    assert "Which tool" in shown.stdout and "OFFLINE" in shown.stdout
    assert f"stitchrl run {log}" in shown.stdout.replace("\n", " ")
    assert "Not said: whether more can be collected" in shown.stderr
    settled = call("advise", log, "--no-collect", "--dear", "--safe", "--no-simulator")
    assert "Not said" not in settled.stderr


def test_a_log_with_errors_is_refused(tmp_path):
    log = write(tmp_path / "log.csv", "1,0,nan,a,1,0,0.5\n1,1,2,b,1,1,0.5\n")
    for verb in ("audit", "advise"):
        result = call(verb, log)
        assert result.exit_code == 3 and "NONFINITE" in result.stderr


def test_one_episode_is_described_without_an_interval(tmp_path):
    log = write(tmp_path / "log.csv", "1,0,3,a,1,0,0.5\n1,1,2,b,0,1,0.5\n")
    said = document(call("audit", log, "--json"))
    assert said["returns"]["half_width"] is None
