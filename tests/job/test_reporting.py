"""What a report says of a run is what the run found."""

import json
from dataclasses import replace

import numpy as np
import pytest
from job import example

from stitchrl.findings import Finding, Severity
from stitchrl.job.reporting import build
from stitchrl.job.results import Results
from stitchrl.ope.base import Interval, Label
from stitchrl.ope.conditions import Reason
from stitchrl.ope.evidence import Kind
from stitchrl.ope.intervals import betting
from stitchrl.ope.refusals import FEWEST_GROUPS
from stitchrl.report.format import percent
from stitchrl.report.render import render
from stitchrl.report.schema import Decision, Report
from stitchrl.verdict import Recommendation, recommend

RUNS = ("icu", "few", "external", "continuous")


@pytest.fixture(scope="module", params=RUNS)
def run(request) -> tuple[Results, Report]:
    results = getattr(example, request.param)()
    return results, build(results)


@pytest.fixture(scope="module")
def icu() -> tuple[Results, Report]:
    return example.icu(), build(example.icu())


def bare(results: Results) -> Results:
    """The same log, of which nothing was learned and nothing evaluated."""
    return replace(
        results,
        splits=None,
        fitted=[],
        candidates=[],
        ranking={},
        best=None,
        requests=[],
        certified=0,
        verdicts=[],
        recommendation=recommend([]),
        machine={},
        phases={},
        commands=(),
        truth=None,
        findings=(),
    )


def test_every_run_renders_to_the_same_bytes_and_to_strict_json(run):
    results, report = run

    def refuse(constant: str):
        raise AssertionError(f"{constant} is no JSON")

    text = report.model_dump_json()
    assert Report.model_validate(json.loads(text, parse_constant=refuse)) == report
    assert build(results) == report
    assert render(report) == render(report)


def test_a_run_without_anything_is_a_report_of_the_log_alone():
    report = build(bare(example.icu()))
    assert (report.trust, report.training, report.truth) == (None, None, None)
    assert [policy.name for policy in report.policies] == ["behavior"]
    assert report.decide.decision is Decision.CANNOT_SAY
    assert report.decide.best is report.decide.recommended is report.decide.changes is None
    assert report.decide.headline.startswith("Change nothing: no policy")
    assert report.decide.estimates is not None
    returns = example.icu().certification.returns()
    assert report.decide.estimates.behavior.value == pytest.approx(returns.mean())
    assert "Change nothing" in render(report)


def test_estimates_are_those_of_the_evidence(run):
    results, report = run
    estimates = report.decide.estimates
    assert estimates is not None
    rows = {(r.policy, r.estimator, r.completion): r for r in estimates.rows}
    present = results.judge.certification.present
    assert rows.pop(("behavior", "data", None)).estimate == estimates.behavior
    assert estimates.behavior.value == present.value
    assert present.interval is not None
    shown = (estimates.behavior.low, estimates.behavior.high)
    has_enough = present.groups >= FEWEST_GROUPS  # Else a refusal says that none holds.
    known = (present.interval.low, present.interval.high)
    assert shown == (known if has_enough else (None, None))
    if not has_enough:
        assert all(row.estimate.low is None for row in estimates.rows)
    for verdict in results.verdicts:
        evidence = verdict.evidence
        if evidence.wis is not None:
            row = rows.pop((evidence.name, "WIS", None))
            assert row.estimate.value == evidence.wis
            assert row.ess == evidence.effective_size
            assert row.estimate.n == evidence.groups
            if evidence.lacks_bounds:
                assert row.estimate.low is None and evidence.asymptotic is None
            elif has_enough:
                assert row.estimate.low is not None and evidence.asymptotic is not None
                worst = row.estimate.low - present.interval.high
                # Where propensities are logged, both are of the same episodes.
                is_paired = evidence.asymptotic.method.startswith("paired")
                assert is_paired is (results.dataset.propensity is not None)
                shown = evidence.asymptotic.low
                assert worst < shown if is_paired else worst == pytest.approx(shown)
        assert evidence.fqe is not None
        for completion in ("lower", "behavior", "upper"):
            row = rows.pop((evidence.name, "FQE", completion))
            assert row.estimate.value == getattr(evidence.fqe, completion)
    assert not rows


def test_own_estimates_are_the_judges(icu):
    results, report = icu
    assert report.decide.estimates is not None
    own = {row.policy: row.estimate.value for row in report.decide.estimates.own}
    believed = {c.name: results.judge.own_estimate(c) for c in results.candidates}
    assert own == {name: value for name, value in believed.items() if value is not None}
    assert len(own) == 2


def test_certified_policies_have_verdicts_and_controls_are_evaluated(icu):
    results, report = icu
    names = [verdict.policy for verdict in report.decide.verdicts]
    planned = ["value_iteration"] + [
        f"value_iteration at {share}%" for share in (10, 20, 30, 50)
    ]
    control = next(c.name for c in results.candidates if c.kind == "control")
    assert names == [*planned, "uniform", control]
    assert report.decide.best == "value_iteration"
    by_name = {v.evidence.name: v for v in results.verdicts}
    for shown in report.decide.verdicts:
        found = by_name[shown.policy]
        assert (shown.decision, shown.rule) == (found.decision, found.line)
        if found.evidence.wis is not None and found.evidence.asymptotic is not None:
            assert shown.difference is not None and shown.estimate is not None
            assert shown.estimate.value == found.evidence.wis
            gain = found.evidence.wis - found.evidence.behavior.value
            assert shown.difference.value == gain
            assert found.bound is not None
            assert shown.difference.low == found.bound.low
            assert shown.difference.high == found.bound.high
            assert shown.difference.level == found.bound.level
            assert shown.difference.interval is found.bound.label
            worst = {r.code: r.number for r in shown.reasons}.get("LOWER_BOUND")
            assert worst in (None, shown.difference.low)
    assert report.decide.verdicts[-1].decision is Decision.EVALUATED
    assert not report.decide.verdicts[-1].reasons


def test_verdicts_speak_of_labels(icu):
    _, report = icu
    shown = {verdict.policy: verdict for verdict in report.decide.verdicts}
    pilot = shown["value_iteration at 10%"]
    label = f"{percent(0.1)} tabular value iteration, {percent(0.9)} clinicians"
    assert report.policy(pilot.policy).label == label
    assert "this mixture" in pilot.sentence and label not in pilot.sentence
    assert any(r.sentence.startswith("This mixture is not") for r in pilot.reasons)
    texts = [v.sentence + (v.remedy or "") for v in shown.values()]
    texts += [reason.sentence for v in shown.values() for reason in v.reasons]
    assert not [text for text in texts if "value_iteration" in text or "_dqn" in text]


def test_a_policy_without_own_estimate_has_no_check_of_it(icu):
    results, report = icu
    believes = {c.name: results.judge.own_estimate(c) for c in results.candidates}
    for verdict in report.decide.verdicts:
        codes = {reason.code for reason in verdict.reasons}
        if codes:
            of = report.policy(verdict.policy).of or verdict.policy
            assert ("OVERESTIMATE" in codes) == (believes.get(of) is not None)


def test_where_a_guarantee_decides_its_interval_is_shown(icu):
    results, _ = icu
    verdict = results.verdicts[1]
    guaranteed = Interval(0.01, 0.02, 0.9, Label.GUARANTEED, "betting")
    evidence = replace(verdict.evidence, guaranteed=guaranteed)
    decided = replace(
        verdict,
        evidence=evidence,
        decision=Decision.DEPLOY,
        line=4,
        label=Label.GUARANTEED,
        bound=guaranteed,
    )
    verdicts = [results.verdicts[0], decided, *results.verdicts[2:]]
    report = build(replace(results, verdicts=verdicts, recommendation=recommend(verdicts)))
    shown = report.decide.verdicts[1]
    assert shown.difference is not None and shown.estimate is not None
    assert (shown.difference.low, shown.difference.high) == (0.01, 0.02)
    assert shown.difference.interval is Label.GUARANTEED
    certification = results.judge.certification
    request = results.requests[1]
    policy = results.judge._policy(request.candidate)
    assert policy is not None
    expected = betting(
        certification.weights(policy, request.share),
        certification.returns,
        certification.bounds,
        level=certification.level,
        propensities_known=True,
    )
    assert (shown.estimate.low, shown.estimate.high) == (expected.low, expected.high)
    assert report.decide.headline.startswith("Use it, and go on recording")
    assert "at worst by +1.0 percentage points (guaranteed bound)" in report.decide.headline


HEADLINES = {
    Decision.PILOT: "Try it under supervision: letting tabular value iteration make",
    Decision.COLLECT_MORE_DATA: "Change nothing yet, and collect more data",
    Decision.DO_NOT_DEPLOY: "Do not use it: letting tabular value iteration make",
    Decision.CANNOT_SAY: "Change nothing: this log cannot say whether tabular value",
}


@pytest.mark.parametrize("decision", HEADLINES)
def test_headlines_say_what_to_do(decision: Decision):
    results = example.icu()
    verdict = replace(results.verdicts[1], decision=decision, required_n=1234.0)
    is_used = decision is Decision.PILOT
    name = verdict.evidence.name if is_used else None
    chosen = Recommendation(decision, name, verdict, "")
    decide = build(replace(results, recommendation=chosen)).decide
    assert decide.headline.startswith(HEADLINES[decision])
    assert decide.recommended == name
    assert f"in up to {percent(0.1)} of decisions" in decide.headline
    if decision is Decision.COLLECT_MORE_DATA:
        assert "About 1,300 patients in the whole log would settle it." in decide.headline


def test_where_no_larger_share_was_tried_the_headline_names_none(icu):
    """As where behavior is mixed with a policy that was never tried in full."""
    results, _ = icu
    pilot, *others = results.verdicts[1:]
    judged = [replace(pilot, evidence=verdict.evidence) for verdict in others[:3]]
    verdicts = (pilot, *judged, *others[3:])
    certified = results.certified - 1
    fewer = replace(
        results, requests=results.requests[1:], verdicts=verdicts, certified=certified
    )
    headline = build(fewer).decide.headline
    assert headline.endswith(
        f"in up to {percent(0.5)} of decisions, the largest share tried."
    )


def test_headlines_give_the_range_over_families(icu):
    results, _ = icu
    evidence = replace(results.verdicts[1].evidence, wis=0.815)
    assert evidence.fqe is not None
    fitted = replace(evidence.fqe, behavior=0.797)
    verdict = replace(results.verdicts[1], evidence=replace(evidence, fqe=fitted))
    chosen = Recommendation(Decision.PILOT, verdict.evidence.name, verdict, "")
    said = build(replace(results, recommendation=chosen)).decide.headline
    assert f"to {percent(0.797, 1)} (by FQE) or {percent(0.815, 1)} (by WIS)" in said


def test_a_number_of_a_mixture_stands_under_its_name(icu):
    results, report = icu
    mixed = results.verdicts[1]
    off = Reason("MEANW", False, None, None, "Importance weights average 0.4.")
    verdict = replace(mixed, decision=Decision.CANNOT_SAY, line=1, reasons=(off,))
    chosen = Recommendation(Decision.CANNOT_SAY, None, verdict, "")
    said = build(replace(results, recommendation=chosen)).decide.headline
    label = report.policy(mixed.evidence.name).label
    assert f"Even {label} cannot be judged: Importance weights average 0.4." in said


def test_refusals_of_every_policy_are_those_of_the_run():
    decide = build(example.few()).decide
    assert [refusal.code for refusal in decide.refusals] == ["SINGLE"]
    assert not decide.refusals[0].overridden
    assert "3 independent episodes" in decide.headline
    assert all(verdict.rule == 1 for verdict in decide.verdicts)
    assert build(example.icu()).decide.refusals == ()


def test_forced_errors_are_overridden_refusals():
    results = example.few()
    error = Finding("NONFINITE", Severity.ERROR, "Row 3 is NaN.", "Repair it.")
    forced = results.plan.model_copy(update={"force": True})
    report = build(replace(results, findings=[error], plan=forced))
    assert report.forced
    overridden = [r.code for r in report.decide.refusals if r.overridden]
    assert overridden == ["NONFINITE"]
    assert not build(replace(results, plan=forced)).forced


def test_policies_stand_in_order_and_mixtures_know_theirs(icu):
    results, report = icu
    kinds = [policy.kind for policy in report.policies]
    order = [Kind.BEHAVIOR, Kind.POLICY, Kind.MIXTURE, Kind.CONTROL, Kind.EXTERNAL]
    assert kinds == sorted(kinds, key=order.index)
    labels = [policy.label for policy in report.policies]
    assert labels[:4] == [
        "Clinicians",
        "Tabular value iteration",
        *[p.label for p in report.policies[2:4]],
    ]
    assert {"Behavior cloning (learning rate 0.003)", "Double DQN"} < set(labels)
    assert {p.of for p in report.policies if p.share} == {"value_iteration"}
    certified = {p.name: p.certified for p in report.policies}
    assert all(certified[c.name] == c.act for c in results.candidates)


def test_the_estimand_says_what_is_counted_and_until_when():
    whole, cut = build(example.icu()).estimand, build(example.continuous()).estimand
    assert "undiscounted, over whole episodes" in whole.sentence
    assert "120" in whole.population and whole.horizon is None
    assert "up to where the log stops" in cut.sentence and cut.horizon == 3
    discounted = build(replace(example.external(), discount=0.9)).estimand
    assert "each decision later counting 0.9 times as much" in discounted.sentence


def test_limits_are_those_that_apply():
    def limits(name: str, **changes) -> str:
        return " ".join(build(replace(getattr(example, name)(), **changes)).limits)

    icu, fitted, cut = limits("icu"), limits("external"), limits("continuous")
    assert "confounding" in icu and "future patients" in icu
    assert "not certified (3)" in icu and "not certified" not in fitted
    assert "estimated probabilities" in fitted and "estimated probabilities" not in icu
    assert f"{percent(1.0)} of episodes were cut off" in cut and "cut off" not in icu
    assert "no bounds were declared" in fitted and "no bounds" not in icu
    assert "looked at 3 times" in limits("few", certification_uses=3)


def test_report_carries_title_date_and_uses(icu):
    results, report = icu
    assert (report.title, report.generated) == ("Sepsis", "2025-11-21")
    assert report.certification_uses == 1
    assert report.decide.margin == results.plan.margin
    assert np.isfinite(report.estimand.discount)
