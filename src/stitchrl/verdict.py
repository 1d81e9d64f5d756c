"""From numbers to words: deploy, pilot, collect more data, do not deploy, or cannot say.

The verdict is the first of six lines that holds:
1. a refusal: cannot say; 2. too far from the data: cannot say; 3. shown to be worse: do not
deploy; 4. shown to be better, and every check passes: deploy; 5. every estimate is better:
pilot; 6. else: collect more data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from stitchrl.ope.base import Interval, Label
from stitchrl.ope.conditions import (
    ERROR,
    Reason,
    better,
    better_by_all,
    distance,
    lower_bound,
    not_worse,
    refused,
    said,
    trustworthy,
    upper_bound,
    without_refused,
)
from stitchrl.ope.evidence import ENOUGH_SHARE, Evidence, Kind
from stitchrl.ope.planning import (
    PilotTest,
    expected_pilot,
    pilot_test,
    required_groups,
    round_up,
)

FEW_SPEAK = (
    "Only {:.1%} of logged episodes speak about it, whatever their number: move less far, "
    "or log while following it in part."
)
HOPELESS = 100.0  # Times the log: beyond that nobody collects.
MIXING_HELPS = {"MEANW", "HEAVY", "SUPPORT", "DET_IS", "ESS_LOW", "TOO_FAR"}


class Decision(StrEnum):
    """What the evidence allows, best first."""

    DEPLOY = "deploy"
    PILOT = "pilot"
    COLLECT_MORE_DATA = "collect_more_data"
    DO_NOT_DEPLOY = "do_not_deploy"
    CANNOT_SAY = "cannot_say"
    EVALUATED = "evaluated"  # A control, or the behavior itself: no candidate.


@dataclass(frozen=True)
class Verdict:
    """What follows from the evidence about one policy, and why."""

    evidence: Evidence
    decision: Decision
    line: int | None  # Of the rule: the one that held; None for what is no candidate.
    sentence: str
    reasons: tuple[Reason, ...]  # Every condition, in the order of the rule.
    bound: Interval | None = None  # Of Δ: what WORSE on line 3, else LOWER_BOUND rests on.
    label: Label | None = None  # What the deciding bound rests on.
    remedy: str | None = None  # The cheapest way to a better verdict.
    required_n: float | None = None  # Independent episodes, in the whole log, to settle it.
    kl_factor: float | None = None  # 2^KL: logged episodes per one that looks like π's.
    stopping_rule: str | None = None


def decide(
    evidence: Evidence, *, margin: float = 0.0, mixtures: Sequence[Evidence] = ()
) -> Verdict:
    """The first line of the rule that holds.

    `margin` is the improvement asked for. `mixtures` of the same policy are searched for
    the largest that is not too far. A control, or the behavior itself, gets `evaluated`.
    """
    refusals, far = refused(evidence), list(distance(evidence))
    worse, gain = not_worse(evidence, margin), better(evidence, margin)
    checks, points = list(trustworthy(evidence)), better_by_all(evidence)
    every = [*refusals, *far, worse, gain, *checks, points]
    reasons = tuple(without_refused(every, evidence))
    bits = evidence.kl_bits
    factor = 2.0**bits if bits is not None and bits < 1000 else None
    now = said(evidence.behavior.value)
    lower, upper = lower_bound(evidence, margin), upper_bound(evidence, margin)

    def verdict(decision: Decision, line: int | None, sentence: str, **more) -> Verdict:
        bound = upper if line == 3 else lower
        return Verdict(
            evidence, decision, line, sentence, reasons, bound, kl_factor=factor, **more
        )

    if not evidence.is_candidate:
        what = "a control" if evidence.kind is Kind.CONTROL else "what made the log"
        sentence = f"{evidence.name} is {what}: evaluated, but it cannot be a candidate."
        return verdict(Decision.EVALUATED, None, sentence)
    if refusals:
        remedy = _cheapest(evidence, refusals[0].code, mixtures)
        return verdict(Decision.CANNOT_SAY, 1, refusals[0].sentence, remedy=remedy)
    failed = [reason for reason in far if not reason.passed]
    if failed:
        remedy = _cheapest(evidence, failed[0].code, mixtures)
        sentence = f"Too far from the log to judge: {failed[0].sentence}"
        return verdict(Decision.CANNOT_SAY, 2, sentence, remedy=remedy)
    if worse.passed is False:
        return verdict(
            Decision.DO_NOT_DEPLOY,
            3,
            worse.sentence,
            label=upper.label if upper else None,
            remedy="Keep the present behavior.",
        )
    if gain.passed and all(check.passed for check in checks):
        return verdict(
            Decision.DEPLOY,
            4,
            gain.sentence + f" (present behavior: {now})",
            label=lower.label if lower else None,
        )
    needed = _required(evidence, margin)
    open_question = next((c.sentence for c in checks if not c.passed), "")
    if not gain.passed:
        open_question = gain.sentence
    if points.passed:
        return verdict(
            Decision.PILOT,
            5,
            f"Promising, not proven: {points.sentence} {open_question}",
            remedy=f"Pilot it under supervision. {_enough(evidence, needed)}",
            required_n=_shown(evidence, needed),
            stopping_rule=_stopping_rule(evidence, _shown(evidence, needed)),
        )
    sentence = f"The log does not settle it: {points.sentence} {open_question}"
    remedy = _enough(evidence, needed)
    return verdict(
        Decision.COLLECT_MORE_DATA,
        6,
        sentence,
        remedy=remedy,
        required_n=_shown(evidence, needed),
    )


def decide_all(evidence: Sequence[Evidence], *, margin: float = 0.0) -> list[Verdict]:
    """A verdict on each; the mixtures of a policy are those whose `of` is its name."""
    return [
        decide(one, margin=margin, mixtures=[e for e in evidence if e.of == one.name])
        for one in evidence
    ]


@dataclass(frozen=True)
class Recommendation:
    """What to do after all verdicts."""

    decision: Decision
    name: str | None  # The policy or mixture to do it with; None: keep the behavior.
    verdict: Verdict | None  # Of the candidate nearest to being deployed.
    sentence: str


def recommend(verdicts: Sequence[Verdict]) -> Recommendation:
    """The best decision, then the fewest failed checks; then what settles the question.

    Of policies to deploy, the one whose lower bound of Δ is largest; of policies to pilot,
    the one that needs the fewest episodes: a pilot that can never end helps nobody. Only
    deploy and pilot name a policy; else the present behavior stays.
    """
    candidates = [verdict for verdict in verdicts if verdict.evidence.is_candidate]
    if not candidates:
        return Recommendation(Decision.CANNOT_SAY, None, None, "There is no candidate.")
    rank = list(Decision).index
    best = min(
        candidates,
        key=lambda v: (
            rank(v.decision),
            sum(not check.passed for check in trustworthy(v.evidence)),
            v.required_n or float("inf") if v.decision is Decision.PILOT else 0.0,
            -_lowest(v.evidence),
        ),
    )
    if best.decision in (Decision.DEPLOY, Decision.PILOT):
        return Recommendation(best.decision, best.evidence.name, best, best.sentence)
    sentence = f"Keep the present behavior. {best.sentence}"
    return Recommendation(best.decision, None, best, sentence)


def _lowest(evidence: Evidence) -> float:
    found = evidence.asymptotic or evidence.guaranteed
    return found.low if found is not None else float("-inf")


def _cheapest(evidence: Evidence, code: str, mixtures: Sequence[Evidence]) -> str:
    """The remedy of a refusal; where moving less far helps, how far one may."""
    own = next((r.remedy for r in evidence.refusals if r.code == code), "")
    if code not in MIXING_HELPS:
        return own
    near = [
        mixture
        for mixture in mixtures
        if mixture.share < evidence.share
        and not (mixture.refusals or mixture.has_few_effective or mixture.is_far)
    ]
    if not near:
        return own or "Move less far: mix in more of the present behavior."
    largest = max(near, key=lambda mixture: mixture.share)
    return (
        f"Move less far: {largest.name} ({largest.share:.0%} of the way) is the largest "
        "mixture that the log can judge."
    )


def _shown(evidence: Evidence, needed: float | None) -> float | None:
    """A size that somebody could reach; None where there is none."""
    reach = HOPELESS * evidence.groups / evidence.part
    return needed if needed is not None and needed <= reach else None


def _required(evidence: Evidence, margin: float) -> float | None:
    size = evidence.effective_size
    if evidence.asymptotic is None or evidence.wis is None or not size:
        return None
    return required_groups(
        evidence.asymptotic,
        evidence.wis - evidence.behavior.value,
        margin=margin,
        groups=evidence.groups,
        effective_size=size,
        enough=evidence.least_effective,
        part=evidence.part,
    )


def _enough(evidence: Evidence, needed: float | None) -> str:
    size = evidence.effective_size
    logged = evidence.groups / evidence.part
    if size and evidence.lacks_bounds and size >= ENOUGH_SHARE * evidence.groups:
        least = round_up(logged * evidence.bounds.fewest_effective / size)
        return (
            "Declare what bounds returns: 'reward_bounds', and 'horizon' where nothing is "
            f"discounted. Or log at least about {least:,.0f} independent episodes in all, "
            "before which there is no interval."
        )
    if size and evidence.lacks_bounds:
        return FEW_SPEAK.format(size / evidence.groups)
    if needed is None:
        return (
            "The estimated gain is too close to none to say how much data would settle it."
        )
    if needed > HOPELESS * logged:
        return (
            f"More than {HOPELESS:.0f} times the episodes logged so far would be needed to "
            "tell this difference: keep the present behavior, and look for a policy that "
            "promises more."
        )
    if needed <= logged:
        return "There are enough episodes; what is open is listed among the reasons."
    kept = ""
    if evidence.part < 1:
        kept = f", of which {evidence.part:.0%} are kept for judging"
    sentence = (
        f"About {needed:,.0f} independent episodes in the whole log would settle it "
        f"(about {logged:,.0f} so far{kept}), if the estimate stays."
    )
    if size is not None and size < ENOUGH_SHARE * evidence.groups:
        sentence = FEW_SPEAK.format(size / evidence.groups)
    return sentence


def _stopping_rule(evidence: Evidence, needed: float | None) -> str | None:
    """What to do every week of a pilot: a betting test, with this policy's numbers."""
    test = pilot_test(evidence)
    if test is None:
        return None
    best, bounds = min(evidence.points.values()), test.bounds
    expected = ""
    if test.high < best < bounds.high:
        share, mean = bounds.scale(np.array([best, test.high])).tolist()
        episodes = expected_pilot(share, mean, error=ERROR)
        expected = (
            f" If the policy is worth {said(best)}, adoption takes at most about "
            f"{episodes:,.0f} pilot episodes."
        )
    elif best <= test.high:
        enough = "" if needed is None else f": that needs about {needed:,.0f} in the log"
        expected = (
            " The gain is too small for the pilot to prove it"
            f"{enough}. The pilot shows whether it can be carried out, and logs decisions "
            "of this kind."
        )
    return (
        "Every week, give the outcomes of all pilot episodes so far, in their order, to "
        "the line of Python under Reproduce: it prints two scores, which start at 1. If "
        f"the first, against 'worth at most {said(test.high)}', has reached "
        f"{1 / ERROR:.0f}, adopt the policy; if the second, against 'worth at least "
        f"{said(test.low)}', has, withdraw it; else go on. Either errs with probability at "
        f"most {ERROR:.0%}, however often one looks. The two values are the ends of the "
        f"interval of present behavior.{expected}{_harm(test)}"
    )


def _harm(test: PilotTest) -> str:
    """How long it takes to notice a value as far below the interval as that is wide."""
    value = test.low - (test.high - test.low)
    if value <= test.bounds.low:
        return ""
    share, mean = test.bounds.scale(np.array([value, test.low])).tolist()
    episodes = expected_pilot(1 - share, 1 - mean, error=ERROR)
    return (
        f" If the policy is worth only {said(value)}, withdrawal takes at most about "
        f"{episodes:,.0f} pilot episodes: what must be noticed sooner needs other signs."
    )
