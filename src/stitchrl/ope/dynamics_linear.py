"""A linear-Gaussian model of the process, by least squares."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from stitchrl.ope.dynamics import LEAST_SPREAD, Rows, Step
from stitchrl.tree import pytree


@pytree
class LinearGaussian:
    """s' = s + φ · weight + N(0, factor factorᵀ); reward linear in squares; no ends."""

    weight: Float[Array, "terms features"]
    factor: Float[Array, "features features"]
    reward: Float[Array, "squares"]
    count: int  # Of discrete actions; 0: continuous.

    def step(self, observation: Any, action: Any, key: Key[Array, ""]) -> Step:
        linear = terms(observation, action, self.count)
        noise = self.factor @ jax.random.normal(key, observation.shape)
        squared = squares(observation, action, self.count, len(self.reward))
        following = observation + linear @ self.weight + noise
        return Step(following, squared @ self.reward, jnp.array(0.0))


def terms(observation: Any, action: Any, count: int) -> Float[Array, "terms"]:
    """(1, s, a); of discrete actions (1, s) in the place of the action."""
    one = jnp.ones(1)
    if count == 0:
        return jnp.concatenate([one, observation, action])
    here = jnp.concatenate([one, observation])
    return (jax.nn.one_hot(action, count)[:, None] * here[None]).ravel()


def squares(observation: Any, action: Any, count: int, size: int) -> Float[Array, "size"]:
    """The terms where they are `size`, else with products of two of them.

    Of discrete actions: with the products that share the action.
    """
    linear = terms(observation, action, count)
    if len(linear) == size:
        return linear
    here = linear if count == 0 else jnp.concatenate([jnp.ones(1), observation])
    upper = np.triu_indices(len(here))
    products = (here[:, None] * here[None])[upper]
    if count == 0:
        return products
    return (jax.nn.one_hot(action, count)[:, None] * products[None]).ravel()


def squares_size(features: int, action: int, count: int, rows: int) -> int:
    """How many terms a reward may have: products only with ten rows for each."""
    linear = 1 + features + (0 if count else action)
    products = linear * (linear + 1) // 2
    each = max(count, 1)
    return each * (products if 10 * each * products <= rows else linear)


def fit_linear(rows: Rows, *, count: int) -> LinearGaussian:
    """Least squares, in float64. `count` actions if discrete, else 0."""
    width = 0 if rows.action.ndim == 1 else rows.action.shape[1]
    size = squares_size(rows.observation.shape[1], width, count, len(rows.reward))
    design = _rows_of(terms, rows, count)
    known = rows.goes_on
    weight = np.linalg.lstsq(design[known], rows.change[known])[0]
    left = rows.change[known] - design[known] @ weight
    floor = (LEAST_SPREAD * rows.change[known].std(axis=0)) ** 2 + 1e-12
    covariance = left.T @ left / max(len(left) - design.shape[1], 1) + np.diag(floor)
    squared = _rows_of(partial(squares, size=size), rows, count)
    reward = np.linalg.lstsq(squared, rows.reward)[0]
    return LinearGaussian(
        jnp.asarray(weight, jnp.float32),
        jnp.asarray(np.linalg.cholesky(covariance), jnp.float32),
        jnp.asarray(reward, jnp.float32),
        count,
    )


def linear_surprise(model: LinearGaussian, fitted: Rows, rows: Rows) -> float:
    """Mean -log density of changes and rewards in `rows`.

    The spread of rewards is taken from those that the model was `fitted` to.
    """
    size = len(model.reward)

    def errors(of: Rows) -> tuple[np.ndarray, np.ndarray]:
        change = of.change - _rows_of(terms, of, model.count) @ np.asarray(model.weight)
        squared = _rows_of(partial(squares, size=size), of, model.count)
        return change[of.goes_on], of.reward - squared @ np.asarray(model.reward)

    spread = errors(fitted)[1].std() + LEAST_SPREAD * fitted.reward.std() + 1e-12
    change, reward = errors(rows)
    factor = np.asarray(model.factor, np.float64)
    scaled = np.linalg.solve(factor, change.T)
    of_change = (scaled**2).sum(axis=0) / 2 + np.log(np.diag(factor)).sum()
    of_change += change.shape[1] * np.log(2 * np.pi) / 2
    of_reward = (reward / spread) ** 2 / 2 + np.log(spread) + np.log(2 * np.pi) / 2
    return float((of_change.sum() + of_reward.sum()) / len(rows.reward))


def _rows_of(function: Callable, rows: Rows, count: int) -> np.ndarray:
    mapped = jax.vmap(partial(function, count=count))
    observation = jnp.asarray(rows.observation, jnp.float32)
    action = jnp.asarray(rows.action, jnp.int32 if count else jnp.float32)
    return np.asarray(mapped(observation, action), np.float64)
