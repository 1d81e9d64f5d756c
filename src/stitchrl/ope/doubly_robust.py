"""Fitted values corrected by weighted residuals: unbiased if either of the two is right."""

from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.per_decision import discounts
from stitchrl.ope.step_weights import StepWeights


class RowValues(NamedTuple):
    """Fitted values of a policy along a log; cross-fitted, or they flatter themselves."""

    logged: np.ndarray  # float64 (size,): Q̂(s_t, a_t).
    expected: np.ndarray  # float64 (size,): V̂(s_t) = E_{a ~ π} Q̂(s_t, a).
    final: np.ndarray  # float64 (episodes,): V̂ after the last row; 0 where all is over.


def doubly_robust(
    dataset: Dataset, weights: StepWeights, values: RowValues, *, discount: float
) -> np.ndarray:
    """float64 (episodes,): Σ_t γ^t [W_t (r_t - Q̂) + W_{t-1} V̂] of each; their mean is DR.

    After a truncated episode the rest is γ^T W_{T-1} V̂(s_T). Unbiased with known
    propensities, whatever Q̂, as long as V̂ is its mean (Jiang and Li 2016, arXiv 1511.03722;
    Thomas and Brunskill 2016, arXiv 1604.00923).
    """
    return _by_episode(dataset, weights.now, weights.before, values, discount=discount)


def weighted_doubly_robust(
    dataset: Dataset, weights: StepWeights, values: RowValues, *, discount: float
) -> np.ndarray:
    """float64 (episodes,): the same with W_t / Σ_j W_t for W_t; their *sum* is WDR.

    Consistent (Thomas and Brunskill 2016). NaN if at some step no episode has
    weight.
    """
    shares, before = weights.shares, weights.shares_before
    return _by_episode(dataset, shares, before, values, discount=discount)


def _by_episode(
    dataset: Dataset,
    now: np.ndarray,
    before: np.ndarray,
    values: RowValues,
    *,
    discount: float,
) -> np.ndarray:
    residual = now * (dataset.reward - values.logged) + before * values.expected
    found = np.add.reduceat(discounts(dataset, discount) * residual, dataset.first_row)
    return found + discount**dataset.lengths * now[dataset.last_row] * values.final
