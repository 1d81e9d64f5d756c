"""The last section, only where the process that made the log is known."""

from stitchrl.candidates import Candidate
from stitchrl.job.reporting.material import BEHAVIOR, Material
from stitchrl.job.results import Truth
from stitchrl.ope.evidence import Kind
from stitchrl.report.schema import Estimates, ExactValue, TruthSection


def truth_section(material: Material, estimates: Estimates | None) -> TruthSection | None:
    """Exact values beside what was believed and estimated; None for a real log."""
    truth = material.results.truth
    if truth is None:
        return None
    known = [policy.name for policy in material.policies if policy.name in truth.values]
    return TruthSection(
        values=[
            ExactValue(policy=name, value=truth.values[name], own=_own(material, name))
            for name in known
        ],
        optimum=truth.optimum,
        method=f"Computed by {truth.method}.",
        sentences=[
            *_recommended(material, truth),
            *_overestimates(material, truth),
            *_coverage(material, truth, estimates),
        ],
    )


def _own(material: Material, name: str) -> float | None:
    candidate = material.candidates.get(name)
    return None if candidate is None else material.own_estimate(candidate)


def _recommended(material: Material, truth: Truth) -> list[str]:
    """Whether the advice was good."""
    name, say = material.results.recommendation.name, material.amounts
    now = truth.values.get(BEHAVIOR)
    if name is None or name not in truth.values or now is None:
        return []
    value = truth.values[name]
    return [
        f"What is recommended, {material.labels[name]}, is in truth worth "
        f"{say.value(value)}; the difference to {material.behavior} is "
        f"{say.gain(value - now)}."
    ]


def _overestimates(material: Material, truth: Truth) -> list[str]:
    """By how much controls believe too much."""
    found = []
    for name, candidate in material.candidates.items():
        own = material.own_estimate(candidate)
        if (
            Kind(candidate.kind) is Kind.CONTROL
            and own is not None
            and name in truth.values
        ):
            found.append(_belief(material, candidate, own, truth.values[name]))
    return found


def _belief(material: Material, candidate: Candidate, own: float, value: float) -> str:
    say, label = material.amounts, material.candidate_labels[candidate.name]
    difference = say.gain(abs(own - value)).lstrip("+")
    verb = "exceeds" if own > value else "falls short of"
    return (
        f"{label} believes {say.value(own)} and is worth {say.value(value)}: its own "
        f"estimate {verb} the truth by {difference}."
    )


def _coverage(material: Material, truth: Truth, estimates: Estimates | None) -> list[str]:
    """How many intervals hold the truth, by estimator."""
    found = []
    rows = [] if estimates is None else estimates.rows
    for estimator in dict.fromkeys(row.estimator for row in rows):
        held, missed = 0, []
        for row in rows:
            entry, exact = row.estimate, truth.values.get(row.policy)
            if row.estimator != estimator or exact is None:
                continue
            if entry.low is None or entry.high is None:
                continue
            if entry.low <= exact <= entry.high:
                held += 1
            else:
                missed.append(material.labels.get(row.policy, material.behavior_label))
        every = held + len(missed)
        if estimator == "data" and every:
            verb = "contains" if held else "does not contain"
            found.append(f"The interval of the mean of the log {verb} the exact value.")
        elif every:
            names = f"; not those of {'; '.join(missed)}" if missed else ""
            found.append(
                f"{held} of {every} {estimator} intervals contain the exact value{names}."
            )
    return found
