"""Importance sampling that weighs each reward by the decisions before it only.

Of truncated episodes it is the value up to where the log stops. Nothing is asked of the
process, Markov or not; only propensities must be right.
"""

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import Weights


def discounts(dataset: Dataset, discount: float) -> np.ndarray:
    """float64 (size,): γ^t of each row."""
    return discount**dataset.step_in_episode


def importance_sampling(
    dataset: Dataset, weights: Weights, *, discount: float
) -> np.ndarray:
    """float64 (episodes,): W G of each episode; their mean is IS.

    Unbiased; its variance may be infinite (Precup, Sutton, Singh 2000).
    """
    return weights.values * dataset.returns(discount)


def per_decision(dataset: Dataset, weights: StepWeights, *, discount: float) -> np.ndarray:
    """float64 (episodes,): Σ_t γ^t W_t r_t of each episode; their mean is PDIS.

    Unbiased (Precup, Sutton, Singh 2000).
    """
    earned = discounts(dataset, discount) * weights.now * dataset.reward
    return np.add.reduceat(earned, dataset.first_row)


def consistent_per_decision(
    dataset: Dataset, weights: StepWeights, *, discount: float
) -> float:
    """CWPDIS: Σ_t γ^t Σ_i W_t r_t / Σ_i W_t, normalizers as in `StepWeights.shares`.

    Consistent (Thomas 2015, Safe Reinforcement Learning). NaN if at some step no
    episode has weight, for then nothing is known of what the policy earns there.
    """
    return float(earned_so_far(dataset, weights, discount=discount)[-1])


def earned_so_far(dataset: Dataset, weights: StepWeights, *, discount: float) -> np.ndarray:
    """float64 (longest episode,): CWPDIS of the first 1, 2, … decisions; the last: of all.

    NaN from the first decision on at which no episode has weight.
    """
    earned = discounts(dataset, discount) * weights.shares * dataset.reward
    return np.bincount(dataset.step_in_episode, earned).cumsum()
