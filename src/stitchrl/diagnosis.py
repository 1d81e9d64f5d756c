"""What ails a training run, from its curves: which checkpoint to take, what to change.

Kumar et al. 2021 (CoRL, arXiv 2109.10813) made decidable: conservative values on logged
actions that rise and then fall mean overfitting, and the best policy is near their peak;
errors that stay high although a wider network gets lower mean underfitting. Their argument
is about conservative methods; of others the same curves are warnings.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import scipy

FEWEST = 14  # Points of a curve: of fewer, no fall in the last LATE can be CERTAIN.
WINDOW = 5  # Of the running median.
DROP = 0.15  # Of the rise before: how far values fall when overfitting.
LATE = 0.3  # Share of the run whose slope counts.
CERTAIN = 0.01  # p of Mann and Kendall's test that it falls.
LONGEST = 10.0  # Of the rise: a longer fall is a way down from where values began.
EARLY = 0.8  # A peak later than this share of the run is no peak.
NEAR = 0.02  # Of the rise: as good as the peak.
HIGH_ERROR = 0.1  # Of the targets' variance: a TD error above it is high.
GAIN = 0.1  # By which a wider network must lower the error.
SLACK = 0.02  # Of its size: by how much regression may miss the largest value.
ALIKE = 0.98  # Cosine of features of consecutive states.
FLAT = 0.5  # Share of the features' rank that must be left.
GROWN = 2.0  # How many times the TD error it then had makes a fall of the rank harmful.


class Ailment(StrEnum):
    """The first that holds is what a run has."""

    OVERESTIMATION = "overestimation"
    COLLAPSE = "collapse"
    OVERFITTING = "overfitting"
    UNDERFITTING = "underfitting"
    NONE = "none"


REMEDIES = {
    Ailment.OVERESTIMATION: "Raise the conservative weight, or take a method that stays "
    "closer to the log. Do not believe its own estimate.",
    Ailment.COLLAPSE: "Regularize the features (DR3), or take layer norm.",
    Ailment.OVERFITTING: "Take the checkpoint at the peak; or a smaller network; or more "
    "data.",
    Ailment.UNDERFITTING: "Take a wider or deeper network, or train for longer.",
    Ailment.NONE: "Take the last checkpoint.",
}
# A penalty on the gap to logged actions raises these: on ICU-Sepsis, where no return is
# above 1, CQL's weights of .05, 1 and 5 gave 1.1, 1.8 and 2.7 after as many updates.
LIFTED = (
    "Lower the conservative weight: values of logged actions are lifted by the penalty "
    "itself. Do not believe its own estimate."
)


class Curves(NamedTuple):
    """What was measured along a run; float64 (k,) each, None if it was not."""

    steps: np.ndarray  # int64 (k,): updates made.
    logged: np.ndarray  # Mean Q of logged actions.
    policy: np.ndarray | None = None  # Mean Q of the policy's actions.
    error: np.ndarray | None = None  # TD error on training rows.
    held_out_error: np.ndarray | None = None  # The same on rows that it never saw.
    gap: np.ndarray | None = None  # Conservative penalty before its weight.
    likeness: np.ndarray | None = None  # Cosine of features of consecutive states.
    rank: np.ndarray | None = None  # Effective rank of the features.


class Attainable(NamedTuple):
    """What returns can be, in the units of Q."""

    highest: float  # What rewards can add up to, stitched in any way; may be infinite.
    usual: float  # 95 % quantile of logged returns-to-go.
    mean: float  # Of them; -inf where they may be more than what a cut episode was worth.
    variance: float  # Of them: the size that errors are held against.


@dataclass(frozen=True)
class Diagnosis:
    """What a run has, and what to do."""

    ailment: Ailment
    checkpoint: int  # Updates after which to take it.
    numbers: dict[str, float]  # What led there.
    sentence: str
    advice: str = ""  # Where it is not the usual one.

    @property
    def remedy(self) -> str:
        return self.advice or REMEDIES[self.ailment]


def diagnose(
    curves: Curves, attainable: Attainable, *, wider: Curves | None = None
) -> Diagnosis:
    """Name the ailment of a run. `wider`: it again, or a fifth of it, at twice the width.

    Raises `ValueError` if there are fewer than ten points.
    """
    if len(curves.steps) < FEWEST:
        raise ValueError(
            f"A diagnosis needs curves of at least {FEWEST} points, but these have "
            f"{len(curves.steps)}. Measure more often: shorter chunks."
        )
    last = int(curves.steps[-1])
    return (
        _overestimates(curves, attainable)
        or _collapses(curves)
        or _overfits(curves, attainable)
        or _underfits(curves, attainable, wider)
        or Diagnosis(Ailment.NONE, last, {}, "Nothing ails this run.")
    )


def _overestimates(curves: Curves, attainable: Attainable) -> Diagnosis | None:
    """Values that no rewards of the log can add up to.

    What usually followed logged actions is no limit: a policy that goes over from bad
    episodes to good ones makes them worth more than that, and a log that was cut, or whose
    behavior ended its episodes early, shows less than can be earned.
    """
    highest = attainable.highest
    limit = highest + SLACK * max(abs(highest), attainable.variance**0.5)
    numbers = {"logged": float(_smooth(curves.logged)[-1]), "highest": highest}
    if curves.policy is not None:
        numbers["policy"] = float(_smooth(curves.policy)[-1])
    for name, called in (("policy", "its own actions"), ("logged", "logged actions")):
        if numbers.get(name, -np.inf) > limit:
            said = (
                f"It values {called} at {numbers[name]:.4g} on average, more than the "
                f"{highest:.4g} that rewards can add up to; 95 % of what was logged after "
                f"an action was at most {attainable.usual:.4g}."
            )
            is_lifted = curves.gap is not None and numbers["logged"] > limit
            return Diagnosis(
                Ailment.OVERESTIMATION,
                int(curves.steps[-1]),
                numbers,
                said,
                advice=LIFTED if is_lifted else "",
            )
    return None


def _collapses(curves: Curves) -> Diagnosis | None:
    """Features that no longer tell states apart, while the TD error, if known, grows.

    Of few observed features a fitted Q needs few directions: the rank falls as it learns.
    """
    last = int(curves.steps[-1])
    if curves.likeness is not None and (alike := float(curves.likeness[-1])) > ALIKE:
        said = f"Features of consecutive states point the same way: cosine {alike:.3f}."
        return Diagnosis(Ailment.COLLAPSE, last, {"likeness": alike}, said)
    if curves.rank is None:
        return None
    left = float(curves.rank[-1] / curves.rank.max())
    if left >= FLAT:
        return None
    if curves.error is not None:
        error = _smooth(curves.error)
        if error[-1] < GROWN * error[curves.rank.argmax()]:
            return None
    said = f"The rank of its features has fallen to {left:.0%} of what it was."
    return Diagnosis(Ailment.COLLAPSE, last, {"rank": left}, said)


def _overfits(curves: Curves, attainable: Attainable) -> Diagnosis | None:
    """Values that rose, peaked, and fell below what was seen to follow logged actions.

    Where rewards are negative, right values lie below where networks begin: those fall too.
    """
    values, steps = _smooth(curves.logged), curves.steps
    peak, rise = int(values.argmax()), _rise(values)
    gained, lost = values[peak] - values[0], values[peak] - values[-1]
    drop = float(lost / rise)
    late = slice(int(len(values) * (1 - LATE)), None)
    slope, *_ = map(float, scipy.stats.theilslopes(values[late], steps[late]))
    _, trend = map(
        float, scipy.stats.kendalltau(steps[late], values[late], alternative="less")
    )
    is_peak = lost < LONGEST * gained and steps[peak] < EARLY * steps[-1]
    is_too_low = drop > DROP and values[-1] < attainable.mean
    if not (is_peak and is_too_low and slope < 0 and trend < CERTAIN):
        return None
    near = int((values >= values[peak] - NEAR * rise).argmax())
    numbers = {"drop": drop, "slope": slope, "p": trend}
    said = (
        f"Its values of logged actions peaked after {steps[peak]:,} updates and then lost "
        f"{lost / gained:.0%} of what they had gained; they are now {values[-1]:.4g}, less "
        f"than the {attainable.mean:.4g} that followed in the log."
    )
    if curves.error is not None and curves.held_out_error is not None:
        ratio = float(curves.held_out_error[-1] / max(curves.error[-1], 1e-12))
        numbers["held_out_ratio"] = ratio
        said += f" Its error on rows that it never saw is {ratio:.1f} times that on others."
    return Diagnosis(Ailment.OVERFITTING, int(steps[near]), numbers, said)


def _underfits(
    curves: Curves, attainable: Attainable, wider: Curves | None
) -> Diagnosis | None:
    if wider is None:
        return None
    for name in ("error", "gap"):
        mine, other = getattr(curves, name), getattr(wider, name)
        if mine is None or other is None:
            continue
        now = float(_smooth(mine)[-1])
        is_high = now > HIGH_ERROR * attainable.variance if name == "error" else True
        has_settled = now > (1 - GAIN) * float(_smooth(mine)[int(len(mine) * (1 - LATE))])
        # After as many updates as the wider one had.
        at = int(np.searchsorted(curves.steps, wider.steps[-1], side="right")) - 1
        before, after = float(_smooth(mine)[max(at, 0)]), float(_smooth(other)[-1])
        if is_high and has_settled and after < before - GAIN * abs(before):
            called = "TD error" if name == "error" else "conservative penalty"
            said = (
                f"Its {called} has settled at {now:.4g}; at twice the width or more it was "
                f"{after:.4g} instead of {before:.4g} after {wider.steps[-1]:,} updates."
            )
            numbers = {name: now, "before": before, "wider": after}
            return Diagnosis(Ailment.UNDERFITTING, int(curves.steps[-1]), numbers, said)
    return None


def _smooth(values: np.ndarray) -> np.ndarray:
    return scipy.ndimage.median_filter(
        np.asarray(values, np.float64), WINDOW, mode="nearest"
    )


def _rise(values: np.ndarray) -> float:
    """What values gained up to their peak; at least their usual distance to the median."""
    spread = float(np.median(np.abs(values - np.median(values))))
    return max(float(values.max() - values[0]), spread, 1e-12)
