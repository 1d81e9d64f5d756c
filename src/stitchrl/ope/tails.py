"""How heavy the tail of importance weights is: whether they have a variance at all.

A generalized Pareto distribution is fitted to the largest weights; its shape k says how
many moments there are: with k ≥ 1/2 no variance, with k ≥ 1 no mean. Beyond .7
estimates are not to be trusted at any feasible size of log (Vehtari et al. 2024, arXiv
1507.02646).
"""

import numpy as np

from stitchrl.ope.weights import Weights

FEWEST = 5  # Weights in the tail, below which nothing is fitted.
PRIOR_SIZE, PRIOR_SHAPE = 10, 0.5  # As so many weights of this shape would say.
SPREAD = 3.0  # Of the grid of scales, in Zhang and Stephens 2009.


def pareto_shape(weights: Weights) -> float:
    """k of the largest weights of groups; NaN if they are too few to say.

    The tail are the 3 √n largest, at most a fifth. If all of them are equal, as where a log
    has few kinds of episodes, there is no tail: -∞.
    """
    of_group = np.sort(weights.sum_by_group(weights.relative))
    size = min(len(of_group) // 5, int(np.ceil(3 * np.sqrt(len(of_group)))))
    if size < FEWEST or of_group[-size - 1] <= 0:
        return float("nan")
    cut = of_group[-size - 1]
    excess = of_group[-size:] - cut
    excess = excess[excess > 1e-12 * of_group[-1]]
    if len(excess) == 0:
        return float("-inf")
    if len(excess) < FEWEST:
        return float("nan")
    return fitted_shape(excess)


def fitted_shape(excess: np.ndarray) -> float:
    """k of a generalized Pareto distribution, from rising `excess` (n,) above 0.

    The posterior mean of Zhang and Stephens 2009 (doi 10.1198/tech.2009.08017), then drawn
    towards 1/2 as if by ten more weights, as in PSIS.
    """
    size = len(excess)
    points = 30 + int(np.sqrt(size))
    quarter = excess[max(int(size / 4 + 0.5) - 1, 0)]
    grid = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    scale = 1 / excess[-1] + grid / (SPREAD * quarter)
    shape = np.log1p(-scale[:, None] * excess).mean(axis=1)
    likelihood = size * (np.log(-scale / shape) - shape - 1)
    weight = np.exp(likelihood - np.logaddexp.reduce(likelihood))
    best = float(weight @ scale)
    found = float(np.log1p(-best * excess).mean())
    return (found * size + PRIOR_SHAPE * PRIOR_SIZE) / (size + PRIOR_SIZE)
