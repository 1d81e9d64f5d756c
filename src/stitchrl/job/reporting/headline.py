"""The few sentences at the top: is it better, how sure are we, how far may we move?"""

from stitchrl.job.reporting.labels import lower_first
from stitchrl.job.reporting.material import Material
from stitchrl.ope.base import Interval
from stitchrl.ope.evidence import Evidence
from stitchrl.report.format import about, percent
from stitchrl.verdict import Decision, Verdict


def headline(material: Material) -> str:
    """What to do, why, and how far the log can see, for whoever has to decide."""
    recommendation = material.results.recommendation
    decided = recommendation.verdict
    if decided is None:
        return "Change nothing: no policy was evaluated that could be deployed."
    first = SENTENCES[recommendation.decision](material, decided)
    return f"{first} {_reach(material, decided)}".strip()


def following(material: Material, evidence: Evidence) -> str:
    """How to do it: "letting IQL make 30 % of decisions"."""
    request = material.requests[evidence.name]
    label = material.inside(request.candidate)
    if request.share == 1:
        return f"following {label}"
    return f"letting {label} make {percent(request.share)} of decisions"


def _deploy(material: Material, decided: Verdict) -> str:
    evidence = decided.evidence
    interval = deciding(decided)
    sure = ""
    if interval is not None:
        least = material.amounts.gain(interval.low)
        sure = f", at worst by {least} ({interval.label} bound)"
    return (
        f"Use it, and go on recording: {following(material, evidence)} improves the "
        f"{_outcome(material)} {_from_to(material, evidence)}{sure}."
    )


def _pilot(material: Material, decided: Verdict) -> str:
    evidence = decided.evidence
    return (
        f"Try it under supervision: {following(material, evidence)} probably improves the "
        f"{_outcome(material)} {_from_to(material, evidence)}, but it is not proven"
        f"{_open(material, decided)}."
    )


def _collect(material: Material, decided: Verdict) -> str:
    evidence, needed = decided.evidence, decided.required_n
    enough = ""
    if needed is not None and needed > evidence.groups / evidence.part:
        units = material.plan.group_name
        enough = f" About {about(needed)} {units} in the whole log would settle it."
    return (
        "Change nothing yet, and collect more data: this log leaves open whether "
        f"{following(material, evidence)} improves the {_outcome(material)}"
        f"{_open(material, decided)}.{enough}"
    )


def _do_not(material: Material, decided: Verdict) -> str:
    evidence, interval = decided.evidence, deciding(decided)
    least = ""
    if interval is not None:
        least = f", by at least {material.amounts.gain(-interval.high).lstrip('+')}"
    return (
        f"Do not use it: {following(material, evidence)} would worsen the "
        f"{_outcome(material)} {_from_to(material, evidence)}{least}."
    )


def _cannot(material: Material, decided: Verdict) -> str:
    results = material.results
    candidate = material.requests[decided.evidence.name].candidate
    certified = results.requests[: results.certified]
    ways = sum(request.candidate is candidate for request in certified)
    failed = [reason for reason in decided.reasons if reason.passed is False]
    why = material.say(failed[0].sentence if failed else decided.sentence)
    label = material.labels[decided.evidence.name]
    common = {refusal.code for refusal in material.common_refusals}
    is_of_log = bool(failed) and failed[0].code in common
    if decided.evidence.share < 1 and label not in why and not is_of_log:
        why = f"Even {label} cannot be judged: {why}"
    parts = ", in part or in full" if ways > 1 else ""
    return (
        f"Change nothing: this log cannot say whether {material.inside(candidate)} is "
        f"better than {material.behavior}{parts}. {why}"
    )


SENTENCES = {
    Decision.DEPLOY: _deploy,
    Decision.PILOT: _pilot,
    Decision.COLLECT_MORE_DATA: _collect,
    Decision.DO_NOT_DEPLOY: _do_not,
    Decision.CANNOT_SAY: _cannot,
}


def _reach(material: Material, decided: Verdict) -> str:
    """How far the log can see: the largest share of a policy that it could judge."""
    results = material.results
    source = decided.evidence.of or decided.evidence.name
    steps = [
        (request.share, verdict.line)
        for request, verdict in zip(results.requests[: results.certified], results.verdicts)
        if request.candidate.name == source
    ]
    judged = [share for share, line in steps if line not in (1, 2)]
    if len(steps) < 2 or not judged:
        return ""
    if max(judged) == 1:
        return "The log can judge it even when followed in full."
    reach = f"The log can judge it in up to {percent(max(judged))} of decisions"
    further = [share for share, _ in steps if share > max(judged)]
    if not further:
        return f"{reach}, the largest share tried."
    return (
        f"{reach}, but not in {percent(min(further))}, the next share tried: its checks "
        "say why."
    )


def _outcome(material: Material) -> str:
    return lower_first(material.plan.outcome)


def _from_to(material: Material, evidence: Evidence) -> str:
    """From 78.4 % to 79.7 % (by FQE) or 81.5 % (by WIS): the lowest and highest."""
    say = material.amounts
    points = sorted(evidence.points.items(), key=lambda point: point[1])
    if not points:
        return ""
    (careful, least), (bold, most) = points[0], points[-1]
    low, high = say.value(least), say.value(most)
    best = high if low == high else f"{low} (by {careful}) or {high} (by {bold})"
    return f"from {say.value(evidence.behavior.value)} to {best}"


def _open(material: Material, decided: Verdict) -> str:
    """How sure we are: the interval of the difference."""
    interval = deciding(decided)
    if interval is None:
        return ""
    width = material.amounts.range(interval.low, interval.high)
    return f" ({percent(interval.level)} interval of the difference: {width})"


def deciding(decided: Verdict) -> Interval | None:
    """The interval of the difference that the verdict's checks used."""
    evidence = decided.evidence
    return decided.bound or evidence.asymptotic or evidence.guaranteed
