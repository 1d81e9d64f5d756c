"""Importance weights decision by decision, which stay where they are once episodes end.

That normalizers also count the weights of episodes that are over is what keeps estimates
inside the range of returns: normalized over survivors only, returns in [0, 1] have been
estimated at 6.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.weights import LARGEST_LOG


@dataclass(frozen=True, eq=False)
class StepWeights:
    """W_t = Π_{k≤t} π(a_k|s_k) / β(a_k|s_k) of each row; W_{-1} = 1."""

    log: np.ndarray  # float64 (size,): log W_t; -inf where the policy never came this far.
    step: np.ndarray  # int64 (size,): t.
    first_row: np.ndarray  # int64 (episodes,)
    last_row: np.ndarray  # int64 (episodes,)

    @classmethod
    def of(cls, dataset: Dataset, log_ratios: np.ndarray) -> "StepWeights":
        """Add up log ratios (size,), as of `stitchrl.ope.weights.log_ratio`."""
        step = dataset.step_in_episode
        log = np.array(log_ratios, np.float64)
        order = np.argsort(step, kind="stable")
        edges = np.searchsorted(step[order], np.arange(1, int(step.max()) + 2))
        for begin, end in zip(edges[:-1], edges[1:]):  # All episodes at once.
            rows = order[begin:end]
            log[rows] += log[rows - 1]
        return cls(log, step, dataset.first_row, dataset.last_row)

    @property
    def episodes(self) -> int:
        return len(self.first_row)

    @property
    def lengths(self) -> np.ndarray:
        """int64 (episodes,): decisions in each episode."""
        return self.step[self.last_row] + 1

    @cached_property
    def now(self) -> np.ndarray:
        """float64 (size,): W_t, kept below overflow."""
        return np.exp(np.minimum(self.log, LARGEST_LOG))

    @cached_property
    def before(self) -> np.ndarray:
        """float64 (size,): W_{t-1}."""
        return self._earlier(self.now, 1.0)

    @cached_property
    def shares(self) -> np.ndarray:
        """float64 (size,): W_t / Σ_j W_t of all episodes j, those that are over included.

        NaN at steps at which no episode has weight.
        """
        with np.errstate(invalid="ignore"):
            return np.exp(self.log - self._log_total[self.step])

    @cached_property
    def shares_before(self) -> np.ndarray:
        """float64 (size,): the same of W_{t-1}; 1 / n at the first decision."""
        return self._earlier(self.shares, 1 / self.episodes)

    def frozen_shares(self, columns: int) -> np.ndarray:
        """float64 (episodes, columns): `shares` at t = 0, 1, …, past the ends of episodes.

        Past the longest episode they are as at its end.
        """
        t = np.arange(columns)
        rows = self.first_row[:, None] + np.minimum(t, self.lengths[:, None] - 1)
        total = self._log_total
        with np.errstate(invalid="ignore"):
            return np.exp(self.log[rows] - total[np.minimum(t, len(total) - 1)])

    @cached_property
    def effective_sizes(self) -> np.ndarray:
        """float64 (horizon,): (Σ W_t)² / Σ W_t² over episodes at each t; 0 without weight.

        Each episode stands for itself, whatever group it is of.
        """
        total = self._log_total
        with np.errstate(invalid="ignore"):
            sizes = np.exp(2 * total - self._log_totals(2))
        return np.where(np.isneginf(total), 0.0, sizes)

    def _earlier(self, values: np.ndarray, first: float) -> np.ndarray:
        """float64 (size,): `values` one decision ago, `first` at the first."""
        result = np.roll(values, 1)
        result[self.first_row] = first
        return result

    @cached_property
    def _log_total(self) -> np.ndarray:
        return self._log_totals(1)

    def _log_totals(self, power: int) -> np.ndarray:
        """float64 (horizon,): log Σ_j W_t^power, ended episodes as they ended."""
        lengths, log = self.lengths, power * self.log
        horizon = int(lengths.max())
        alive, ended = np.full(horizon, -np.inf), np.full(horizon + 1, -np.inf)
        np.logaddexp.at(alive, self.step, log)
        np.logaddexp.at(ended, lengths, log[self.last_row])
        return np.logaddexp(alive, np.logaddexp.accumulate(ended)[:-1])
