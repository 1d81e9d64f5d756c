"""Gaussian noise within the bounds [-1, 1], with a density that is exact.

Noise that is clipped puts an atom on each bound, where no density exists. A truncated
Gaussian has none, so importance weights may divide by its density.
"""

import numpy as np
from scipy.special import ndtr


def draw(mean: np.ndarray, std: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """float32, of the shape of `mean`: each number drawn anew until it lies within.

    `mean` must lie in [-1, 1], where that takes two attempts on average, or fewer.
    """
    std = np.broadcast_to(std, mean.shape)
    drawn = np.full(mean.shape, np.inf, np.float32)
    while True:
        outside = abs(drawn) > 1
        if not outside.any():
            return drawn
        noise = rng.standard_normal(int(outside.sum()))
        drawn[outside] = mean[outside] + std[outside] * noise


def log_density(action: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Of each number in `action`, for `mean` in [-1, 1]; -inf outside of the bounds."""
    standard = (action - mean) / std
    gaussian = -0.5 * standard**2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    inside = ndtr((1 - mean) / std) - ndtr((-1 - mean) / std)
    return np.where(abs(action) <= 1, gaussian - np.log(inside), -np.inf)
