"""What can be done with a run directory: train first, resume, report, evaluate."""

import json
import shutil
from types import SimpleNamespace
from typing import Any

import pytest
from cli.conftest import SMALL, Finished, call, document

from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.artifacts import save_sealed
from stitchrl.cli.train import _show
from stitchrl.diagnosis import Ailment, Diagnosis
from stitchrl.fit import Fitted
from stitchrl.job.training import said_aside
from stitchrl.plan import MemberPlan
from stitchrl.problems import icu_sepsis
from stitchrl.sources import write_table


@pytest.fixture
def copied(finished: Finished, tmp_path):
    """The finished run, to be changed."""
    return shutil.copytree(finished.directory, tmp_path / "copy")


def test_training_alone_ranks_and_resuming_judges(log, tmp_path):
    out = tmp_path / "run"
    result = call("train", log, *SMALL, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    said = document(result)
    assert [one["name"] for one in said["ranking"]] == ["bc"]
    assert said["ranking"][0]["members"] == [0] and said["stopped"] == {}
    assert said["ailments"] == {}  # Behavior cloning has no Q.
    assert not (out / "report.json").exists()
    metrics = (out / "members" / "000" / "metrics.jsonl").read_bytes()
    result = call("resume", out, "--json")
    assert result.exit_code == 0, result.output
    assert document(result)["certification_uses"] == 1
    assert (out / "members" / "000" / "metrics.jsonl").read_bytes() == metrics
    report = json.loads((out / "report.json").read_text())
    lines = {one["purpose"]: one["line"] for one in report["reproduce"]["commands"]}
    assert lines["The training"].startswith(f"stitchrl train {log} ")
    assert lines["This report"] == f"stitchrl resume {out} --json"


def test_ranking_can_be_left_for_later(log, tmp_path):
    words = ["train", log, *SMALL, "--out", tmp_path, "--no-ranking"]
    plain = call(*words)
    assert plain.exit_code == 0, plain.output
    assert "Policies trained, not ranked: 1" in plain.stdout
    assert "Ranking" not in plain.stderr
    assert document(call(*words, "--json"))["ranking"] == []
    ranked = call("resume", tmp_path, "--json")
    assert ranked.exit_code == 0 and "Ranking policies" in ranked.stderr
    assert document(ranked)["certification_uses"] == 1


def test_another_machine_needs_permission(log, tmp_path):
    out = tmp_path / "run"
    assert call("train", log, *SMALL, "--out", out).exit_code == 0
    plan = json.loads((out / "plan.json").read_text())
    plan["machine"]["processor"] = "another"
    save_sealed(out, {"plan.json": json.dumps(plan).encode()})
    result = call("resume", out)
    assert result.exit_code == 3
    assert "processor was 'another'" in result.stderr
    assert call("resume", out, "--allow-different-threads").exit_code == 0


def test_training_prints_a_table(log, tmp_path):
    words = ["train", log, *SMALL, "--algorithms", "bc,value_iteration", "--out", tmp_path]
    result = call(*words)
    assert "bc" in result.stdout and "value_iteration" in result.stdout
    assert f"For the verdict: stitchrl resume {tmp_path}" in result.stderr


def test_resuming_a_finished_run_shows_it(finished: Finished):
    before = (finished.directory / "estimates.json").read_bytes()
    result = call("resume", finished.directory)
    assert result.exit_code == 0
    assert "was finished before" in result.stderr
    assert f"Report: {finished.directory}/report.html" in result.stdout
    assert (finished.directory / "estimates.json").read_bytes() == before


def test_what_is_no_run_directory_is_refused(tmp_path):
    for verb in ("resume", "evaluate"):
        result = call(verb, tmp_path)
        assert result.exit_code == 3
        assert "is not a run directory: it has no plan.json" in result.stderr


def test_a_report_is_made_again_from_its_numbers(finished: Finished, tmp_path):
    page = tmp_path / "page.html"
    result = call("report", finished.directory, "--html", page)
    assert result.stdout == f"Report: {page}\n"
    assert page.read_bytes() == (finished.directory / "report.html").read_bytes()


def test_no_directory_is_made_for_a_page(finished: Finished, tmp_path):
    place = tmp_path / "slip" / "page.html"
    result = call("report", finished.directory, "--html", place)
    assert result.exit_code == 2
    assert f"there is no directory '{place.parent}'" in result.stderr
    assert not place.parent.exists()


def test_an_altered_report_is_refused(copied):
    numbers = copied / "report.json"
    numbers.write_text(numbers.read_text().replace("Survival", "Longevity"))
    result = call("report", copied)
    assert result.exit_code == 3
    assert "report.json" in result.stderr


def test_judging_anew_counts_and_keeps_what_was_trained(copied):
    weights = sorted((copied / "members").rglob("*.safetensors"))
    before = [file.read_bytes() for file in weights]
    pages = ("report.json", "report.html")
    first = [(copied / page).read_bytes() for page in pages]
    result = call("evaluate", copied, "--discount", "0.9", "--title", "Anew")
    assert result.exit_code == 0, result.output
    assert "certification split has now been used 2 times" in result.stdout
    assert [file.read_bytes() for file in weights] == before
    report = json.loads((copied / "report.json").read_text())
    assert report["title"] == "Anew" and report["estimand"]["discount"] == 0.9
    assert report["certification_uses"] == 2
    kept = [copied / page.replace(".", "-1.") for page in pages]
    assert [page.read_bytes() for page in kept] == first
    plan = json.loads((copied / "plan.json").read_text())
    assert plan["plan"]["discount"] == 0.9 and plan["plan"]["updates"] == 40
    assert document(call("resume", copied, "--json"))["certification_uses"] == 2


def test_another_log_under_the_same_name_is_refused(finished: Finished, copied, tmp_path):
    log = tmp_path / "other.parquet"
    shutil.copy(finished.log, log)
    plan = copied / "plan.json"
    text = plan.read_text().replace(str(finished.log), str(log))
    save_sealed(copied, {"plan.json": text.encode()})
    write_table(icu_sepsis.load().simulate(300, seed=1), log)
    result = call("evaluate", copied)
    assert result.exit_code == 3
    assert "is not the one that" in result.stderr


def test_training_tells_what_ails_a_member(capsys, tmp_path):
    """But not that a control overestimates: it is here to do so."""
    ill = Diagnosis(Ailment.OVERFITTING, 500, {}, "It peaked.")
    plans = [
        MemberPlan(number, "name", algorithm, 0, {})
        for number, algorithm in enumerate([DiscreteCQL(), DoubleDQN(), DiscreteCQL()])
    ]
    well = Diagnosis(Ailment.NONE, 900, {}, "Nothing ails this run.")
    trained: Any = SimpleNamespace(
        fitted=[Fitted(plan, None, [], None, 1.0, 900) for plan in plans],
        diagnoses={0: ill, 1: ill, 2: well},
        candidates=[],
        ranking={},
        set_aside=2,
        aside=said_aside(2),
    )
    _show(trained, tmp_path, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    said = printed["ailments"]
    assert printed["set_aside"] == 2
    assert said.keys() == {"000"}
    assert said["000"]["ailment"] == "overfitting" and said["000"]["updates"] == 500
    _show(trained, tmp_path, as_json=False)
    shown = " ".join(capsys.readouterr().err.split())
    assert "Member 000, overfitting: It peaked. Take the checkpoint at the peak" in shown
    assert "Member 001" not in shown and "Member 002" not in shown
    assert "weights ranked them too low for FQE: 2 more." in shown and not said_aside(0)
