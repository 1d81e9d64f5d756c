"""`stitchrl run`: what it prints, what it leaves, and how it ends."""

import json

import pytest
from cli.conftest import SMALL, Finished, call, document

from stitchrl.artifacts import verify
from stitchrl.cli.run import Required, is_enough
from stitchrl.problems import icu_sepsis
from stitchrl.sources import write_table


def test_a_run_says_its_verdict_and_where_the_report_is(finished: Finished):
    out = finished.result.stdout
    assert "Survival" in out and "Present behavior" in out
    assert f"Report: {finished.directory}/report.html" in out
    assert f"Policy: {finished.directory}/policy" in out
    said = finished.result.stderr
    phases = ["Checking the log", "Training", "Judging on the certification split"]
    assert [said.index(phase) for phase in phases] == sorted(map(said.index, phases))
    assert "100%  bc: update 40 of 40" in said and "all finite" in said


def test_a_run_directory_is_whole(finished: Finished):
    names = "plan.json data.json candidates.json estimates.json report.html report.json"
    for name in names.split():
        assert (finished.directory / name).is_file(), name
    assert verify(finished.directory) == []
    plan = json.loads((finished.directory / "plan.json").read_text())["plan"]
    assert plan["algorithms"] == {"bc": {"hidden": [[8]], "batch_size": [16]}}
    assert (plan["updates"], plan["chunk"], plan["tabular"]) == (40, 2, False)
    report = json.loads((finished.directory / "report.json").read_text())
    commands = [command["line"] for command in report["reproduce"]["commands"]]
    assert commands[0].startswith(f"stitchrl run {finished.log} --algorithms bc")


def test_the_same_run_again_is_only_shown(finished: Finished):
    result = call(*finished.words, "--out", finished.directory, "--json")
    assert result.exit_code == 0
    assert "was finished before" in result.stderr
    said = document(result)
    assert said["certification_uses"] == 1
    assert said["report"] == f"{finished.directory}/report.html"
    assert said["decision"] in ("cannot_say", "collect_more_data", "do_not_deploy", "pilot")
    assert [v["policy"] for v in said["verdicts"]][:2] == ["bc", "bc at 10%"]


def test_another_plan_in_the_same_directory_is_refused(finished: Finished):
    result = call(*finished.words, "--margin", "0.1", "--out", finished.directory)
    assert result.exit_code == 3
    assert "holds a run with another plan" in result.stderr


def test_a_required_verdict_that_is_not_reached_exits_with_1(finished: Finished):
    words = [*finished.words, "--out", finished.directory, "--require", "deploy"]
    assert call(*words).exit_code == 1


@pytest.mark.parametrize(
    ("decision", "required", "enough"),
    [
        ("deploy", "deploy", True),
        ("deploy", "pilot", True),
        ("pilot", "pilot", True),
        ("pilot", "deploy", False),
        ("collect_more_data", "pilot", False),
        ("cannot_say", "pilot", False),
    ],
)
def test_deploy_is_more_than_pilot(decision, required, enough):
    assert is_enough(decision, Required(required)) is enough


def test_a_pilot_can_be_required(finished: Finished):
    words = [*finished.words, "--out", finished.directory, "--json"]
    decision = document(call(*words))["decision"]
    expected = 0 if decision in ("deploy", "pilot") else 1
    assert call(*words, "--require", "pilot").exit_code == expected


def test_a_policy_can_be_judged_without_training(finished: Finished, tmp_path):
    words = ["run", finished.log, "--algorithms", "none", "--policy", "uniform", "--json"]
    result = call(
        *words, "--policy", finished.directory / "policy", "--out", tmp_path / "r"
    )
    assert result.exit_code == 0, result.output
    said = document(result)
    names = {verdict["policy"] for verdict in said["verdicts"]}
    assert names == {"uniform", "run/policy"}
    assert not (tmp_path / "r" / "members").exists()


def test_a_policy_in_columns_of_the_log_is_judged(tmp_path):
    log = tmp_path / "log.csv"
    header = "state_id,action,reward,terminated,propensity,policy_probability."
    rows = [
        f"{i % 2},{'ab'[i % 3 > 0]},{int(i % 3 > 0)},1,{(1 + (i % 3 > 0)) / 3:.6f},0,1"
        for i in range(600)
    ]
    log.write_text(header + "a,policy_probability.b\n" + "\n".join(rows) + "\n")
    words = ["run", log, "--algorithms", "none", "--policy-columns", "--horizon", "1"]
    result = call(*words, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    (verdict,) = document(result)["verdicts"]
    # 400 of 600 rounds did b, with probability 2/3 each, and all of those were worth 1.
    assert verdict["policy"] == "policy columns"
    assert verdict["estimate"]["value"] == pytest.approx(1.0)
    assert not (tmp_path / "run" / "policy").exists()


def test_a_log_with_errors_is_refused_with_findings(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(
        "episode,observation.x,action,reward,terminated,propensity\n"
        "1,0.5,a,1,1,0.5\n2,0.1,b,0,1,-0.5\n"
    )
    result = call("run", log, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 3
    found = document(result)["error"]["findings"]
    wrong = [finding for finding in found if finding["rows"] == [1]]
    assert wrong and "propensity" in wrong[0]["message"].lower()
    assert wrong[0]["message"] in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_log_says_what_is_there(tmp_path):
    (tmp_path / "visits.csv").write_text("a\n1\n")
    result = call("run", tmp_path / "visit.csv")
    assert result.exit_code == 3
    assert "There is no file" in result.stderr
    assert "Did you mean 'visits.csv'?" in result.stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (["--algorithms", "icq"], "there is no 'icq'. Did you mean 'i"),
        (["--algorithms", "value_itration"], "Did you mean 'value_iteration'?"),
        (["--algorithms", "td3_bc"], "'td3_bc' needs continuous actions, but this log"),
        (["-o", "iql.expectile"], "must look like iql.expectile=.7,.9"),
        (
            ["-o", "bc.hiddens=8"],
            "'bc' has no hyper-parameter 'hiddens'. Did you mean 'hidden'?",
        ),
        (
            ["-o", "iql.expectile=.7"],
            "no algorithm of this run is meant. There are: 'bc', 'all'.",
        ),
        (
            ["-o", "all.hiddens=8"],
            "no algorithm of this run is meant. Did you mean 'hidden'?",
        ),
        (["--policy", "nowhere"], "'nowhere' is no policy: give 'uniform' or the path"),
        (["-o", "bc.batch_size=0"], "'bc.batch_size' must be 1 or more, but got 0."),
        (["--policy", "uniforms"], "'uniforms' is no policy: give 'uniform'"),
        (["--algorithms", "none"], "There is nothing to evaluate"),
        (["--discount", "2"], "'discount' of the plan should be less than or equal to 1"),
        (["--plan", "nowhere.toml"], "There is no plan file 'nowhere.toml'."),
    ],
)
def test_wrong_usage_exits_with_2(log, tmp_path, words, said):
    base = [] if "--algorithms" in words else SMALL
    for more in ([], ["--dry-run"]):
        result = call("run", log, *base, *words, "--out", tmp_path / "run", *more)
        assert result.exit_code == 2, result.output
        assert said in result.stderr
        assert result.stdout == ""
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_policy_columns_that_are_not_there_are_missed_at_once(tmp_path, more):
    log = tmp_path / "log.parquet"
    write_table(icu_sepsis.load().simulate(20, seed=0), log)
    words = ["run", log, *SMALL, "--policy-columns", "--out", tmp_path / "run", *more]
    result = call(*words)
    assert result.exit_code == 3
    assert "which columns hold the probabilities of the policy" in result.stderr


@pytest.mark.parametrize("verb", ["run", "train", "demo"])
def test_a_file_is_no_place_for_a_run(log, tmp_path, verb):
    (tmp_path / "file").write_text("")
    words = [verb] if verb == "demo" else [verb, log, *SMALL]
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        result = call(*words, "--out", out)
        assert result.exit_code == 2
        assert f"'{tmp_path / 'file'}' is a file. Name another place" in result.stderr


def test_an_unknown_option_exits_with_2():
    assert call("run", "log.csv", "--patients", "3").exit_code == 2


def test_a_dry_run_warns_as_validation_does(log, tmp_path):
    words = ["run", tmp_path / "few.parquet", *SMALL, "--dry-run"]
    write_table(icu_sepsis.load().simulate(100, seed=0), tmp_path / "few.parquet")
    assert "warning FEW_GROUPS: The log has 100 independent groups" in call(*words).stderr
    said = document(call(*words, "--json"))
    assert "FEW_GROUPS" in [finding["code"] for finding in said["findings"]]
    assert "FEW_GROUPS" not in call("run", log, *SMALL, "--dry-run").stderr


@pytest.mark.parametrize("verb", ["run", "train", "select"])
def test_a_cluster_that_is_not_there_is_missed_before_anything_is_trained(
    log, tmp_path, verb
):
    out = tmp_path / "out"
    words = [verb, log, "--out", out, "--algorithms", "bc"]
    for every in (words, ["resume", out]):
        said = call(*every, "--cluster", "127.0.0.1:1")
        assert said.exit_code == 1
        assert "There is no Ray cluster at '127.0.0.1:1'" in said.stderr
        assert not [*out.glob("members/*/checkpoint")]
