"""Section 1: verdicts, estimates, and the sentence that stands above them."""

from math import isnan
from typing import Literal

from stitchrl.findings import Severity
from stitchrl.job.reporting.changes import changes_of
from stitchrl.job.reporting.headline import deciding, headline
from stitchrl.job.reporting.labels import typeset
from stitchrl.job.reporting.material import BEHAVIOR, Material
from stitchrl.job.reporting.numbers import estimate
from stitchrl.job.reporting.trust import fitted_trust, weighted_trust
from stitchrl.ope.base import Interval
from stitchrl.ope.evidence import Kind
from stitchrl.ope.importance import wis
from stitchrl.ope.intervals import betting
from stitchrl.report.schema import (
    Decide,
    Decision,
    EstimateRow,
    Estimates,
    OwnEstimate,
    Reason,
    Refusal,
    Verdict,
)
from stitchrl.verdict import Verdict as Decided

COMPLETIONS: tuple[Literal["lower", "behavior", "upper"], ...] = (
    "lower",
    "behavior",
    "upper",
)


def decide_section(material: Material) -> Decide:
    """The answer, with everything that it rests on."""
    results = material.results
    recommendation = results.recommendation
    return Decide(
        decision=recommendation.decision,
        headline=headline(material),
        best=best_name(material),
        recommended=recommendation.name,
        margin=material.plan.margin,
        refusals=refusals(material),
        verdicts=[verdict(material, decided) for decided in shown_verdicts(material)],
        estimates=estimates(material),
        changes=changes_of(material),
    )


def best_name(material: Material) -> str | None:
    """First of the ranking; without one, the policy nearest to being deployed."""
    results = material.results
    if results.best is not None:
        return results.best.name
    if results.recommendation.verdict is None:
        return None
    nearest = results.recommendation.verdict.evidence
    is_known = nearest.of is not None and nearest.of in material.evidence
    return nearest.of if is_known else nearest.name


def refusals(material: Material) -> list[Refusal]:
    """Errors in the log that were overridden, then what no policy could be spared."""
    results = material.results
    found: dict[str, Refusal] = {}
    for finding in results.findings:
        if finding.severity is Severity.ERROR and material.plan.force:
            found.setdefault(
                finding.code,
                Refusal(
                    code=finding.code,
                    message=finding.message,
                    remedy=finding.remedy,
                    overridden=True,
                ),
            )
    for refusal in material.common_refusals:
        found.setdefault(
            refusal.code,
            Refusal(
                code=refusal.code,
                message=material.say(refusal.message),
                remedy=typeset(refusal.remedy),
            ),
        )
    return list(found.values())


def shown_verdicts(material: Material) -> list[Decided]:
    """The best candidate and its mixtures, other certified policies, then controls.

    What was neither certified nor is a control has estimates but no verdict.
    """
    results, best = material.results, best_name(material)
    certified = set(results.requests[: results.certified])
    shown = []
    for request, decided in zip(results.requests, results.verdicts):
        is_control = decided.evidence.kind is Kind.CONTROL
        if request in certified or is_control:
            of_best = request.candidate.name == best
            shown.append(
                (is_control, not of_best, request.share < 1, request.share, decided)
            )
    return [decided for *_, decided in sorted(shown, key=lambda entry: entry[:4])]


def verdict(material: Material, decided: Decided) -> Verdict:
    """One verdict with its numbers, in labels instead of names."""
    evidence = decided.evidence
    interval = deciding(decided)
    is_guaranteed = interval is not None and interval is evidence.guaranteed
    value = evidence.wis
    if value is None and evidence.fqe is not None:
        value, interval = evidence.fqe.behavior, None
    own = None if interval is None else _interval(material, evidence.name, is_guaranteed)
    gain = None if value is None else value - evidence.behavior.value
    is_control = decided.decision is Decision.EVALUATED
    return Verdict(
        policy=evidence.name,
        decision=decided.decision,
        label=decided.label,
        rule=decided.line,
        sentence=material.say(decided.sentence, about=evidence.name),
        reasons=[] if is_control else _reasons(material, decided),
        remedy=None if decided.remedy is None else material.say(decided.remedy),
        required_n=_known(decided.required_n),
        stopping_rule=None
        if decided.stopping_rule is None
        else typeset(decided.stopping_rule),
        estimate=estimate(value, own, evidence.groups),
        difference=estimate(gain, interval, evidence.groups),
    )


def _reasons(material: Material, decided: Decided) -> list[Reason]:
    """Every check that applies: what its learner believes, only if it believes anything."""
    name = decided.evidence.name
    believes = material.own_estimate(material.requests[name].candidate) is not None
    return [
        Reason(
            code=reason.code,
            passed=None if reason.passed is None else bool(reason.passed),
            sentence=material.say(reason.sentence, about=name),
            number=_known(reason.number),
            threshold=None if reason.threshold is None else typeset(reason.threshold),
        )
        for reason in decided.reasons
        if believes or reason.code != "OVERESTIMATE" or not reason.passed
    ]


def estimates(material: Material) -> Estimates | None:
    """The mean of the log, WIS and FQE of every request, and what learners believe."""
    present = material.present
    behavior = estimate(present.value, present.interval, present.groups)
    if behavior is None:
        return None
    rows = [
        EstimateRow(
            policy=BEHAVIOR,
            estimator="data",
            estimate=behavior,
            ess=float(present.groups),
        )
    ]
    own = []
    for name, request in material.requests.items():
        rows += _rows(material, name)
        believed = material.own_estimate(request.candidate)
        if request.share == 1 and believed is not None:
            entry = estimate(believed)
            assert entry is not None
            own.append(OwnEstimate(policy=name, estimate=entry))
    return Estimates(behavior=behavior, rows=rows, own=own)


def _rows(material: Material, name: str) -> list[EstimateRow]:
    evidence = material.evidence[name]
    rows = []
    weighted = estimate(
        evidence.wis, _interval(material, name, is_guaranteed=False), evidence.groups
    )
    if weighted is not None:
        rows.append(
            EstimateRow(
                policy=name,
                estimator="WIS",
                estimate=weighted,
                ess=evidence.effective_size,
                trust=weighted_trust(evidence),
            )
        )
    fqe = evidence.fqe
    if fqe is None:
        return rows
    for completion in COMPLETIONS:
        interval = evidence.fqe_interval if completion == "behavior" else None
        entry = estimate(getattr(fqe, completion), interval, n=evidence.groups)
        if entry is not None:
            rows.append(
                EstimateRow(
                    policy=name,
                    estimator="FQE",
                    completion=completion,
                    estimate=entry,
                    trust=fitted_trust(evidence),
                )
            )
    return rows


def _interval(material: Material, name: str, is_guaranteed: bool) -> Interval | None:
    """Of J(π): as in the difference that the verdict looked at."""
    weights = material.weights(material.requests[name])
    if weights is None:
        return None
    judge = material.results.judge
    certification, bounds = judge.certification, judge.certification.bounds
    if is_guaranteed:
        return betting(
            weights,
            certification.returns,
            bounds,
            level=certification.level,
            propensities_known=not certification.behavior.is_fitted,
        )
    return wis(
        judge.dataset,
        weights,
        bounds,
        discount=judge.discount,
        level=certification.level,
    ).interval


def _known(number: float | None) -> float | None:
    """A report has null where evaluation has NaN."""
    return None if number is None or isnan(number) else float(number)
