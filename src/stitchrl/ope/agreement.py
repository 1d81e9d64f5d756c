"""Whether families of estimators, which fail for different reasons, say the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np

from stitchrl.ope.base import Estimate, Family

CLOSE, FAR = 0.1, 0.25


class Word(StrEnum):
    """How well they agree."""

    AGREE = "agree"
    TENSION = "tension"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Agreement:
    """Distance of the families' values over the range of logged returns."""

    word: Word
    spread: float
    sentence: str


def agreement(estimates: Sequence[Estimate], returns: np.ndarray) -> Agreement:
    """Compare families, each by the median of its estimates.

    R = (largest - smallest median) / (95 % - 5 % quantile of logged returns; their whole
    range where these quantiles are equal). Agree: R < .1 and all intervals overlap;
    tension: R < .25; conflict: else, or where a family has no value.
    """
    of_family: dict[Family, list[Estimate]] = {}
    for estimate in estimates:
        of_family.setdefault(estimate.family, []).append(estimate)
    names = " and ".join(_named(members) for members in of_family.values())
    if len(of_family) < 2:
        return Agreement(Word.AGREE, 0.0, f"Only {names} could be computed.")
    values = np.array([_median(members) for members in of_family.values()])
    if not np.isfinite(values).all():
        return Agreement(Word.CONFLICT, float("inf"), f"One of {names} has no value.")
    low, high = np.quantile(returns, [0.05, 0.95])
    scale = high - low if high > low else np.ptp(returns)
    distance = float(np.ptp(values))
    spread = distance / float(scale) if scale > 0 else (np.inf if distance > 1e-12 else 0.0)
    pairs = [*combinations([e.interval for e in estimates if e.interval], 2)]
    overlap = all(a.low <= b.high and b.low <= a.high for a, b in pairs)
    if spread < CLOSE and overlap:
        word = Word.AGREE
    else:
        word = Word.TENSION if spread < FAR else Word.CONFLICT
    if len(of_family) < len(estimates):
        names = f"The medians of {'; '.join(map(_named, of_family.values()))}"
    apart = f"{names} lie {distance:.3g} apart, {spread:.1%} of the range of returns"
    if not pairs:
        return Agreement(word, float(spread), f"{apart}.")
    if not overlap:
        return Agreement(word, float(spread), f"{apart}, intervals apart.")
    every = all(one.interval for one in estimates)
    whose = "their intervals" if every else "the intervals that there are"
    return Agreement(word, float(spread), f"{apart}, and {whose} overlap.")


def _named(members: Sequence[Estimate]) -> str:
    return ", ".join(member.name for member in members)


def _median(members: Sequence[Estimate]) -> float:
    """Of those that have a value; NaN where none has."""
    known = [member.value for member in members if np.isfinite(member.value)]
    return float(np.median(known)) if known else float("nan")
