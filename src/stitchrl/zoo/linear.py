"""Linear policies in NumPy, with noise of known density.

Sums are written out term by term: a matrix product would add in an order that depends on
the processor, and one different bit at step 1 is another episode at step 100.
"""

from typing import Any

import numpy as np

from stitchrl.zoo import truncated


class Linear:
    """Act by clip(W x + b), and noise that stays within the bounds.

    `weights` (policies, dims, features), `bias` (policies, dims), `std` (policies,) of the
    noise, None for none. In episode i acts policy i, counted modulo their number.
    """

    def __init__(
        self, weights: np.ndarray, bias: np.ndarray, std: np.ndarray | None = None
    ):
        self.weights = np.asarray(weights, np.float64)
        self.bias = np.asarray(bias, np.float64)
        self.std = None if std is None else np.asarray(std, np.float64)

    def start(self, episodes: int, seed: int) -> Any:
        return np.arange(episodes) % len(self.weights), np.random.default_rng([seed, 1])

    def act(
        self, memory: Any, observation: np.ndarray, reward: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        del reward
        policy, rng = memory
        mean = self.mean(observation, policy)
        if self.std is None:
            return mean.astype(np.float32), memory
        return truncated.draw(mean, self.std[policy][:, None], rng), memory

    def mean(self, observation: np.ndarray, policy: np.ndarray) -> np.ndarray:
        """float64 (n, dims): before the noise, within the bounds."""
        total = self.bias[policy]
        for index in range(observation.shape[1]):
            column = observation[:, index, None].astype(np.float64)
            total = total + self.weights[policy, :, index] * column
        return np.clip(total, -1.0, 1.0)

    def density(
        self, observation: np.ndarray, action: np.ndarray, policy: np.ndarray
    ) -> np.ndarray:
        """float64 (n,): of what was done, rounded to float32 so that processors agree."""
        assert self.std is not None
        mean, std = self.mean(observation, policy), self.std[policy][:, None]
        logs = truncated.log_density(action.astype(np.float64), mean, std)
        return np.exp(logs.sum(axis=1)).astype(np.float32).astype(np.float64)
