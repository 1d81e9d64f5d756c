"""What the log itself is worth, and weighted importance sampling of whole episodes."""

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.base import Estimate, Family
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.empirical_likelihood import weighted_mean
from stitchrl.ope.intervals import in_units_of, student_t
from stitchrl.ope.weights import Weights


def data_mean(dataset: Dataset, *, discount: float, level: float) -> Estimate:
    """J(π_β): mean return of the log, with a Student t interval over groups.

    Of truncated episodes it is the value up to where the log stops.
    """
    returns = dataset.returns(discount)
    interval = student_t(returns, dataset.episode_group, level=level)
    return Estimate("data", Family.DATA, float(returns.mean()), interval, dataset.groups)


def wis(
    dataset: Dataset,
    weights: Weights,
    bounds: ReturnBounds,
    *,
    discount: float,
    level: float,
) -> Estimate:
    """ΣWG / ΣW with W of the whole episode, and its interval by empirical likelihood.

    Of truncated episodes it is the value up to where the log stops. NaN, without interval,
    if no logged episode could have come from the policy (Precup, Sutton, Singh 2000).
    No interval either if returns have no declared bounds and few episodes speak.
    """
    returns = dataset.returns(discount)
    total = weights.relative.sum()
    if total == 0:
        return Estimate("WIS", Family.WEIGHTS, float("nan"), None, dataset.groups)
    value = float(weights.relative @ returns / total)
    if weights.effective_size < bounds.fewest_effective:
        return Estimate("WIS", Family.WEIGHTS, value, None, dataset.groups)
    scaled = np.clip(bounds.scale(returns), 0.0, 1.0)
    interval = weighted_mean(
        weights.sum_by_group(weights.relative),
        weights.sum_by_group(weights.relative * scaled),
        level=level,
    )
    interval = in_units_of(bounds, interval)
    return Estimate("WIS", Family.WEIGHTS, value, interval, dataset.groups)
