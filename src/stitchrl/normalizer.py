"""Scaling of observations: learned once, recorded, used again."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stitchrl.dataset import Dataset
from stitchrl.tree import pytree

SMALLEST_STD = 1e-3  # Added to every std, as in the TD3+BC authors' code.


@pytree
class Normalizer:
    """Maps observations to mean 0 and standard deviation about 1; missing becomes the mean.

    It travels with the policy: whatever acts later scales its input the same way.
    """

    mean: Float[Array, "features"]
    scale: Float[Array, "features"]

    @classmethod
    def fit(cls, dataset: Dataset) -> "Normalizer":
        """Mean and standard deviation over the rows of `dataset` (the training split)."""
        observation = dataset.observation.astype(np.float64)
        # Not nanmean, which warns of a feature that is missing everywhere.
        count = np.maximum((~np.isnan(observation)).sum(axis=0), 1)
        mean = np.nansum(observation, axis=0) / count
        variance = np.nansum((observation - mean) ** 2, axis=0) / count
        scale = np.sqrt(variance) + SMALLEST_STD
        return cls(*jax.device_put((mean.astype(np.float32), scale.astype(np.float32))))

    @classmethod
    def identity(cls, size: int) -> "Normalizer":
        """Leaves observations as they are (but for missing values, which become 0)."""
        zeros, ones = np.zeros(size, np.float32), np.ones(size, np.float32)
        return cls(*jax.device_put((zeros, ones)))

    def __call__(self, observation: Any) -> Float[Array, "features"]:
        """Scale one observation; NaN (not measured) becomes 0."""
        scaled = (observation - self.mean) / self.scale
        return jnp.where(jnp.isnan(scaled), 0.0, scaled)

    def rows(self, observation: np.ndarray) -> np.ndarray:
        """Scale a whole log, bit for bit as above, without a program for each size."""
        scaled = (observation - np.asarray(self.mean)) / np.asarray(self.scale)
        return np.where(np.isnan(scaled), np.float32(0), scaled)
