"""`stitchrl zoo`: what it lists and what it makes."""

from cli.conftest import call, document

from stitchrl import sources, zoo
from stitchrl.zoo import packages


def test_the_list_names_everything_and_what_is_missing(monkeypatch):
    monkeypatch.setattr(packages, "found_version", lambda package: None)
    result = call("zoo", "list")
    assert result.exit_code == 0
    for name in zoo.ENTRIES:
        assert name in result.stdout
    assert "mujoco 4.0.0" in result.stderr and "stitchrl[zoo]" in result.stderr


def test_the_list_as_json():
    listed = {
        entry["name"]: entry
        for entry in document(call("zoo", "list", "--json"))["datasets"]
    }
    assert listed.keys() == zoo.ENTRIES.keys()
    maze = listed["pointmaze-large"]
    assert maze["needs"]["mujoco"] == "4.0.0" and maze["rows"] == 400_000
    assert maze["score"]["100"]["is"] == "a waypoint controller"


def test_a_log_is_made_that_validates_without_a_mapping(tmp_path):
    out = tmp_path / "sepsis.parquet"
    result = call("zoo", "make", "icu-sepsis", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"Log: {out}\n138,175 decisions, 15,000 episodes")
    assert sources.load(out).content_hash() == zoo.find("icu-sepsis").sha256
    assert call("validate", out).exit_code == 0


def test_nothing_is_overwritten(tmp_path):
    out = tmp_path / "log.parquet"
    out.write_text("mine")
    result = call("zoo", "make", "icu-sepsis", "--out", out)
    assert result.exit_code == 2 and "exists already" in result.stderr
    assert out.read_text() == "mine"


def test_only_a_parquet_file_is_written(tmp_path):
    result = call("zoo", "make", "icu-sepsis", "--out", tmp_path / "log.csv")
    assert result.exit_code == 2 and "end in .parquet" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_named_before_anything_is_made(tmp_path):
    result = call("zoo", "make", "icu-sepsis", "--out", tmp_path / "no" / "log.parquet")
    assert result.exit_code == 2 and "there is no directory" in result.stderr


def test_a_missing_simulator_is_explained(monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "found_version", lambda package: None)
    out = tmp_path / "log.parquet"
    result = call("zoo", "make", "pointmaze-umaze", "--out", out)
    assert result.exit_code == 1 and not out.exists()
    assert "pip install 'stitchrl[zoo]'" in result.stderr


def test_an_unknown_name_is_wrong_usage():
    result = call("zoo", "make", "pointmaze")
    assert result.exit_code == 2 and "Did you mean pointmaze-" in result.stderr
