"""Acting by chance: what a score of 0 means, and what random logs are made of."""

from typing import Any

import numpy as np


class Uniform:
    """Every action between the bounds is equally likely, whatever is seen."""

    def __init__(self, dims: int):
        self.dims = dims

    def start(self, episodes: int, seed: int) -> np.random.Generator:
        del episodes
        return np.random.default_rng([seed, 1])

    def act(
        self, memory: np.random.Generator, observation: np.ndarray, reward: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        del reward
        drawn = memory.uniform(-1.0, 1.0, (len(observation), self.dims))
        return drawn.astype(np.float32), memory
