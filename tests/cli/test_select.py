"""`stitchrl select`: a ranking that says what it cannot tell apart, and counted trials."""

import json

from cli.conftest import SMALL, call, document
from repository import ROOT

import stitchrl
from stitchrl.artifacts import verify

GRID = [*SMALL, "--algorithms", "bc,value_iteration"]
TRIALS = ["--budget", 6, "--env", "icu-sepsis"]


def test_a_ranking_says_which_cannot_be_told_apart(log, tmp_path):
    out = tmp_path / "run"
    said = document(call("select", log, *GRID, "--out", out, "--json"))
    names = [one["name"] for one in said["ranking"]]
    assert said["selected"] == names[0] and set(names) == {"bc", "value_iteration"}
    values = [one["value"] for one in said["ranking"]]
    assert values == sorted(values, reverse=True)
    assert all(isinstance(one["behind_at_least"], float) for one in said["ranking"])
    assert (said["episodes_played"], said["environment_steps"]) == (0, 0)
    assert verify(out) == []
    shown = call("select", log, *GRID, "--out", out)
    assert "ranked first" in shown.stdout and "Selected:" in shown.stdout
    assert f"stitchrl resume {out}" in shown.stderr


def test_trials_are_counted_saved_and_not_made_again(log, tmp_path):
    out = tmp_path / "run"
    said = document(call("select", log, *GRID, *TRIALS, "--out", out, "--json"))
    assert said["episodes_played"] == 6 and said["environment_steps"] >= 6
    assert sum(one["trials"] for one in said["ranking"]) == 6
    saved = json.loads((out / "selection.json").read_text())["trials"]
    assert len(saved) == 6 and {trial["returned"] for trial in saved} <= {0.0, 1.0}
    more = [*GRID, "--budget", 8, "--env", "icu-sepsis", "--out", out]
    again = call("select", log, *more)
    assert "Trial 7 of 8" in again.stderr and "Trial 6 of 8" not in again.stderr
    assert json.loads((out / "selection.json").read_text())["trials"][:6] == saved
    assert "8 episodes were played" in again.stdout
    policy = stitchrl.load(out / "selected")
    assert policy.certified["sentence"].startswith("Chosen by trials")
    assert call("resume", out).exit_code == 0


def test_trials_of_other_policies_are_not_thrown_away(log, tmp_path):
    out = tmp_path / "run"
    assert call("select", log, *SMALL, "--out", out).exit_code == 0
    path = out / "selection.json"
    said = json.loads(path.read_text())
    said["trials"] = [{"name": "iql", "returned": 1.0, "steps": 3}]
    stitchrl.artifacts.save_sealed(out, {path.name: json.dumps(said).encode()})
    result = call("select", log, *SMALL, *TRIALS, "--out", out)
    assert result.exit_code == 3
    assert "holds trials of iql" in result.stderr and "--out" in result.stderr


def test_weights_may_leave_few_to_fqe(log, tmp_path):
    out = tmp_path / "run"
    grid = [*GRID, "--keep", 1, "--out", out]
    said = document(call("select", log, *grid, "--json"))
    assert len(said["ranking"]) == 1 and said["set_aside"] == 1
    assert "too low for FQE: 1 more" in call("select", log, *grid).stdout
    report = json.loads(call("resume", out, "--json") and (out / "report.json").read_text())
    notes = [one["note"] for one in report["training"]["algorithms"]]
    assert any("It was set aside" in note for note in notes)


def test_a_budget_needs_a_place(log):
    result = call("select", log, *SMALL, "--budget", 3)
    assert result.exit_code == 2 and "give both" in result.stderr


def test_trials_elsewhere_are_refused_before_any_training(tmp_path):
    examples = ROOT / "examples"
    words = ["--mapping", examples / "map.toml", *TRIALS, "--out", tmp_path / "run"]
    result = call("select", examples / "twenty_rows.csv", *SMALL, *words)
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "has 47 features and 25 discrete actions, this log 4 and 2 discrete" in said
    assert not (tmp_path / "run").exists()


def test_controls_alone_are_no_choice(log, tmp_path):
    words = ["--algorithms", "dqn", "--seeds", 1, "--updates", 4, "-o", "dqn.hidden=8"]
    result = call("select", log, *words, "--out", tmp_path / "run")
    assert result.exit_code != 0 and "Nothing was trained that could be" in result.stderr
