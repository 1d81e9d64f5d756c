"""MAGIC: fitted values for the far end of an episode, weights for its beginning.

Thomas and Brunskill 2016, arXiv 1604.00923: of estimates that switch from
weights to the model after 0, 1, 2, 4, … decisions, the mixture with the least squared error
as far as it can be told: their covariance, plus the outer product of their biases.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy

from stitchrl.dataset import Dataset
from stitchrl.ope.doubly_robust import RowValues
from stitchrl.ope.step_weights import StepWeights

REPLICATES = 100  # Of the bootstrap of WDR, which is taken for unbiased.
CENTRAL = 0.5  # Share of them that bounds it: outside is bias.
RIDGE = 1e-10  # Of the mean variance: estimates may be exact multiples of each other.


class Blend(NamedTuple):
    """What MAGIC found."""

    value: float
    lengths: np.ndarray  # int64 (k,): decisions weighed before the model takes over.
    estimates: np.ndarray  # float64 (k,): from the model alone to WDR.
    shares: np.ndarray  # float64 (k,): ≥ 0, sum 1.


def magic(
    dataset: Dataset,
    weights: StepWeights,
    values: RowValues,
    *,
    discount: float,
    draws: np.ndarray,
) -> Blend:
    """Blend the model alone up to WDR. NaN where WDR is, and of a single episode.

    `draws` (replicates, episodes) are those of `times_drawn`, about `REPLICATES`: the same
    serve all policies.
    """
    terms = Terms.of(dataset, weights, values, discount=discount)
    lengths = _lengths(terms.horizon)
    parts = terms.switching_after(lengths)
    estimates = parts.sum(axis=1)
    if dataset.episodes < 2 or not np.isfinite(estimates).all():
        nothing = np.full(len(lengths), np.nan)
        return Blend(float("nan"), lengths, estimates, nothing)
    replicates = terms.resampled(draws)
    tail = (1 - CENTRAL) / 2
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    low, high = min(low, estimates[-1]), max(high, estimates[-1])
    bias = estimates - np.clip(estimates, low, high)
    covariance = dataset.episodes * np.cov(parts)  # Of sums of so many parts.
    shares = simplex_minimum(covariance + np.outer(bias, bias))
    return Blend(float(shares @ estimates), lengths, estimates, shares)


def simplex_minimum(matrix: np.ndarray) -> np.ndarray:
    """float64 (k,): the x ≥ 0 with Σ x = 1 that minimizes x' M x, M positive semidefinite.

    Up to scale it is the y ≥ 0 that minimizes y' M y - 2 Σ y: non-negative least squares.
    """
    size = len(matrix)
    scale = np.trace(matrix) / size
    if scale == 0:
        return np.full(size, 1 / size)
    factor = scipy.linalg.cholesky(
        matrix / scale + RIDGE * np.eye(size)
    )  # R, where R' R = M.
    found, _ = scipy.optimize.nnls(
        factor, scipy.linalg.solve_triangular(factor, np.ones(size), trans=1)
    )
    return found / found.sum()


@dataclass(frozen=True, eq=False)
class Terms:
    """WDR, episode by episode and step by step; what follows an episode is one step more.

    (episodes, horizon + 1) each, discounted: residual[i, t] belongs to the share of W_t,
    expected[i, t] to that of W_{t-1}.
    """

    shares: np.ndarray  # W_t / Σ_j W_t, those of ended episodes as they ended.
    residual: np.ndarray  # γ^t (r_t - Q̂).
    expected: np.ndarray  # γ^t V̂(s_t).

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        weights: StepWeights,
        values: RowValues,
        *,
        discount: float,
    ) -> "Terms":
        """Lay a log out as a rectangle."""
        shape = (dataset.episodes, int(dataset.lengths.max()) + 1)
        at = (dataset.episode, dataset.step_in_episode)
        power = discount ** np.arange(shape[1])
        residual, expected = np.zeros((2, *shape))
        residual[at] = dataset.reward - values.logged
        expected[at] = values.expected
        expected[np.arange(dataset.episodes), dataset.lengths] = values.final
        return cls(weights.frozen_shares(shape[1]), power * residual, power * expected)

    @property
    def horizon(self) -> int:
        return self.shares.shape[1] - 1

    @cached_property
    def before(self) -> np.ndarray:
        """float64, as `shares`: of W_{t-1}."""
        first = np.full((len(self.shares), 1), 1 / len(self.shares))
        return np.concatenate([first, self.shares[:, :-1]], axis=1)

    def switching_after(self, lengths: np.ndarray) -> np.ndarray:
        """float64 (k, episodes): their sums weigh `lengths` (k,) decisions, V̂ the rest."""
        weighed = np.cumsum(self.shares * self.residual, axis=1)
        weighed = np.concatenate([np.zeros((len(weighed), 1)), weighed], axis=1)
        trusted = np.cumsum(self.before * self.expected, axis=1)
        return (weighed[:, lengths] + trusted[:, lengths]).T

    def resampled(self, count: np.ndarray) -> np.ndarray:
        """float64 (replicates,): WDR where episode i occurs `count` (replicates, episodes)
        times, normalized anew; NaN where then some step has no weight.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            weighed = count @ (self.shares * self.residual) / (count @ self.shares)
            trusted = count @ (self.before * self.expected) / (count @ self.before)
        return (weighed + trusted).sum(axis=1)


def _lengths(longest: int) -> np.ndarray:
    """0, 1, 2, 4, … and the longest episode."""
    powers = 2 ** np.arange(longest.bit_length())
    return np.unique([0, *powers[powers < longest], longest])
