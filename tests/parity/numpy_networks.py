"""Networks and optimizers in float64 NumPy, with gradients by hand.

A network is the list of its arrays, in the order of the leaves of ours. Whatever is
computed comes with a function that takes the slope of a loss with respect to the outcome
and returns the slopes with respect to the network's arrays and to its input.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stitchrl.experience import Transition
from stitchrl.networks import Critics
from stitchrl.spaces import Continuous, Discrete, Masked, Spec
from stitchrl.testing.subject import quick_options
from stitchrl.tree import hyperparameters

Arrays = list[np.ndarray]
SPECS = {"continuous": Spec(3, Continuous(2)), "discrete": Spec(3, Discrete(4))}
ROWS = 12


class Batch(NamedTuple):
    """The batch that `transitions` makes, in float64."""

    s: np.ndarray
    a: np.ndarray
    r: np.ndarray
    next_s: np.ndarray
    terminated: np.ndarray
    allowed: np.ndarray
    next_allowed: np.ndarray


def random_batch(kind: str, seed: int) -> Batch:
    """Twelve random transitions, a third of them terminated."""
    rng = np.random.default_rng(seed)
    allowed, next_allowed = np.ones((2, ROWS, 4), bool)
    if kind == "continuous":
        a = rng.uniform(-0.95, 0.95, (ROWS, 2))
    else:
        a = rng.integers(4, size=ROWS)
    if kind == "masked":
        allowed, next_allowed = rng.random((2, ROWS, 4)) < 0.6
        allowed[np.arange(ROWS), a] = True
        next_allowed[:, 0] = True
    s, next_s = rng.normal(size=(2, ROWS, 3))
    terminated = np.arange(ROWS) % 3 == 0
    return Batch(s, a, rng.normal(size=ROWS), next_s, terminated, allowed, next_allowed)


def transitions(batch: Batch, kind: str) -> Transition:
    """The same in float32, for our algorithms."""
    s, next_s, r = (jnp.asarray(x, jnp.float32) for x in (batch.s, batch.next_s, batch.r))
    a = jnp.asarray(batch.a, jnp.float32 if kind == "continuous" else jnp.int32)
    if kind == "masked":
        s = Masked(s, jnp.asarray(batch.allowed))
        next_s = Masked(next_s, jnp.asarray(batch.next_allowed))
    return Transition(s, a, r, next_s, jnp.asarray(batch.terminated))


def arrays(network: Any) -> Arrays:
    """The arrays of one of our networks."""
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(network)]


def mlp(network: Arrays, x: np.ndarray):
    """Linear layers with ReLU between them, on rows of x."""
    weights, biases, inputs = network[::2], network[1::2], [x]
    for weight, bias in zip(weights[:-1], biases[:-1]):
        inputs.append(np.maximum(inputs[-1] @ weight + bias, 0))
    out = inputs[-1] @ weights[-1].T + biases[-1]  # The last weight: (outputs, inputs).

    def back(slope: np.ndarray) -> tuple[Arrays, np.ndarray]:
        slopes: Arrays = [slope.T @ inputs[-1], slope.sum(axis=0)]
        slope = slope @ weights[-1]
        for layer in reversed(range(len(weights) - 1)):
            slope = slope * (inputs[layer + 1] > 0)
            slopes = [inputs[layer].T @ slope, slope.sum(axis=0), *slopes]
            slope = slope @ weights[layer].T
        return slopes, slope

    return out, back


def ensemble(network: Arrays, x: np.ndarray):
    """Every member on the same rows: (rows, members, outputs)."""
    parts = [mlp([p[i] for p in network], x) for i in range(len(network[0]))]
    out = np.stack([out for out, _ in parts], axis=1)

    def back(slope: np.ndarray) -> tuple[Arrays, np.ndarray]:
        found = [back(slope[:, i]) for i, (_, back) in enumerate(parts)]
        slopes = [np.stack(leaves) for leaves in zip(*(slopes for slopes, _ in found))]
        return slopes, sum(slope_x for _, slope_x in found)

    return out, back


def action_values(critics: Arrays, s: np.ndarray, a: np.ndarray):
    """Q_i(s, a): (rows, members); the slope of the input is that of the action."""
    rows = np.arange(len(s))
    if a.ndim == 2:
        out, back = ensemble(critics, np.concatenate([s, a], axis=1))
        return out[..., 0], lambda slope: _tail(back(slope[..., None]), a.shape[1])
    out, back = ensemble(critics, s)

    def back_of_chosen(slope: np.ndarray):
        full = np.zeros_like(out)
        full[rows, :, a] = slope
        return back(full)

    return out[rows, :, a], back_of_chosen


def _tail(slopes: tuple[Arrays, np.ndarray], size: int) -> tuple[Arrays, np.ndarray]:
    return slopes[0], slopes[1][:, -size:]


def forbid(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """-inf where not allowed; `values` has actions last, perhaps members before them."""
    shape = (len(allowed), *[1] * (values.ndim - 2), allowed.shape[1])
    return np.where(allowed.reshape(shape), values, -np.inf)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_sum_exp(x: np.ndarray) -> np.ndarray:
    top = x.max(axis=-1, keepdims=True)
    return (top + np.log(np.exp(x - top).sum(axis=-1, keepdims=True)))[..., 0]


def log_likelihood(actor: Arrays, s: np.ndarray, a: np.ndarray, allowed: np.ndarray):
    """Of a Gaussian around tanh(network) with free log-std, or of a softmax."""
    if a.ndim == 1:
        logits, back = mlp(actor, s)
        chosen = np.eye(4)[a]
        logits = forbid(logits, allowed)
        likelihood = logits[np.arange(len(a)), a] - log_sum_exp(logits)
        return likelihood, lambda slope: back(slope[:, None] * (chosen - softmax(logits)))[
            0
        ]
    *network, log_std = actor
    out, back = mlp(network, s)
    mean, std = np.tanh(out), np.exp(log_std)
    z = (a - mean) / std
    likelihood = (-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)).sum(axis=1)

    def back_through_both(slope: np.ndarray) -> Arrays:
        of_mean = slope[:, None] * z / std * (1 - mean**2)
        of_log_std = (slope[:, None] * (z**2 - 1)).sum(axis=0)
        return [*back(of_mean)[0], of_log_std]

    return likelihood, back_through_both


def bellman(batch: Batch, discount: float, next_value: np.ndarray) -> np.ndarray:
    """r + γ V(s'), without V where the process ended."""
    return batch.r + discount * np.where(batch.terminated, 0, next_value)


def polyak(target: Arrays, source: Arrays, rate: float) -> Arrays:
    return [(1 - rate) * t + rate * s for t, s in zip(target, source)]


def slopes_of(loss: Callable[[Arrays], float], network: Arrays) -> Arrays:
    """The gradient of `loss` by central differences: no calculus, so nothing to get wrong.

    In float64 it is exact to about 1e-9 where the loss is smooth between the two points.
    """
    slopes: Arrays = []
    for index, array in enumerate(network):
        slope = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            ends = []
            for nudge in (1e-6, -1e-6):
                moved = array.copy()
                moved[place] += nudge
                ends.append(loss([*network[:index], moved, *network[index + 1 :]]))
            slope[place] = (ends[0] - ends[1]) / 2e-6
        slopes.append(slope)
    return slopes


class Descent:
    """Plain gradient steps: what has moved shows the gradient and its scale."""

    def __init__(self, rate: float):
        self.rate = rate

    def step(self, network: Arrays, slopes: Arrays) -> Arrays:
        return [p - self.rate * g for p, g in zip(network, slopes, strict=True)]


class Adam:
    """Kingma and Ba, 2015, with a rate that may depend on the number of steps taken."""

    def __init__(self, rate: float | Callable[[int], float]):
        self.rate = rate if callable(rate) else lambda count: rate
        self.count, self.mean, self.square = 0, None, None

    def step(self, network: Arrays, slopes: Arrays) -> Arrays:
        self.mean = [
            0.9 * m + 0.1 * g for m, g in zip(self.mean or [0.0] * len(slopes), slopes)
        ]
        self.square = [
            0.999 * v + 0.001 * g**2
            for v, g in zip(self.square or [0.0] * len(slopes), slopes)
        ]
        rate, self.count = self.rate(self.count), self.count + 1
        m_scale, v_scale = 1 - 0.9**self.count, 1 - 0.999**self.count
        return [
            p - rate * (m / m_scale) / (np.sqrt(v / v_scale) + 1e-8)
            for p, m, v in zip(network, self.mean, self.square, strict=True)
        ]


def with_plain_steps(cls: type) -> type:
    """The algorithm with gradient descent in place of every Adam."""

    class Plain(cls):
        optimizer = property(lambda self: optax.sgd(self.learning_rate))

    for name in ("actor", "weight"):
        if hasattr(cls, f"{name}_optimizer"):
            field = f"{name}_learning_rate"
            rate = field if hasattr(cls, field) else "learning_rate"
            optimizer = property(lambda self, rate=rate: optax.sgd(getattr(self, rate)))
            setattr(Plain, f"{name}_optimizer", optimizer)
    return hyperparameters(Plain)


def started(algorithm: Any, kind: str) -> Any:
    """A state whose target critics are not its critics, so that one can tell them apart."""
    spec = SPECS["continuous" if kind == "continuous" else "discrete"]
    state = algorithm.init(jax.random.key(0), spec)
    if not hasattr(state, "target_critics"):
        return state
    members = len(jax.tree.leaves(state.target_critics)[0])
    other = Critics.create(jax.random.key(5), spec, algorithm.hidden, members)
    return state._replace(target_critics=other)


def updated(algorithm: Any, state: Any, kind: str, batches: list[Batch]) -> list[Any]:
    """Our states after each of these batches; update i has the key fold_in(9, i)."""
    update = jax.jit(algorithm.update, compiler_options=quick_options())
    states = []
    for i, batch in enumerate(batches):
        key = jax.random.fold_in(jax.random.key(9), i)
        state, _ = update(state, transitions(batch, kind), key)
        states.append(state)
    return states


def distance(ours: Any, expected: Arrays, start: Any = None) -> float:
    """The largest gap relative to the largest number of its array.

    With `start`, relative to how far the array has moved from there: what moved in a plain
    step is the gradient.
    """
    begin = arrays(start) if start is not None else [np.zeros_like(e) for e in expected]
    gaps = [
        np.abs(o - e).max() / max(np.abs(e - b).max(), 1e-3)
        for o, e, b in zip(arrays(ours), expected, begin, strict=True)
    ]
    return max(gaps)
