"""What policies are worth, held against what their learners believe."""

from typing import Literal

from stitchrl.candidates import Candidate
from stitchrl.job.reporting.material import Material
from stitchrl.job.reporting.numbers import estimate
from stitchrl.ope.evidence import Kind
from stitchrl.report.schema import Worth


def worth_of(material: Material, candidate: Candidate) -> Worth | None:
    """By FQE, else by WIS, as a log can show it; None if it was not evaluated."""
    evidence = material.evidence.get(candidate.name)
    known: list[tuple[Literal["FQE", "WIS"], float | None]] = [
        ("FQE", evidence.fqe.behavior if evidence and evidence.fqe else None),
        ("WIS", evidence.wis if evidence else None),
    ]
    for source, value in known:
        entry = estimate(value)
        if entry is not None:
            return Worth(estimate=entry, source=source)
    return None


def said_worth(material: Material, worth: Worth) -> str:
    """78.1 % by FQE on the certification split."""
    value = material.amounts.value(worth.estimate.value)
    return f"{value} by {worth.source} on the certification split"


def beliefs(material: Material) -> list[str]:
    """What the controls show, and who else believes far more than the log supports."""
    found = []
    for name, candidate in material.candidates.items():
        evidence = material.evidence.get(name)
        worth, own = worth_of(material, candidate), material.own_estimate(candidate)
        is_control = Kind(candidate.kind) is Kind.CONTROL
        is_flagged = evidence is not None and evidence.overestimates
        if worth is None or own is None or not (is_control or is_flagged):
            continue
        value, say = worth.estimate.value, material.amounts
        label = material.candidate_labels[name]
        sentence = (
            f"{label} believes its policy is worth {say.value(own)}. "
            f"It is worth {said_worth(material, worth)}: "
        )
        if own > value:
            sentence += f"{say.gain(own - value).lstrip('+')} too much."
        else:
            sentence += "this time it does not believe too much."
        if is_control:
            sentence += (
                " It is a control: a method made for trying things out, which on a fixed "
                "log never meets the consequences of what it overrates. It cannot be "
                "recommended."
            )
        found.append(sentence)
    return found
