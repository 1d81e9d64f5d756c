"""How good the episodes of a log are, and how many of them are good."""

from dataclasses import dataclass

import numpy as np
import scipy

from stitchrl.dataset import Dataset
from stitchrl.ope.intervals import student_t

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BEST = 0.1  # Share of episodes that show what can be reached.
NEAR = 0.1  # Of the range of returns: how far below them is still as good.
TWO_MODES = 5 / 9  # Sarle's coefficient of a uniform distribution.


@dataclass(frozen=True)
class Returns:
    """Of episodes, undiscounted unless said otherwise."""

    mean: float
    half_width: float | None  # Of its 95 % interval; None of a single group.
    quantiles: tuple[float, ...]  # At QUANTILES.
    smallest: float
    largest: float
    zero_share: float  # Of episodes.
    rewarded_share: float  # Of decisions: reward differs from the most frequent one.
    bimodality: float  # Sarle's coefficient; above TWO_MODES there may be two kinds.
    expert_episodes: float  # Share within NEAR of the mean of the BEST tenth.
    expert_rows: float  # Share of decisions that are theirs.
    cut_share: float  # Of episodes: truncated.

    @property
    def has_signal(self) -> bool:
        """Whether anything could be learned from rewards."""
        return self.largest > self.smallest


def returns_of(dataset: Dataset, *, discount: float = 1.0) -> Returns:
    """Describe the returns of a log's episodes."""
    found = dataset.returns(discount)
    interval = student_t(found, dataset.episode_group, level=0.95)
    best = np.sort(found)[-max(round(BEST * len(found)), 1) :].mean()
    is_expert = found >= best - NEAR * np.ptp(found)
    values, times = np.unique(dataset.reward, return_counts=True)
    return Returns(
        mean=float(found.mean()),
        half_width=interval.width / 2 if np.isfinite(interval.width) else None,
        quantiles=tuple(np.quantile(found, QUANTILES).tolist()),
        smallest=float(found.min()),
        largest=float(found.max()),
        zero_share=float((found == 0).mean()),
        rewarded_share=float((dataset.reward != values[times.argmax()]).mean()),
        bimodality=_bimodality(found),
        expert_episodes=float(is_expert.mean()),
        expert_rows=float(dataset.lengths[is_expert].sum() / dataset.size),
        cut_share=float(dataset.truncated[dataset.last_row].mean()),
    )


def _bimodality(values: np.ndarray) -> float:
    """(skewness² + 1) / kurtosis; 0 where nothing varies."""
    if np.ptp(values) == 0:
        return 0.0
    skewness = scipy.stats.skew(values)
    return float((skewness**2 + 1) / scipy.stats.kurtosis(values, fisher=False))
