"""AWR and RvS-R: two updates against their equations, from whole episodes."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity.numpy_networks import (
    Adam,
    Arrays,
    Descent,
    arrays,
    distance,
    log_likelihood,
    mlp,
    random_batch,
    started,
    transitions,
    with_plain_steps,
)

from stitchrl.algorithms.awr import AWR, Rows
from stitchrl.algorithms.rvs import Conditioned, RvS
from stitchrl.returns import Window
from stitchrl.spaces import Masked, features
from stitchrl.testing.subject import quick_options

KINDS = ["continuous", "discrete", "masked"]
BATCHES = {kind: [random_batch(kind, seed) for seed in (1, 2)] for kind in KINDS}
ROWS, WINDOW, SCALE, CLIP, TEMPERATURE = 12, 3, 2.0, 1.5, 0.7
HYPER = {
    "temperature": TEMPERATURE,
    "max_weight": CLIP,
    "value_scale": SCALE,
    "trace_decay": 0.8,
    "window": WINDOW,
    "discount": 0.9,
    "hidden": (8, 8),
}
RATES = {"learning_rate": 0.3, "actor_learning_rate": 0.2}
WRONG = {
    "the actor sees the old V": ["actor"],
    "the actor keeps the old returns": ["actor"],
    "V through a termination": ["value"],
    "V joins the next episode": ["value"],
    "no momentum": ["actor", "value"],
}


class Momentum:
    """Descent along a sum of slopes in which older ones fade."""

    def __init__(self, rate: float, decay: float):
        self.rate, self.decay, self.sum = rate, decay, None

    def step(self, network: Arrays, slopes: Arrays) -> Arrays:
        old = self.sum or [0.0] * len(slopes)
        self.sum = [self.decay * s + g for s, g in zip(old, slopes)]
        return [p - self.rate * s for p, s in zip(network, self.sum, strict=True)]


def episodes(seed: int) -> dict[str, np.ndarray]:
    """What twelve windows hold: of 1 to 3 rows, terminated, cut or longer than that."""
    rng = np.random.default_rng(seed)
    length = np.arange(ROWS) % 3 + 1
    is_inside = np.arange(WINDOW) < length[:, None]
    is_end = np.arange(WINDOW) == length[:, None] - 1
    return {
        "reward": rng.normal(size=(ROWS, WINDOW)),
        "next_observation": rng.normal(size=(ROWS, WINDOW, 3)),
        "terminated": is_end & (np.arange(ROWS) % 2 == 0)[:, None],
        "is_inside": is_inside,
    }


def returns_of(value: Arrays, seen: dict[str, np.ndarray], wrong: str) -> np.ndarray:
    """λ-returns as (1 - λ) Σ λ^{n-1} G^n, where the last G^n takes what is left."""
    found = np.zeros(ROWS)
    for row in range(ROWS):
        inside = np.ones(WINDOW, bool) if "joins" in wrong else seen["is_inside"][row]
        count, summed, weight = int(inside.sum()), 0.0, 1.0
        v = SCALE * mlp(value, seen["next_observation"][row])[0][:, 0]
        for n in range(count):
            summed += 0.9**n * seen["reward"][row, n]
            ended = seen["terminated"][row, n] and "through" not in wrong
            whole = summed + (0.0 if ended else 0.9 ** (n + 1) * v[n])
            is_last = n == count - 1
            share = weight if is_last else weight * (1 - 0.8)
            found[row] += share * whole
            weight *= 0.8
    return found


def awr_reference(nets, kind, options, wrong=""):
    actor, value = nets
    momentum = 0.0 if wrong == "no momentum" else 0.9
    steps = Momentum(0.2, momentum), Momentum(0.3, momentum)
    for i, batch in enumerate(BATCHES[kind]):
        seen, old_value = episodes(i), value
        is_traced = options.get("returns") == "td_lambda"
        target = returns_of(value, seen, wrong) if is_traced else to_go(i)
        v, back = mlp(value, batch.s)
        value = steps[1].step(value, back((v - target[:, None] / SCALE) / ROWS)[0])
        if is_traced and wrong != "the actor keeps the old returns":
            target = returns_of(value, seen, wrong)
        net = old_value if wrong == "the actor sees the old V" else value
        a = target - SCALE * mlp(net, batch.s)[0][:, 0]
        if options.get("standardize", True):
            a = (a - a.mean()) / (a.std() + 1e-5)
        weight = np.minimum(np.exp(a / TEMPERATURE), CLIP)
        _, back = log_likelihood(actor, batch.s, batch.a, batch.allowed)
        actor = steps[0].step(actor, back(-weight / ROWS))
    return actor, value


def to_go(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=ROWS)


@cache
def awr_before_and_after(kind: str, options: Any):
    algorithm = AWR(**HYPER, **RATES, **dict(options))
    first = state = started(algorithm, kind)
    update = jax.jit(algorithm.update, compiler_options=quick_options())
    for i, batch in enumerate(BATCHES[kind]):
        columns = {k: jnp.asarray(v, v.dtype if v.dtype == bool else jnp.float32)
                   for k, v in episodes(i).items()}  # fmt: skip
        if kind == "masked":
            free = jnp.ones((ROWS, WINDOW, 4), bool)
            columns["next_observation"] = Masked(columns["next_observation"], free)
        window = Window(**columns) if dict(options).get("returns") else None
        ours = Rows(transitions(batch, kind), jnp.asarray(to_go(i), jnp.float32), window)
        state, _ = update(state, ours, jax.random.key(9))
    return [(s.actor.network, s.value.network) for s in (first, state)]


def awr_gaps(kind: str, options: dict, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    first, last = awr_before_and_after(kind, tuple(options.items()))
    expected = awr_reference([arrays(net) for net in first], kind, options, wrong)
    return dict(zip(("actor", "value"), map(distance, last, expected, first)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options", [{}, {"returns": "td_lambda"}, {"standardize": False}], ids=str
)
def test_two_updates_of_awr(kind: str, options: dict):
    found = awr_gaps(kind, options)
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["continuous", "masked"])
def test_other_orders_of_awr_would_be_noticed(kind: str, wrong: str):
    found = awr_gaps(kind, {"returns": "td_lambda"}, wrong)
    assert all(found[part] > 1e-3 for part in WRONG[wrong]), found


def conditions(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=ROWS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates_of_rvs(kind: str, optimizer: type):
    rate = 0.5 if optimizer is Descent else 1e-3
    cls = with_plain_steps(RvS) if optimizer is Descent else RvS
    algorithm = cls(hidden=(8, 8), learning_rate=rate)
    first = state = started(algorithm, kind)
    update = jax.jit(algorithm.update, compiler_options=quick_options())
    actor, other, steps = (
        *[arrays(first.actor.network)] * 2,
        (optimizer(rate), optimizer(rate)),
    )
    for i, batch in enumerate(BATCHES[kind]):
        pace = jnp.asarray(conditions(i), jnp.float32)
        ours = Conditioned(transitions(batch, kind), pace, jnp.full(ROWS, 1.5 + i))
        state, _ = update(state, ours, jax.random.key(9))
        s = np.concatenate([batch.s, conditions(i)[:, None]], axis=1)
        blind = np.concatenate([batch.s, np.zeros((ROWS, 1))], axis=1)
        _, back = log_likelihood(actor, s, batch.a, batch.allowed)
        actor = steps[0].step(actor, back(np.full(ROWS, -1 / ROWS)))
        _, back = log_likelihood(other, blind, batch.a, batch.allowed)
        other = steps[1].step(other, back(np.full(ROWS, -1 / ROWS)))
    start = first.actor.network if optimizer is Descent else None
    assert distance(state.actor.network, actor, start) < 1e-5
    assert distance(state.actor.network, other, start) > 1e-3
    assert state.target == 2.5

    # Its policy is the actor that always sees the last target.
    batch = BATCHES[kind][0]
    s = np.concatenate([batch.s, np.full((ROWS, 1), 2.5)], axis=1)
    expected, _ = log_likelihood(actor, s, batch.a, batch.allowed)
    logged = transitions(batch, kind)
    found = jax.vmap(algorithm.policy(state).log_likelihood)(
        logged.observation, logged.action
    )
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    assert features(logged.observation).shape[1] == 3
