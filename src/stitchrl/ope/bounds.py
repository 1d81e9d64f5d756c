"""What returns, and returns-to-go, can be at all: from declarations, else from the log."""

from dataclasses import dataclass

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.base import Source

FEWEST_UNBOUNDED = 100.0


@dataclass(frozen=True)
class ReturnBounds:
    """Smallest and largest Σ γ^t r_t of an episode."""

    low: float
    high: float
    source: Source

    def scale(self, returns: np.ndarray) -> np.ndarray:
        """To [0, 1]; all 0 if the bounds leave one value only."""
        return (returns - self.low) / (self.width or 1.0)

    def unscale(self, value: float) -> float:
        """From [0, 1] back."""
        return self.low + value * self.width

    @property
    def width(self) -> float:
        return self.high - self.low

    @property
    def fewest_effective(self) -> float:
        """ESS from which an interval for a weighted mean is given.

        How bad the episodes are that a log lacks is taken from the bounds. Where those are
        read off the log, its worst episode makes the ends of intervals, until enough others
        speak: they would cover too often, or too seldom (`make bench-coverage`, lqg_far).
        """
        return 0.0 if self.source is Source.DECLARED else FEWEST_UNBOUNDED


@dataclass(frozen=True, eq=False)
class ReturnToGoBounds:
    """Smallest and largest Σ_{k≥t} γ^{k-t} r_k still possible at each row."""

    low: np.ndarray  # float64 (size,)
    high: np.ndarray  # float64 (size,)
    final_low: np.ndarray  # float64 (episodes,): after the last row, had it gone on.
    final_high: np.ndarray  # float64 (episodes,)
    source: Source


def return_bounds(dataset: Dataset, discount: float) -> ReturnBounds:
    """Bounds of a whole discounted return: as declared if that says enough, else as logged.

    Declared return bounds are of undiscounted returns: with γ < 1 they bind only rewards of
    one sign. Declared reward bounds bind with a horizon or γ < 1.
    """
    start, none_yet = np.zeros(1, np.int64), np.zeros(1)
    low, high = _declared(dataset, discount, step=start, past=none_yet)
    if np.isfinite(low).all() and np.isfinite(high).all():
        return ReturnBounds(float(low[0]), float(high[0]), Source.DECLARED)
    returns = dataset.returns(discount)
    return ReturnBounds(float(returns.min()), float(returns.max()), Source.DATA)


def return_to_go_bounds(dataset: Dataset, discount: float) -> ReturnToGoBounds:
    """Bounds of the rest of an episode at each row, from what remains of it.

    From reward bounds and remaining steps, and from return bounds less the rewards already
    collected; where these do not bind, the smallest and largest logged return-to-go.
    """
    step = dataset.step_in_episode
    earned = _cumulative(dataset, dataset.reward)
    total = earned[dataset.last_row]
    low, high = _declared(dataset, discount, step=step, past=earned - dataset.reward)
    final = _declared(dataset, discount, step=dataset.lengths, past=total)
    if all(np.isfinite(bound).all() for bound in (low, high, *final)):
        return ReturnToGoBounds(low, high, *final, Source.DECLARED)
    logged = returns_to_go(dataset, discount)
    low, high = logged.min(), logged.max()
    return ReturnToGoBounds(
        np.full(dataset.size, low),
        np.full(dataset.size, high),
        np.full(dataset.episodes, low),
        np.full(dataset.episodes, high),
        Source.DATA,
    )


def returns_to_go(dataset: Dataset, discount: float) -> np.ndarray:
    """float64 (size,): Σ_{k≥t} γ^{k-t} r_k over the logged rest of the episode."""
    result = dataset.reward.copy()
    remaining = dataset.lengths[dataset.episode] - 1 - dataset.step_in_episode
    # Backwards in time, all episodes at once.
    order = np.argsort(remaining, kind="stable")
    edges = np.searchsorted(remaining[order], np.arange(1, remaining.max() + 2))
    for begin, end in zip(edges[:-1], edges[1:]):
        rows = order[begin:end]
        result[rows] += discount * result[rows + 1]
    return result


def _declared(
    dataset: Dataset, discount: float, *, step: np.ndarray, past: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high (n,) after `step` decisions that earned `past`; infinite if open."""
    low = np.full(len(step), -np.inf)
    high = np.full(len(step), np.inf)
    smallest, largest = dataset.reward_bounds or (-np.inf, np.inf)
    if dataset.reward_bounds is not None:
        remaining = np.full(len(step), np.inf)
        if dataset.horizon is not None:
            remaining = np.maximum(dataset.horizon - step, 0).astype(np.float64)
        # The rest may be as short as one decision, or none at the horizon.
        shortest = _geometric(np.minimum(remaining, 1), discount)
        longest = _geometric(remaining, discount)
        low = np.where(smallest < 0, _times(smallest, longest), smallest * shortest)
        high = np.where(largest > 0, _times(largest, longest), largest * shortest)
    if dataset.return_bounds is not None:
        rest_low = dataset.return_bounds[0] - past
        rest_high = dataset.return_bounds[1] - past
        # Discounting shrinks sums of one sign towards 0; others may grow by it.
        if discount == 1.0 or smallest >= 0:
            high = np.minimum(high, rest_high)
        if discount == 1.0 or largest <= 0:
            low = np.maximum(low, rest_low)
    return low, np.maximum(low, high)


def _times(reward: float, steps: np.ndarray) -> np.ndarray:
    return reward * steps if reward else np.zeros(len(steps))


def _geometric(steps: np.ndarray, discount: float) -> np.ndarray:
    """Σ_{k<n} γ^k."""
    return steps if discount == 1.0 else (1 - discount**steps) / (1 - discount)


def _cumulative(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """Running sum within each episode."""
    total = np.cumsum(values)
    before = total[dataset.first_row] - values[dataset.first_row]
    return total - before[dataset.episode]
