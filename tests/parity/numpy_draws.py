"""What a policy would do, in float64 NumPy: its draws replayed from the same keys."""

from typing import Any

import jax
import numpy as np
from parity.numpy_networks import (
    Arrays,
    action_values,
    ensemble,
    forbid,
    mlp,
    softmax,
)
from scipy.special import erf, erfinv

from stitchrl.experience import TransitionWithNextAction


def uniform(key: Any, count: int, size: int) -> np.ndarray:
    """The numbers in [0, 1) from which `count` draws of `size` numbers are made."""
    draws = [jax.random.uniform(one, (size,)) for one in jax.random.split(key, count)]
    return np.asarray(draws, np.float64)


def truncated(actor: Arrays, s: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Draws of a Gaussian around tanh(network), truncated to ±1: (rows, count, size).

    By inversion: `u` (rows, count, size) says at which share of its mass each lies.
    """
    *network, log_std = actor
    mean, std = np.tanh(mlp(network, s)[0])[:, None], np.exp(log_std)
    low, high = (erf((end - mean) / std / np.sqrt(2)) for end in (-1, 1))
    return mean + std * np.sqrt(2) * erfinv(low + u * (high - low))


def values_under(
    critics: Arrays,
    actor: Arrays,
    s: np.ndarray,
    allowed: np.ndarray,
    key: Any,
    *,
    count: int,
    is_discrete: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """min_i Q_i of the policy's actions and their weights, both (rows, actions)."""
    if is_discrete:
        probability = softmax(forbid(mlp(actor, s)[0], allowed))
        return forbid(ensemble(critics, s)[0].min(axis=1), allowed), probability
    keys = jax.random.split(key, len(s))
    u = np.stack([uniform(one, count, len(actor[-1])) for one in keys])
    actions = truncated(actor, s, u)
    q = [action_values(critics, s, actions[:, i])[0].min(axis=1) for i in range(count)]
    return np.stack(q, axis=1), np.full((len(s), count), 1 / count)


def mean_of(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (weight * np.where(weight > 0, values, 0)).sum(axis=1)


def max_of(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.where(weight > 0, values, -np.inf).max(axis=1)


def with_next_action(transition: Any, next_action: np.ndarray, is_known: np.ndarray) -> Any:
    """A batch of ours with what was logged after each of its rows."""
    next_action = jax.numpy.asarray(next_action, transition.action.dtype)
    known = jax.numpy.asarray(is_known)
    return TransitionWithNextAction(transition, next_action, known)
