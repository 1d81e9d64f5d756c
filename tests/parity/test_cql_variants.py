"""Forms, weights and bounds of CQL: two updates against the equations, draws replayed.

Gradients are central differences of float64 losses, which are written out here once more.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity.numpy_networks import (
    ROWS,
    Adam,
    Arrays,
    Batch,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    log_sum_exp,
    mlp,
    polyak,
    random_batch,
    slopes_of,
    started,
    transitions,
    with_plain_steps,
)
from parity.test_cql import squashed

from stitchrl.algorithms.cal_ql import CalQL
from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.weighted_cql import WeightedCQL
from stitchrl.returns import TransitionWithReturn
from stitchrl.testing.subject import quick_options

KIND, SAMPLES, SIZE, RATE = "continuous", 3, 2, 0.1
HYPER = {
    "initial_temperature": 0.6,
    "entropy_per_action": -0.5,
    "initial_weight": 1.3,
    "target_gap": 2.0,
    "discount": 0.9,
    "target_rate": RATE,
    "cloning_updates": 1.0,
    "action_samples": SAMPLES,
    "hidden": (5,),
}
RATES = {"learning_rate": 0.2, "actor_learning_rate": 0.3, "weight_learning_rate": 0.1}
SMALL_RATES = {"learning_rate": 1e-3, "actor_learning_rate": 2e-3}
SMALL_RATES["weight_learning_rate"] = 3e-3
OF_RETURN = np.random.default_rng(3).uniform(0.1, 2.0, (2, ROWS))

CASES: dict[str, tuple[type, dict[str, Any]]] = {
    "uniform": (CQL, {"form": "uniform"}),
    "max target": (CQL, {"max_target_backup": True}),
    "calibrated": (CalQL, {}),
    "weighted": (WeightedCQL, {}),
    "weighted uniform": (WeightedCQL, {"form": "uniform"}),
    "bc": (WeightedCQL, {"weigh_push_down": False, "actor_term": "bc"}),
    "kl": (WeightedCQL, {"weigh_data": False, "actor_term": "kl", "actor_weight": 0.7}),
}


class Draws(NamedTuple):
    here: np.ndarray
    there: np.ndarray
    uniform: np.ndarray
    around: np.ndarray


def draws(update: int, next_samples: int) -> Draws:
    """The numbers an update draws, from the same keys."""
    key = jax.random.fold_in(jax.random.key(9), update)
    actor_key, next_key, gap_key = jax.random.split(key, 3)

    def noise(keys) -> np.ndarray:
        return np.array([jax.random.normal(key, (SIZE,)) for key in keys], np.float64)

    uniform, around = [], []
    for row_key in jax.random.split(gap_key, ROWS):
        first, *others = jax.random.split(row_key, 2 * SAMPLES + 1)
        shape = (SAMPLES, SIZE)
        uniform.append(jax.random.uniform(first, shape, minval=-1.0, maxval=1.0))
        around.append(noise(others))
    there = noise(jax.random.split(next_key, ROWS * next_samples))
    here = noise(jax.random.split(actor_key, ROWS))
    return Draws(here, there, np.asarray(uniform, np.float64), np.asarray(around))


def log_density(network: Arrays, s: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Of a squashed Gaussian at actions inside the bounds."""
    mean, log_std = np.split(mlp(network, s)[0], 2, axis=1)
    z = (np.arctanh(a) - mean) / np.exp(log_std)
    each = -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - log_std - np.log(1 - a**2)
    return each.sum(axis=1)


def pushed_actions(actor: Arrays, batch: Batch, drawn: Draws, option: dict):
    """(rows, samples, size) and their log-densities."""
    actions, densities = [drawn.uniform], [np.full((ROWS, SAMPLES), -SIZE * np.log(2.0))]
    following = np.where(batch.terminated[:, None], batch.s, batch.next_s)
    places = [(batch.s, drawn.around[:, :SAMPLES]), (following, drawn.around[:, SAMPLES:])]
    for place, noise in [] if option.get("form") == "uniform" else places:
        found = squashed(actor, np.repeat(place, SAMPLES, 0), noise.reshape(-1, SIZE))
        actions.append(found[0].reshape(ROWS, SAMPLES, SIZE))
        densities.append(found[1].reshape(ROWS, SAMPLES))
    return np.concatenate(actions, axis=1), np.concatenate(densities, axis=1)


def weights_of(behavior: Arrays, batch: Batch, actions: np.ndarray, wrong: str):
    """(1 - b) / (1 + b) over its mean over samples, b = β̂ / (β̂ + 2^-d)."""
    count = actions.shape[1]
    flat = actions.reshape(-1, SIZE)
    density = np.exp(log_density(behavior, np.repeat(batch.s, count, 0), flat))
    b = (density / (density + 2.0**-SIZE)).reshape(ROWS, count)
    weight = (1 - b) / (1 + b)
    if wrong == "weights have mean 1 over the batch":
        return weight / weight.mean()
    if wrong == "weights are not scaled":
        return weight
    return weight / weight.mean(axis=1, keepdims=True)


def reference(nets, batches, optimizers, cls, option, wrong=""):
    for i, (batch, of_return) in enumerate(zip(batches, OF_RETURN)):
        nets = one_update(nets, i, batch, of_return, optimizers, cls, option, wrong)
    return nets


def one_update(nets, i, batch, of_return, optimizers, cls, option, wrong):
    actor, critics, temperature, weight, targets, behavior = nets
    is_max = cls is CalQL or option.get("max_target_backup", False)
    is_uniform = option.get("form") == "uniform"
    is_weighted = cls is WeightedCQL and option.get("weigh_push_down", True)
    drawn = draws(i, SAMPLES if is_max else 1)
    _, density, _ = squashed(actor, batch.s, drawn.here)
    excess = -density.mean() - HYPER["entropy_per_action"] * SIZE
    new_temperature = optimizers["temperature"].step(temperature, [np.array(excess)])
    count = SAMPLES if is_max else 1
    rows = np.repeat(batch.next_s, count, axis=0)
    next_action = squashed(actor, rows, drawn.there)[0]
    next_q = action_values(targets, rows, next_action)[0].reshape(ROWS, count, 2)
    best = next_q.min(axis=2).max(axis=1)
    if wrong == "the minimum of the maxima":
        best = next_q.max(axis=1).min(axis=1)
    if wrong == "the first of the next actions":
        best = next_q[:, 0].min(axis=1)
    actions, sample_density = pushed_actions(actor, batch, drawn, option)
    many = np.repeat(batch.s, actions.shape[1], axis=0)
    up = np.ones(ROWS)
    if cls is WeightedCQL and option.get("weigh_data", True):
        up = (
            of_return
            if wrong != "w(R) has mean 1 in the batch"
            else (of_return / of_return.mean())
        )
    push = np.ones(sample_density.shape)
    if is_weighted:
        push = weights_of(behavior, batch, actions, wrong)

    def gap_of(network: Arrays, at: np.ndarray) -> np.ndarray:
        """Per row and critic, of actions `at`."""
        q = action_values(network, many, at.reshape(-1, SIZE))[0]
        q = q.reshape(ROWS, -1, 2)
        if cls is CalQL and wrong != "no bound":
            start = 0 if wrong == "uniform actions are bounded too" else SAMPLES
            q[:, start:] = np.maximum(q[:, start:], of_return[:, None, None])
        if wrong == "no importance correction":
            soft = log_sum_exp((q + np.log(push)[..., None]).transpose(0, 2, 1))
        elif is_uniform:
            soft = (push[..., None] * q).mean(axis=1)
        else:
            shift = np.log(push) - sample_density
            soft = log_sum_exp((q + shift[..., None]).transpose(0, 2, 1))
        logged = action_values(network, batch.s, batch.a)[0]
        return soft - up[:, None] * logged

    alpha = np.exp(weight[0])
    reward = bellman(batch, HYPER["discount"], best)
    if wrong == "penalty subtracted from the target":
        reward = reward - alpha * gap_of(critics, actions).mean(axis=1)

    def critic_loss(network: Arrays) -> float:
        q = action_values(network, batch.s, batch.a)[0]
        error = ((q - reward[:, None]) ** 2).sum(axis=1).mean()
        if wrong == "penalty subtracted from the target":
            return error
        return error + alpha * gap_of(network, actions).mean(axis=0).sum()

    gap = gap_of(critics, actions).mean()
    new_critics = optimizers["critics"].step(critics, slopes_of(critic_loss, critics))
    slope = [np.array(-(gap - HYPER["target_gap"]))]
    new_weight = optimizers["weight"].step(weight, slope)
    heat = np.exp(new_temperature[0])

    def actor_loss(network: Arrays) -> float:
        action, density, _ = squashed(network, batch.s, drawn.here)
        if i < HYPER["cloning_updates"]:
            first = -log_density(network, batch.s, batch.a).mean()
        else:
            first = -action_values(critics, batch.s, action)[0].min(axis=1).mean()
        loss = first + heat * density.mean()
        if wrong == "the policy hears the penalty":
            found, _ = pushed_actions(network, batch, drawn, option)
            loss += alpha * gap_of(critics, found).mean(axis=0).sum()
        term, scale = option.get("actor_term"), option.get("actor_weight", 1.0)
        if term == "bc":
            loss -= scale * log_density(network, batch.s, batch.a).mean()
        if term == "kl" and wrong == "the other KL":
            loss -= scale * log_density(network, batch.s, batch.a).mean()
        elif term == "kl":
            other = log_density(behavior, batch.s, action)
            loss += scale * (density - other).mean()
        return loss

    new_actor = optimizers["actor"].step(actor, slopes_of(actor_loss, actor))
    if behavior:

        def behavior_loss(network: Arrays) -> float:
            return -log_density(network, batch.s, batch.a).mean()

        slopes = slopes_of(behavior_loss, behavior)
        behavior = optimizers["behavior"].step(behavior, slopes)
    targets = polyak(targets, new_critics, RATE)
    return new_actor, new_critics, new_temperature, new_weight, targets, behavior


PARTS = ("actor", "critics", "temperature", "weight", "target_critics", "behavior")


def parts(state: Any) -> list:
    learners = [state.actor, state.critics, state.temperature, state.weight]
    behavior = getattr(state, "behavior", None)
    last = [] if behavior is None else behavior.network
    return [learner.network for learner in learners] + [state.target_critics, last]


_found: dict[tuple, tuple] = {}


def ours(name: str, optimizer: type):
    """Our networks before and after two updates; computed once."""
    if (name, optimizer) not in _found:
        cls, option = CASES[name]
        is_plain = optimizer is Descent
        rates = RATES if is_plain else SMALL_RATES
        cls = with_plain_steps(cls) if is_plain else cls
        algorithm = cls(**HYPER, **rates, **option)
        state = first = started(algorithm, KIND)
        update = jax.jit(algorithm.update, compiler_options=quick_options())
        for i, seed in enumerate((1, 2)):
            batch = transitions(random_batch(KIND, seed), KIND)
            if hasattr(cls, "prepare"):
                row = jnp.asarray(OF_RETURN[i], jnp.float32)
                batch = TransitionWithReturn(batch, row)
            state, _ = update(state, batch, jax.random.fold_in(jax.random.key(9), i))
        _found[name, optimizer] = parts(first), parts(state)
    return _found[name, optimizer]


def gaps(name: str, optimizer: type, wrong: str = "") -> dict[str, float]:
    first, last = ours(name, optimizer)
    is_plain = optimizer is Descent
    q_rate, actor_rate, weight_rate = (RATES if is_plain else SMALL_RATES).values()
    of_part = (actor_rate, q_rate, actor_rate, weight_rate, q_rate, q_rate)
    optimizers = {part: optimizer(rate) for part, rate in zip(PARTS, of_part)}
    batches = [random_batch(KIND, seed) for seed in (1, 2)]
    nets = [arrays(part) for part in first]
    expected = reference(nets, batches, optimizers, *CASES[name], wrong)
    starts = first if is_plain else [None] * 6
    return {
        part: distance(*three)
        for part, *three in zip(PARTS, last, expected, starts)
        if three[1]
    }


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(name: str, optimizer: type):
    found = gaps(name, optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = [
    ("max target", "the minimum of the maxima", "critics"),
    ("max target", "the first of the next actions", "critics"),
    ("max target", "penalty subtracted from the target", "critics"),
    ("max target", "the policy hears the penalty", "actor"),
    ("calibrated", "no bound", "critics"),
    ("calibrated", "uniform actions are bounded too", "critics"),
    ("calibrated", "no importance correction", "critics"),
    ("weighted", "weights are not scaled", "weight"),
    ("weighted uniform", "weights have mean 1 over the batch", "critics"),
    ("weighted", "w(R) has mean 1 in the batch", "critics"),
    ("weighted", "no importance correction", "critics"),
    ("kl", "the other KL", "actor"),
]


@pytest.mark.parametrize("name, wrong, part", WRONG)
def test_other_equations_would_be_noticed(name: str, wrong: str, part: str):
    found = gaps(name, Descent, wrong)
    assert found[part] > 1e-2, found


def test_the_bound_holds_for_some_values_and_not_for_others():
    first, _ = ours("calibrated", Descent)
    actor, critics = arrays(first[0]), arrays(first[1])
    batch = random_batch(KIND, 1)
    actions, _ = pushed_actions(actor, batch, draws(0, SAMPLES), {})
    q = action_values(
        critics, np.repeat(batch.s, 3 * SAMPLES, axis=0), actions.reshape(-1, SIZE)
    )[0].reshape(ROWS, -1, 2)
    is_bounded = q[:, SAMPLES:] < OF_RETURN[0][:, None, None]
    assert 0 < is_bounded.sum() < is_bounded.size
