"""`stitchrl map`: a proposal on stdout, doubts on stderr."""

import tomllib

from cli.conftest import call, document
from repository import ROOT

from stitchrl.cli.map import REFERENCE
from stitchrl.sources import presets


def visits(path):
    path.write_text(
        "visit,day,age,drug,reward\n1,1,60,low,0\n1,2,61,high,1\n2,1,44,low,0\n"
    )
    return path


def test_a_proposal_is_toml_and_doubts_stand_aside(tmp_path):
    result = call("map", visits(tmp_path / "visits.csv"), "--guess")
    assert result.exit_code == 0
    found = tomllib.loads(result.stdout)
    assert (found["episode"], found["reward"]) == ("visit", "reward")
    assert "'day' counts within each episode: is it the step?" in result.stderr
    assert "is it the step?" not in result.stdout


def test_a_proposal_can_be_written_to_a_file(tmp_path):
    out = tmp_path / "map.toml"
    result = call("map", visits(tmp_path / "visits.csv"), "--guess", "--out", out)
    assert result.stdout == f"Mapping: {out}\n"
    assert tomllib.loads(out.read_text())["episode"] == "visit"


def test_a_mapping_that_exists_is_never_overwritten(tmp_path):
    log, out = visits(tmp_path / "visits.csv"), tmp_path / "map.toml"
    out.write_text('episode = "settled by hand"')
    result = call("map", log, "--guess", "--out", out)
    assert result.exit_code == 2 and result.stdout == ""
    assert f"'{out}' exists already" in result.stderr
    assert "Name another file with --out, or remove" in result.stderr
    assert out.read_text() == 'episode = "settled by hand"'


def test_the_reference_of_keys_is_named_and_exists(tmp_path):
    result = call("map", visits(tmp_path / "visits.csv"), "--guess")
    assert result.stderr.rstrip().endswith(REFERENCE)
    assert (ROOT / REFERENCE).is_file()


def test_a_proposal_as_json(tmp_path):
    said = document(call("map", visits(tmp_path / "visits.csv"), "--guess", "--json"))
    assert tomllib.loads(said["mapping"])["episode"] == "visit"
    assert any("is it the step?" in sentence for sentence in said["unknown"])


def test_presets_are_listed():
    lines = call("map", "--presets").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == presets()
    assert document(call("map", "--presets", "--json")) == {"presets": presets()}


def test_it_must_be_said_what_to_do(tmp_path):
    result = call("map", visits(tmp_path / "visits.csv"))
    assert result.exit_code == 2
    assert "add --guess" in result.stderr
    assert "Say which log" not in result.stderr
    assert "Say which log" in call("map").stderr
