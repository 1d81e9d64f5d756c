"""Policies and critics in float64 NumPy, forwards only: `slopes_of` differentiates them."""

import jax
import numpy as np
from parity.numpy_networks import Arrays, mlp

SIZE, COMPONENTS = 2, 5


def normed(network: Arrays, x: np.ndarray, layers: int = 3) -> np.ndarray:
    """Linear layers; after all but the last a ReLU and then a layer norm, if there are."""
    linear, norms = network[: 2 * layers], network[2 * layers :]
    for i in range(0, 2 * layers - 2, 2):
        x = np.maximum(x @ linear[i] + linear[i + 1], 0)
        if norms:
            deviation = x - x.mean(axis=1, keepdims=True)
            x = deviation / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + 1e-5)
            x = x * norms[i] + norms[i + 1]
    return x @ linear[-2].T + linear[-1]


def q_values(critics: Arrays, s: np.ndarray, a: np.ndarray) -> np.ndarray:
    """(rows, members), with layer norms if there are; of continuous actions."""
    x = np.concatenate([s, a], axis=1)
    each = [normed([p[i] for p in critics], x)[:, 0] for i in range(len(critics[0]))]
    return np.stack(each, axis=1)


def normals(key, *shape: int) -> np.ndarray:
    """Standard normal numbers: the same key, the same draw."""
    return np.asarray(jax.random.normal(key, shape), np.float64)


def normal_log_density(x: np.ndarray, mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    z = (x - mean) / np.exp(log_std)
    return (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum(axis=-1)


def log_slope(action: np.ndarray) -> np.ndarray:
    """Of tanh, where it has this value."""
    return np.log(1 - action**2).sum(axis=-1)


class Squashed:
    """tanh of a Gaussian."""

    def __init__(self, network: Arrays, s: np.ndarray):
        self.mean, self.log_std = np.split(mlp(network, s)[0], 2, axis=1)

    def act(self, noise: np.ndarray) -> np.ndarray:
        return np.tanh(self.mean + np.exp(self.log_std) * noise)

    def log_prob(self, action: np.ndarray) -> np.ndarray:
        before = np.arctanh(action)
        return normal_log_density(before, self.mean, self.log_std) - log_slope(action)


class Mixture:
    """tanh of a mixture of Gaussians."""

    def __init__(self, network: Arrays, s: np.ndarray):
        out = mlp(network, s)[0]
        logits, rest = out[:, :COMPONENTS], out[:, COMPONENTS:]
        self.log_weight = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rest = rest.reshape(len(s), 2, COMPONENTS, SIZE)
        self.mean, self.log_std = rest[:, 0], rest[:, 1]

    def log_prob(self, action: np.ndarray) -> np.ndarray:
        before = np.arctanh(action)[:, None]
        each = self.log_weight + normal_log_density(before, self.mean, self.log_std)
        return np.log(np.exp(each).sum(axis=1)) - log_slope(action)
