"""Importance weights of whole episodes, in log space, and how much data they leave."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from stitchrl.dataset import Dataset

LARGEST_LOG = 700.0  # exp of more overflows float64.


def log_ratio(
    policy: np.ndarray, propensity: np.ndarray, *, share: float = 1.0
) -> np.ndarray:
    """float64 (size,): log((1 - a) + a π/β) of the logged actions, a = `share`.

    With a < 1 this is the policy that acts by π with probability a at each decision, and
    as the behavior else; a = 0 is the behavior itself, whatever π. -inf where it never
    acts so.
    """
    with np.errstate(divide="ignore", over="ignore"):
        return np.log((1 - share) + share * (policy / propensity))


@dataclass(frozen=True, eq=False)
class Weights:
    """W_i = Π_t π(a_t|s_t) / β(a_t|s_t) of each episode i."""

    log: np.ndarray  # float64 (episodes,): natural logarithm; -inf where W = 0.
    group: np.ndarray  # int64 (episodes,): independent unit of each episode, 0, 1, …

    @classmethod
    def of(cls, dataset: Dataset, log_ratios: np.ndarray) -> "Weights":
        """Sum the log ratios (size,) of each episode."""
        return cls(np.add.reduceat(log_ratios, dataset.first_row), dataset.episode_group)

    @property
    def episodes(self) -> int:
        return len(self.log)

    @cached_property
    def groups(self) -> int:
        """Independent units."""
        return int(self.group.max()) + 1

    @cached_property
    def values(self) -> np.ndarray:
        """float64 (episodes,): W itself, kept below overflow."""
        return np.exp(np.minimum(self.log, LARGEST_LOG))

    @cached_property
    def relative(self) -> np.ndarray:
        """float64 (episodes,): W over the largest W; all 0 if no episode has weight."""
        largest = self.log.max()
        if np.isneginf(largest):
            return np.zeros(self.episodes)
        return np.exp(self.log - largest)

    def sum_by_group(self, values: np.ndarray) -> np.ndarray:
        """float64 (groups,): Σ of per-episode `values` in each group."""
        return np.bincount(self.group, values, minlength=self.groups)

    @cached_property
    def effective_size(self) -> float:
        """ESS = (ΣW)² / ΣW² over groups, in groups; 0 if no episode has weight (Kish)."""
        of_group = self.sum_by_group(self.relative)
        total = of_group.sum()
        return float(total**2 / (of_group**2).sum()) if total > 0 else 0.0

    @cached_property
    def mean(self) -> float:
        """Mean weight of an episode: 1 in expectation if propensities are right."""
        log_mean = scipy.special.logsumexp(self.log) - np.log(self.episodes)
        return float(np.exp(np.minimum(log_mean, LARGEST_LOG)))

    @cached_property
    def mean_error(self) -> float:
        """Standard error of `mean`, groups as units; infinite with a single group."""
        if self.groups < 2:
            return float("inf")
        scale = np.exp(np.clip(self.log.max(), -LARGEST_LOG, LARGEST_LOG))
        residual = self.sum_by_group(self.relative - self.relative.mean())
        correction = self.groups / (self.groups - 1)
        return float(scale * np.sqrt(correction * (residual**2).sum()) / self.episodes)

    @cached_property
    def largest_share(self) -> float:
        """Share of all weight on one group; 0 if no episode has weight."""
        of_group = self.sum_by_group(self.relative)
        total = of_group.sum()
        return float(of_group.max() / total) if total > 0 else 0.0
