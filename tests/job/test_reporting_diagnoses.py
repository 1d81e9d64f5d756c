"""What ails a run is in its report: which seeds, by what numbers, and the way out."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
from job import example

from stitchrl.diagnosis import Ailment
from stitchrl.fit import Fitted
from stitchrl.job.diagnoses import diagnoses_of
from stitchrl.job.reporting import build
from stitchrl.job.results import Results
from stitchrl.problems import icu_sepsis
from stitchrl.report.render import render
from stitchrl.report.schema import AlgorithmTraining, Report
from stitchrl.rewards import RewardTransform

STEPS = np.arange(1, 21) * 100
RISE = 0.5 * (1 - np.exp(-np.arange(20) / 3))
PEAK = np.where(np.arange(20) < 6, RISE, RISE[5] - 0.04 * (np.arange(20) - 5))
QUIET = "Nothing ails these runs by their curves."


@cache
def run() -> Results:
    """Fifteen looks at CQL and IQL, two seeds of each; a control, and one without Q."""
    names = ("bc", "cql", "iql", "double_dqn")
    return example.run(
        icu_sepsis.load().simulate(200, seed=3),
        algorithms={name: example.TINY for name in names},
        tabular=False,
        updates=30,
        chunk=2,
    )


def with_curves(**logged: np.ndarray) -> tuple[Report, str]:
    """The report, had Q of logged actions been so in the first seeds of these."""

    def changed(one: Fitted) -> Fitted:
        if one.plan.name not in logged or one.plan.seed > 0:
            return one
        values = logged[one.plan.name]
        records = [
            {"step": int(step), "q/logged": float(value), "q/policy": float(value)}
            for step, value in zip(STEPS, values, strict=True)
        ]
        return replace(one, records=records)

    results = run()
    assert results.splits is not None
    fitted = [changed(one) for one in results.fitted]
    found = diagnoses_of(fitted, results.splits.train, RewardTransform())
    report = build(replace(results, fitted=fitted, diagnoses=found))
    return report, render(report)


def training(report: Report) -> dict[str, AlgorithmTraining]:
    assert report.training is not None
    return {algorithm.name: algorithm for algorithm in report.training.algorithms}


def panel(page: str, name: str) -> str:
    """What the section on training shows of one algorithm, with no marks but <code>."""
    page = page.split('<section id="training"')[1]
    found = next(
        p
        for p in re.findall(r"<article.*?</article>", page, re.DOTALL)
        if f"<h3>{name}" in p
    )
    return re.sub(r"<(?!/?code)[^>]*>", "", found.split("<figure")[0])


def test_every_member_with_q_is_diagnosed():
    report = build(run())
    found = {
        name: [member.diagnosis for member in algorithm.members]
        for name, algorithm in training(report).items()
    }
    assert found["Behavior cloning"] == [None, None]
    for name in ("CQL", "IQL", "Double DQN"):
        for diagnosis in found[name]:
            assert diagnosis is not None and diagnosis.ailment is Ailment.NONE
            assert diagnosis.updates == 30 and diagnosis.options == ""
    page = render(report)
    assert page.count(QUIET) == 2  # CQL and IQL; of a control nothing is said.
    assert QUIET in panel(page, "IQL") and QUIET not in panel(page, "Double DQN")


def test_too_few_looks_are_no_diagnosis():
    trained = training(build(example.icu()))
    members = [member for one in trained.values() for member in one.members]
    assert members and all(member.diagnosis is None for member in members)
    assert QUIET not in render(build(example.icu()))


def test_a_peak_is_shown_with_what_to_do():
    report, page = with_curves(cql=PEAK)
    first, second = (member.diagnosis for member in training(report)["CQL"].members)
    assert first is not None and second is not None
    assert (first.ailment, first.updates) == (Ailment.OVERFITTING, 500)
    assert first.options == "--updates 500" and second.ailment is Ailment.NONE
    shown = panel(page, "CQL")
    assert "Overfitting. Seed 0: its values of logged actions peaked after 500" in shown
    assert "Training with <code>--updates 500</code> ends near the peak." in shown
    assert shown.count("a smaller network") == 1 and QUIET not in shown
    assert "only a warning" not in page  # It is a conservative method.


def test_of_methods_that_are_not_conservative_it_is_a_warning():
    report, page = with_curves(iql=PEAK)
    options = training(report)["IQL"].members[0].diagnosis
    assert options is not None
    # The length of its schedule stays: the updates are the same ones.
    assert options.options == "--updates 500 --option iql.total_updates=30"
    assert "only a warning" in panel(page, "IQL")
    _, page = with_curves(iql=RISE + 2)
    shown = panel(page, "IQL")
    assert "Overestimation. Seed 0: it values its own actions at 2.4" in shown
    assert "more than the 1 that rewards can add up to" in shown
    assert "only a warning" not in page  # A sum is a sum.


def test_controls_are_not_blamed_twice():
    report, page = with_curves(double_dqn=RISE + 2)
    found = training(report)["Double DQN"].members[0].diagnosis
    assert found is not None and found.ailment is Ailment.OVERESTIMATION
    assert "Overestimation." not in panel(page, "Double DQN")


def test_reports_from_before_can_be_read():
    said = build(run()).model_dump(mode="json")
    for algorithm in said["training"]["algorithms"]:
        del algorithm["caution"]
        for member in algorithm["members"]:
            del member["diagnosis"]
    assert QUIET not in render(Report.model_validate(said))
