"""`stitchrl realized`: a policy has run, and its log is held against the promises."""

import json
import shutil

import numpy as np
import pytest
from cli.conftest import Finished, call, document

from stitchrl import bundle
from stitchrl.candidates import Candidate, state_probabilities
from stitchrl.problems import icu_sepsis
from stitchrl.sources import write_table


@pytest.fixture
def copied(finished: Finished, tmp_path):
    """The finished run, to be added to."""
    return shutil.copytree(finished.directory, tmp_path / "run")


@pytest.fixture(scope="module")
def new(finished: Finished, tmp_path_factory):
    """150 patients whom the exported policy has treated."""
    found, icu = bundle.load(finished.directory / "policy"), icu_sepsis.load()
    candidate = Candidate(found.name, "external", found.act_by, found.policy)
    features = np.asarray(icu.features, np.float32)
    acting = state_probabilities(candidate, features, len(icu.action_labels))
    place = tmp_path_factory.mktemp("piloted") / "new.parquet"
    write_table(icu.simulate(150, seed=5, behavior=acting), place)
    return place


def test_a_table_and_a_sentence(copied, new):
    result = call("realized", copied, new)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    head = next(line for line in lines if "Estimator" in line)
    assert head.split() == ["Estimator", "99", "%", "99", "%", "98", "%", "Promise"]
    assert any(line.split()[0] == "FQE" for line in lines if line.strip())
    assert "Behavior cloning: WIS promised " in result.stdout
    assert ", and 150 episodes realized " in result.stdout
    assert f"Record: {copied}/realized.json" in result.stdout
    assert "did not make this log" not in result.stderr


def test_json_is_what_is_recorded(copied, new):
    said = document(call("realized", copied, new, "--json"))
    record = json.loads((copied / "realized.json").read_text())
    assert said.pop("record") == str(copied / "realized.json")
    assert record["entries"] == [said]
    assert said["policy"] == "bc" and said["followed"]["is_plausible"]
    assert {one["estimator"] for one in said["promises"]} == {"WIS", "FQE"}
    assert call("realized", copied, new).exit_code == 0
    assert len(json.loads((copied / "realized.json").read_text())["entries"]) == 1
    assert call("report", copied).exit_code == 0


def test_the_log_of_the_clinicians_is_not_its_own(copied, tmp_path):
    place = tmp_path / "clinicians.parquet"
    write_table(icu_sepsis.load().simulate(150, seed=7), place)
    result = call("realized", copied, place)
    assert result.exit_code == 0
    assert "This policy did not make this log" in result.stderr
    assert "Present behavior: the log's mean promised" in (
        call("realized", copied, place, "--policy", "behavior").stdout
    )


def test_the_log_of_the_run_is_refused(finished: Finished, copied):
    result = call("realized", copied, finished.log, "--json")
    assert result.exit_code == 3
    assert document(result)["error"]["findings"][0]["code"] == "REUSE"
    assert not (copied / "realized.json").exists()


def test_what_it_does_not_know_it_lists(copied, new, tmp_path):
    result = call("realized", copied, new, "--policy", "bcq")
    assert result.exit_code == 2
    assert "the report knows no 'bcq'." in result.stderr
    assert "There are: 'behavior', 'bc', 'bc at 10%', " in result.stderr
    result = call("realized", tmp_path, new)
    assert result.exit_code == 3 and "is not a run directory" in result.stderr
