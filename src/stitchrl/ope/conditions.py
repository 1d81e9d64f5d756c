"""The conditions of a verdict, one by one: each a reason with its number and a sentence."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from stitchrl.ope.agreement import Word
from stitchrl.ope.base import Interval
from stitchrl.ope.evidence import SPARE_BITS, Evidence
from stitchrl.ope.refusals import FEWEST_EFFECTIVE, HEAVIEST_SHAPE

ERROR = 0.05  # One-sided, of all candidates together.
MEAN_WEIGHT = (0.8, 1.25)
UNSEEN = 0.01
CALIBRATION = 0.05


# After which refusals a condition has nothing to rest on; all: every one that is raised.
WEIGHTS_REFUSED = frozenset({"NO_PROP", "BAD_PROP", "SUPPORT", "MEANW", "DET_IS"})
BOUNDS_HOLD = frozenset({"QSANE"})  # Of fitted values alone.
UNKNOWN = {
    "WORSE": "whether it is worse than the present behavior",
    "LOWER_BOUND": "whether it is better than the present behavior",
    "ESS": "how many episodes effectively speak about it",
    "MEAN_WEIGHT": "what importance weights average",
    "TAIL": "how slowly the largest importance weights fall off",
    "UNSEEN": "how many of its decisions are actions that the log does not show",
    "AGREEMENT": "whether methods agree",
    "CALIBRATION": "how well the estimated probabilities of logged actions fit",
    "MULTIPLICITY": "how often bounds err",
    "POINTS": "whether every estimate puts it above the present behavior",
}


@dataclass(frozen=True)
class Reason:
    """One condition, whether it held, and the number it was held against."""

    code: str
    passed: bool | None  # None: not computed, which the rule treats as not passed.
    number: float | None
    threshold: str | None  # In words that follow the number: "at least 200".
    sentence: str


def not_computed(code: str, after: str | None = None) -> Reason:
    """A condition with nothing behind it: neither held nor failed."""
    why = f" after {after}" if after else ""
    return Reason(code, None, None, None, f"Not computed{why}: {UNKNOWN[code]}.")


def _without_interval(code: str, evidence: Evidence) -> Reason:
    """Not computed, and why, where it is known."""
    fewest, size = evidence.bounds.fewest_effective, evidence.effective_size
    if size is None or not evidence.lacks_bounds:
        return not_computed(code)
    return Reason(
        code,
        None,
        None,
        None,
        f"Not computed: {UNKNOWN[code]}. Nothing declared bounds these returns, so that "
        f"an interval needs at least {fewest:.0f} episodes that effectively speak about "
        f"{evidence.name}, and {said(size)} do.",
    )


def without_refused(reasons: list[Reason], evidence: Evidence) -> list[Reason]:
    """What rests on something refused is not computed; the milder of two checks goes.

    A refusal of the mean weight says more than MEAN_WEIGHT, HEAVY more than TAIL; of ESS
    and ESS_LOW the one is enough that failed, else the stricter.
    """
    raised = {reason.code for reason in reasons[: len(refused(evidence))]}
    if evidence.has_few_effective:
        raised.add("ESS_LOW")
    gone = {"MEAN_WEIGHT"} if "MEANW" in raised else set()
    if "HEAVY" in raised:
        gone.add("TAIL")
    gone.add("ESS" if evidence.has_few_effective else "ESS_LOW")
    found = []
    for reason in reasons:
        if reason.code in gone:
            continue
        why = _refused_below(reason.code, raised, evidence)
        if why is not None and reason.passed is not None:
            reason = not_computed(reason.code, why)
        found.append(reason)
    return found


def _refused_below(code: str, raised: set[str], evidence: Evidence) -> str | None:
    """The refusal that takes away what a condition rests on."""
    takes: set[str] = set()
    if code in ("WORSE", "LOWER_BOUND", "MULTIPLICITY"):
        takes = raised - BOUNDS_HOLD
    elif code in ("AGREEMENT", "POINTS"):
        # Without weights, only methods that need none were asked.
        has_weights = evidence.wis is not None
        takes = raised if has_weights else raised - {"DET_IS", "BAD_PROP"}
    elif code in ("ESS", "MEAN_WEIGHT", "TAIL"):
        takes = raised & WEIGHTS_REFUSED
    return min(takes, default=None)


def refused(evidence: Evidence) -> list[Reason]:
    """Line 1: refusals. Too small an ESS is a matter of distance, hence of line 2.

    What only fitted values are blamed for comes last: a log too small for any interval is
    not mended by fitting for longer.
    """
    found = [
        Reason(refusal.code, False, None, None, refusal.message)
        for refusal in evidence.refusals
        if refusal.code != "ESS_LOW"
    ]
    return sorted(found, key=lambda reason: reason.code in BOUNDS_HOLD)


def distance(evidence: Evidence) -> Iterator[Reason]:
    """Line 2: ESS ≥ 10 and KL ≤ log2 n + 3 bits, as far as they are known."""
    size, bits, limit = evidence.effective_size, evidence.kl_bits, evidence.log_bits
    if size is not None:
        yield Reason(
            "ESS_LOW",
            not evidence.has_few_effective,
            size,
            f"at least {FEWEST_EFFECTIVE:.0f}",
            f"{said(size)} of {evidence.groups:,} independent episodes effectively speak "
            f"about {evidence.name}.",
        )
    if bits is not None:
        yield Reason(
            "TOO_FAR",
            not evidence.is_far,
            bits,
            f"at most {limit + SPARE_BITS:.1f}",
            f"{evidence.name} is {bits:.1f} bits per episode away from the log, which has "
            f"{limit:.1f} bits ({evidence.groups:,} independent episodes).",
        )


def upper_bound(evidence: Evidence, margin: float) -> Interval | None:
    """Whose upper end WORSE rests on: the first below -margin.

    Where none is, all say the same, and it is the one that LOWER_BOUND rests on.
    """
    shown = [interval for interval in evidence.differences if interval.high < -margin]
    return shown[0] if shown else lower_bound(evidence, margin)


def lower_bound(evidence: Evidence, margin: float) -> Interval | None:
    """Whose lower end LOWER_BOUND rests on: the first above the margin, else the highest.

    The guaranteed interval comes before the asymptotic one.
    """
    shown = [interval for interval in evidence.differences if interval.low > margin]
    highest = max(evidence.differences, key=lambda interval: interval.low, default=None)
    return shown[0] if shown else highest


def not_worse(evidence: Evidence, margin: float) -> Reason:
    """Line 3: the upper bound of Δ is not below -margin."""
    bound = upper_bound(evidence, margin)
    if bound is None:
        return _without_interval("WORSE", evidence)
    high, passed = bound.high, bound.high >= -margin
    if passed:
        sentence = (
            f"{evidence.name} is not shown to be worse than the present behavior: the "
            f"{bound.label} upper bound of the difference is {said(high)}."
        )
    else:
        sentence = (
            f"{evidence.name} is worse than the present behavior, by at least "
            f"{said(-high)} ({bound.label} bound)."
        )
    return Reason("WORSE", passed, high, f"at least {said(0.0 - margin)}", sentence)


def better(evidence: Evidence, margin: float) -> Reason:
    """Line 4: the lower bound of Δ is above the margin."""
    bound, name = lower_bound(evidence, margin), evidence.name
    if bound is None:
        return _without_interval("LOWER_BOUND", evidence)
    low, passed = bound.low, bound.low > margin
    if passed:
        sentence = (
            f"{name} is better than the present behavior by at least {said(low)} "
            f"({bound.label} bound)."
        )
    else:
        sentence = (
            f"{name} is not shown to be better than the present behavior: the "
            f"{bound.label} lower bound of the difference is {said(low)}."
        )
    return Reason("LOWER_BOUND", passed, low, f"above {said(margin)}", sentence)


def trustworthy(evidence: Evidence) -> Iterator[Reason]:
    """Line 4: everything else that must hold before a bound is believed."""
    name, n = evidence.name, evidence.groups
    size, enough = evidence.effective_size, evidence.enough_effective
    if size is None:
        yield not_computed("ESS")
    else:
        yield Reason(
            "ESS",
            size >= enough,
            size,
            f"at least {enough:,.0f}",
            f"{said(size)} of {n:,} independent episodes effectively speak about {name}.",
        )
    mean, (least, most) = evidence.mean_weight, MEAN_WEIGHT
    if mean is None:
        yield not_computed("MEAN_WEIGHT")
    else:
        yield Reason(
            "MEAN_WEIGHT",
            least <= mean <= most,
            mean,
            f"between {least} and {most}",
            f"Importance weights average {said(mean)}; they should average 1.",
        )
    if evidence.tail_shape is not None and isfinite(evidence.tail_shape):
        shape = evidence.tail_shape
        yield Reason(
            "TAIL",
            not evidence.has_heavy_tail,
            shape,
            f"below {HEAVIEST_SHAPE}",
            f"The largest importance weights fall off with Pareto's k = {said(shape)}.",
        )
    yield _seen(evidence)
    yield Reason(
        "OVERESTIMATE",
        not evidence.overestimates,
        None,
        None,
        f"What {name}'s own learner believes it to be worth is "
        + ("far above" if evidence.overestimates else "not far above")
        + " what the log supports.",
    )
    met = evidence.agreement
    if met is None or len(evidence.points) < 2:
        yield not_computed("AGREEMENT")
    else:
        passed = met.word is Word.AGREE
        yield Reason("AGREEMENT", passed, met.spread, "below 0.1", met.sentence)
    yield _calibrated(evidence)
    yield _corrected(evidence)


def better_by_all(evidence: Evidence) -> Reason:
    """Line 5: every family's point estimate is above J(π_β)."""
    points, now = evidence.points, evidence.behavior.value
    if not points:
        return not_computed("POINTS")
    each = " and ".join(f"{said(value)} by {family}" for family, value in points.items())
    return Reason(
        "POINTS",
        all(value > now for value in points.values()),
        min(points.values()) - now,
        "above 0",
        f"{evidence.name} is estimated to be worth {each}, the present behavior "
        f"{said(now)}.",
    )


def said(number: float) -> str:
    """In three significant digits, whole where it is large: 0.816, 50.7, 11,562."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _calibrated(evidence: Evidence) -> Reason:
    off = evidence.calibration_error
    if off is not None:
        sentence = f"Estimated probabilities of actions are off by {off:.1%} on average."
        return Reason(
            "CALIBRATION", off < CALIBRATION, off, f"below {CALIBRATION}", sentence
        )
    if evidence.has_fitted_behavior:
        return not_computed("CALIBRATION")
    sentence = "The probabilities of logged actions were logged, not estimated."
    return Reason("CALIBRATION", True, None, None, sentence)


def _seen(evidence: Evidence) -> Reason:
    share, fqe = evidence.unseen_share, evidence.fqe
    if share is None:
        return not_computed("UNSEEN")
    survives = fqe is not None and fqe.lower > evidence.behavior.value
    sentence = (
        f"{share:.2%} of {evidence.name}'s decisions are actions that the log does not "
        "show in such a state"
    )
    if survives:
        sentence += "; even if those turn out as badly as can be, it is better"
    passed = survives or share < UNSEEN
    return Reason("UNSEEN", passed, share, f"below {UNSEEN}", f"{sentence}.")


def _corrected(evidence: Evidence) -> Reason:
    """Every bound was computed at the error that Bonferroni leaves to each candidate."""
    errors = [(1 - interval.level) / 2 for interval in evidence.differences]
    allowed = ERROR / evidence.candidates
    if not errors:
        return not_computed("MULTIPLICITY")
    used = max(errors)
    return Reason(
        "MULTIPLICITY",
        used <= allowed + 1e-9,
        used,
        f"at most {allowed:.3g}",
        f"Each bound errs with probability {used:.3g}; all {evidence.candidates} "
        f"candidates together may with {ERROR:.0%}.",
    )
