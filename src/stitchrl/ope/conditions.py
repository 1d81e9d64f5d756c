"""The conditions of a verdict, one by one: each a reason with its number and a sentence."""

from collections.abc import Iterator
from dataclasses import dataclass

from stitchrl.ope.agreement import Word
from stitchrl.ope.evidence import SPARE_BITS, Evidence
from stitchrl.ope.planning import ENOUGH_EFFECTIVE, ENOUGH_SHARE
from stitchrl.ope.refusals import FEWEST_EFFECTIVE

ERROR = 0.05  # One-sided, of all candidates together.
MEAN_WEIGHT = (0.8, 1.25)
UNSEEN = 0.01
CALIBRATION = 0.05


@dataclass(frozen=True)
class Reason:
    """One condition, whether it held, and the number it was held against."""

    code: str
    passed: bool
    number: float | None
    threshold: str | None  # In words that follow the number: "at least 200".
    sentence: str


def refused(evidence: Evidence) -> list[Reason]:
    """Line 1: refusals. Too small an ESS is a matter of distance, hence of line 2."""
    return [
        Reason(refusal.code, False, None, None, refusal.message)
        for refusal in evidence.refusals
        if refusal.code != "ESS_LOW"
    ]


def distance(evidence: Evidence) -> Iterator[Reason]:
    """Line 2: ESS ≥ 10 and KL ≤ log2 n + 3 bits, as far as they are known."""
    size, bits, limit = evidence.effective_size, evidence.kl_bits, evidence.log_bits
    if size is not None:
        yield Reason(
            "ESS_LOW",
            not evidence.has_few_effective,
            size,
            f"at least {FEWEST_EFFECTIVE:.0f}",
            f"{size:,.1f} of {evidence.groups:,} independent episodes effectively speak "
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


def not_worse(evidence: Evidence, margin: float) -> Reason:
    """Line 3: the upper bound of Δ is not below -margin."""
    high = min((interval.high for interval in evidence.differences), default=None)
    passed = high is None or high >= -margin
    sentence = f"{evidence.name} is not shown to be worse than the present behavior."
    if high is not None and not passed:
        sentence = (
            f"{evidence.name} is worse than the present behavior, by at least {-high:.3g}."
        )
    return Reason("WORSE", passed, high, f"at least {0.0 - margin:.3g}", sentence)


def better(evidence: Evidence, margin: float) -> Reason:
    """Line 4: the lower bound of Δ is above the margin."""
    low = max((interval.low for interval in evidence.differences), default=None)
    passed = low is not None and low > margin
    name = evidence.name
    if low is not None and passed:
        sentence = f"{name} is better than the present behavior by at least {low:.3g}."
    else:
        at_worst = "" if low is None else f"; at worst the difference is {low:.3g}"
        sentence = f"{name} is not shown to be better than the present behavior{at_worst}."
    return Reason("LOWER_BOUND", passed, low, f"above {margin:.3g}", sentence)


def trustworthy(evidence: Evidence) -> Iterator[Reason]:
    """Line 4: everything else that must hold before a bound is believed."""
    name, n = evidence.name, evidence.groups
    size, enough = evidence.effective_size, max(ENOUGH_EFFECTIVE, ENOUGH_SHARE * n)
    yield Reason(
        "ESS",
        size is not None and size >= enough,
        size,
        f"at least {enough:,.0f}",
        "There are no importance weights."
        if size is None
        else f"{size:,.0f} of {n:,} independent episodes effectively speak about {name}.",
    )
    mean, (least, most) = evidence.mean_weight, MEAN_WEIGHT
    yield Reason(
        "MEAN_WEIGHT",
        mean is not None and least <= mean <= most,
        mean,
        f"between {least} and {most}",
        "There are no importance weights."
        if mean is None
        else f"Importance weights average {mean:.3f}; they should average 1.",
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
    yield Reason(
        "AGREEMENT",
        met is not None and met.word is Word.AGREE,
        None if met is None else met.spread,
        "below 0.1",
        "Methods could not be compared." if met is None else met.sentence,
    )
    error = evidence.calibration_error
    yield Reason(
        "CALIBRATION",
        not evidence.has_fitted_behavior if error is None else error < CALIBRATION,
        error,
        f"below {CALIBRATION}",
        _calibrated(evidence),
    )
    yield _corrected(evidence)


def better_by_all(evidence: Evidence) -> Reason:
    """Line 5: every family's point estimate is above J(π_β)."""
    points, now = evidence.points, evidence.behavior.value
    said = " and ".join(f"{value:.4g} by {family}" for family, value in points.items())
    return Reason(
        "POINTS",
        bool(points) and all(value > now for value in points.values()),
        min(points.values(), default=None),
        f"above {now:.4g}",
        f"{evidence.name} is estimated to be worth {said or 'an unknown amount'}, the "
        f"present behavior {now:.4g}.",
    )


def _calibrated(evidence: Evidence) -> str:
    if evidence.calibration_error is not None:
        off = evidence.calibration_error
        return f"Estimated probabilities of actions are off by {off:.1%} on average."
    if evidence.has_fitted_behavior:
        return "The densities of logged actions were estimated; how well is not known."
    return "The probabilities of logged actions were logged, not estimated."


def _seen(evidence: Evidence) -> Reason:
    share, fqe = evidence.unseen_share, evidence.fqe
    survives = fqe is not None and fqe.lower > evidence.behavior.value
    sentence = "It is not known which of its actions the log never shows."
    if share is not None:
        sentence = (
            f"{share:.2%} of {evidence.name}'s decisions are actions that the log does not "
            "show in such a state"
            + (
                "; even if those turn out as badly as can be, it is better."
                if survives
                else "."
            )
        )
    passed = survives or (share is not None and share < UNSEEN)
    return Reason("UNSEEN", passed, share, f"below {UNSEEN:.0%}", sentence)


def _corrected(evidence: Evidence) -> Reason:
    """Every bound was computed at the error that Bonferroni leaves to each candidate."""
    errors = [(1 - interval.level) / 2 for interval in evidence.differences]
    allowed = ERROR / evidence.candidates
    used = max(errors, default=None)
    return Reason(
        "MULTIPLICITY",
        used is not None and used <= allowed + 1e-9,
        used,
        f"at most {allowed:.3g}",
        "There is no bound."
        if used is None
        else f"Each bound errs with probability {used:.3g}; all {evidence.candidates} "
        f"candidates together may with {ERROR:.0%}.",
    )
