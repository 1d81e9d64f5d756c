"""From the numbers of evaluation to those of a report: finite, counted, never invented."""

from math import ceil, isfinite

import numpy as np

from stitchrl.ope.base import Interval
from stitchrl.ope.refusals import FEWEST_GROUPS
from stitchrl.plan import Plan
from stitchrl.report.format import MINUS, number, percent
from stitchrl.report.numbers import Estimate, Histogram

MOST_BINS = 40
FEW_VALUES = 12
UNNAMED = Plan.model_fields["outcome"].default  # A return: no probability of anything.


def estimate(
    value: float | None, interval: Interval | None = None, n: int | None = None
) -> Estimate | None:
    """A number with its interval, and the groups behind it; None if it is unknown.

    No interval if that is open, or of so few groups that by the refusal SINGLE none holds.
    """
    if value is None or not isfinite(value):
        return None
    if interval is None or not (isfinite(interval.low) and isfinite(interval.high)):
        return Estimate(value=value, n=n)
    if n is not None and n < FEWEST_GROUPS:
        return Estimate(value=value, n=n)
    return Estimate(
        value=value,
        low=interval.low,
        high=interval.high,
        interval=interval.label,
        level=max(interval.level, 0.0),
        n=n,
    )


def histogram(values: np.ndarray) -> Histogram | None:
    """Every finite value counted: in bins around the values if these are few.

    None if there is no finite value.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    known = np.unique(values)
    if len(known) <= FEW_VALUES:
        counted = _counted(values, _around(known))
        return counted.model_copy(update={"values": tuple(known.tolist())})
    if (known % 1 == 0).all():
        step = ceil((known[-1] - known[0] + 1) / MOST_BINS)
        return _counted(values, np.arange(known[0], known[-1] + step + 1, step))
    bins = int(np.clip(np.sqrt(len(values)), 5, MOST_BINS))
    edges = np.linspace(known[0], known[-1], bins + 1)
    edges[-1] = np.nextafter(edges[-1], np.inf)  # Bins are open on the right.
    return _counted(values, edges)


def probability_histogram(values: np.ndarray, bins: int = 20) -> Histogram:
    """Of probabilities, in equal bins; a probability of 1 is in the last one."""
    edges = np.linspace(0, 1, bins + 1)
    edges[-1] = np.nextafter(1.0, 2.0)
    return _counted(values, edges)


def _around(known: np.ndarray) -> np.ndarray:
    """Edges half way between neighbors, and as far beyond the first and the last."""
    if len(known) == 1:
        return np.array([known[0] - 0.5, known[0] + 0.5])
    middle = (known[:-1] + known[1:]) / 2
    return np.concatenate(
        [[2 * known[0] - middle[0]], middle, [2 * known[-1] - middle[-1]]]
    )


def _counted(values: np.ndarray, edges: np.ndarray) -> Histogram:
    place = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(place, minlength=len(edges) - 1)
    return Histogram(
        edges=edges.tolist(),
        counts=counts.tolist(),
        n=len(values),
        mean=float(values.mean()),
    )


class Amounts:
    """How values are said in sentences: as percentages where a named outcome is 0 or 1."""

    def __init__(self, returns: np.ndarray, discount: float, *, outcome: str):
        is_binary = discount == 1 and bool(np.isin(returns, (0.0, 1.0)).all())
        self.is_share = is_binary and outcome != UNNAMED

    def value(self, value: float) -> str:
        """78.4 %, or 0.784."""
        return percent(value, 1) if self.is_share else number(value)

    def gain(self, gain: float) -> str:
        """+1.4 percentage points, or +0.014."""
        sign = "+" if gain > 0 else ""
        if not self.is_share:
            return f"{sign}{number(gain)}"
        points = 100 * gain
        shown = f"{points:.1f}" if abs(points) >= 0.05 else number(points)
        return f"{sign}{shown.replace('-', MINUS)} percentage points"

    def range(self, low: float, high: float) -> str:
        """−0.4 to +3.1 percentage points."""
        first = self.gain(low).removesuffix(" percentage points")
        return f"{first} to {self.gain(high)}"
