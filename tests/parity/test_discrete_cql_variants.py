"""Forms, weights and the multiplier of discrete CQL: two updates against the equations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity.numpy_networks import (
    ROWS,
    Adam,
    Arrays,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    ensemble,
    forbid,
    log_likelihood,
    log_sum_exp,
    mlp,
    polyak,
    random_batch,
    slopes_of,
    softmax,
    started,
    transitions,
    with_plain_steps,
)
from parity.test_discrete import double_q

from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.discrete_weighted_cql import DiscreteWeightedCQL
from stitchrl.returns import TransitionWithReturn
from stitchrl.testing.subject import quick_options

KINDS = ["discrete", "masked"]
PARTS = ("critics", "target_critics", "weight", "behavior")
WEIGHT, GAP = 0.7, 0.4
HYPER = {
    "discount": 0.9,
    "target_rate": 0.1,
    "hidden": (8, 8),
    "conservative_weight": WEIGHT,
    "target_gap": GAP,
}
OF_RETURN = np.random.default_rng(3).uniform(0.1, 2.0, (2, ROWS))
LEARNED = {"learns_weight": True}
CASES: dict[str, tuple[type, dict[str, Any]]] = {
    "uniform": (DiscreteCQL, {"form": "uniform"}),
    "learned": (DiscreteCQL, LEARNED),
    "weighted": (DiscreteWeightedCQL, LEARNED),
    "weighted uniform": (DiscreteWeightedCQL, {"form": "uniform"}),
    "push-down only": (DiscreteWeightedCQL, {"weigh_data": False}),
    "push-up only": (DiscreteWeightedCQL, {"weigh_push_down": False}),
}


def weights_of(behavior: Arrays, batch, wrong: str) -> np.ndarray:
    """(1 - b) / (1 + b), scaled to mean 1 over the allowed actions."""
    b = softmax(forbid(mlp(behavior, batch.s)[0], batch.allowed))
    b = np.minimum(b, 1 - 1e-6)  # Where nothing else is allowed.
    weight = (1 - b) / (1 + b)
    counted = batch.allowed
    if wrong == "forbidden actions are counted":
        counted = np.ones_like(batch.allowed)
    if wrong == "weights are not scaled":
        return weight
    mean = np.where(counted, weight, 0).sum(axis=1) / counted.sum(axis=1)
    return weight / mean[:, None]


def gap_of(critics, behavior, batch, up, option, wrong) -> np.ndarray:
    q = ensemble(critics, batch.s)[0][:, 0]
    push = weights_of(behavior, batch, wrong) if behavior else np.ones_like(q)
    if option.get("form") == "uniform":
        share = push * batch.allowed / batch.allowed.sum(axis=1, keepdims=True)
        down = (share * q).sum(axis=1)
    else:
        down = log_sum_exp(forbid(q, batch.allowed) + np.log(push))
    return down - up * q[np.arange(ROWS), batch.a]


def one_update(nets, batch, of_return, optimizers, cls, option, wrong):
    critics, targets, weight, behavior = nets
    is_weighed = cls is DiscreteWeightedCQL and option.get("weigh_data", True)
    up = of_return if is_weighed else np.ones(ROWS)
    if wrong == "w(R) has mean 1 in the batch":
        up = up / up.mean()
    alpha = np.exp(weight[0]) if weight else WEIGHT
    target = bellman(batch, 0.9, double_q(critics, targets, batch, ""))
    if wrong == "penalty subtracted from the target":
        target = target - alpha * gap_of(critics, behavior, batch, up, option, wrong)

    def critic_loss(network: Arrays) -> float:
        q = action_values(network, batch.s, batch.a)[0][:, 0]
        error = ((q - target) ** 2).mean()
        if wrong == "penalty subtracted from the target":
            return error
        return error + alpha * gap_of(network, behavior, batch, up, option, wrong).mean()

    gap = gap_of(critics, behavior, batch, up, option, wrong).mean()
    if weight:
        scale = alpha if wrong == "the target meets the weighted gap" else 1.0
        slope = [np.array(-(scale * gap - GAP))]
        weight = optimizers["weight"].step(weight, slope)
    critics = optimizers["critics"].step(critics, slopes_of(critic_loss, critics))
    if behavior:
        _, back = log_likelihood(behavior, batch.s, batch.a, batch.allowed)
        behavior = optimizers["behavior"].step(behavior, back(np.full(ROWS, -1 / ROWS)))
    return critics, polyak(targets, critics, 0.1), weight, behavior


def parts(state: Any) -> list:
    learners = [state.weight, getattr(state, "behavior", None)]
    optional = [[] if learner is None else learner.network for learner in learners]
    return [state.critics.network, state.target_critics, *optional]


def more_decided(state: Any) -> Any:
    """A model of the log whose probabilities differ, so that weights do."""
    if getattr(state, "behavior", None) is None:
        return state
    return state._replace(behavior=jax.tree.map(lambda x: 3 * x, state.behavior))


_found: dict[tuple, tuple] = {}


def ours(name: str, kind: str, optimizer: type):
    """Our networks before and after two updates; computed once."""
    key = (name, kind, optimizer)
    if key not in _found:
        cls, option = CASES[name]
        is_plain = optimizer is Descent
        rate = 0.5 if is_plain else 1e-3
        rates = {"learning_rate": rate, "weight_learning_rate": rate}
        cls = with_plain_steps(cls) if is_plain else cls
        algorithm = cls(**HYPER, **rates, **option)
        state = first = more_decided(started(algorithm, kind))
        update = jax.jit(algorithm.update, compiler_options=quick_options())
        for i, seed in enumerate((1, 2)):
            batch = transitions(random_batch(kind, seed), kind)
            if hasattr(cls, "prepare"):
                row = jnp.asarray(OF_RETURN[i], jnp.float32)
                batch = TransitionWithReturn(batch, row)
            state, _ = update(state, batch, jax.random.key(0))
        _found[key] = parts(first), parts(state)
    return _found[key]


def gaps(name: str, kind: str, optimizer: type, wrong: str = "") -> dict[str, float]:
    first, last = ours(name, kind, optimizer)
    is_plain = optimizer is Descent
    optimizers = {part: optimizer(0.5 if is_plain else 1e-3) for part in PARTS}
    nets = [arrays(part) for part in first]
    for seed, of_return in zip((1, 2), OF_RETURN):
        batch = random_batch(kind, seed)
        nets = one_update(nets, batch, of_return, optimizers, *CASES[name], wrong)
    starts = first if is_plain else [None] * 4
    return {
        part: distance(now, expected, start)
        for part, now, expected, start in zip(PARTS, last, nets, starts)
        if expected
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(name: str, kind: str, optimizer: type):
    found = gaps(name, kind, optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = [
    ("learned", "penalty subtracted from the target", "critics"),
    ("learned", "the target meets the weighted gap", "weight"),
    ("weighted", "weights are not scaled", "weight"),
    ("weighted", "w(R) has mean 1 in the batch", "critics"),
    ("weighted uniform", "weights are not scaled", "critics"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name, wrong, part", WRONG)
def test_other_equations_would_be_noticed(name: str, wrong: str, part: str, kind: str):
    found = gaps(name, kind, Descent, wrong)
    assert found[part] > 1e-2, found


def test_counting_forbidden_actions_would_be_noticed():
    wrong = "forbidden actions are counted"
    found = gaps("weighted uniform", "masked", Descent, wrong)
    assert found["critics"] > 1e-2, found
