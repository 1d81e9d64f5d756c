"""AWAC: two updates against its equations, with every weight and next action."""

from functools import cache

import jax
import numpy as np
import pytest
from parity.numpy_draws import mean_of, values_under, with_next_action
from parity.numpy_networks import (
    Adam,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    forbid,
    log_likelihood,
    polyak,
    random_batch,
    softmax,
    started,
    transitions,
    with_plain_steps,
)

from stitchrl.algorithms.awac import AWAC
from stitchrl.testing.subject import quick_options

KINDS = ["continuous", "discrete", "masked"]
PARTS = ("actor", "critics", "target_critics")
CLIP, TEMPERATURE, DECAY, SAMPLES = 1.02, 0.4, 0.3, 2
HYPER = {
    "temperature": TEMPERATURE,
    "max_weight": CLIP,
    "weight_decay": DECAY,
    "action_samples": SAMPLES,
    "discount": 0.9,
    "target_rate": 0.1,
    "hidden": (8,),
}
RATE = {Descent: 0.5, Adam: 1e-3}
OPTIONS = [("policy", "exp"), ("policy", "softmax"), ("logged", "exp")]
WRONG = {
    "the actor sees the new critics": ["actor"],
    "another actor acts next": ["critics"],
    "the online critics value": ["critics"],
    "decay after Adam": ["actor"],
    "no decay": ["actor"],
    "a row with an unknown next action counts": ["critics"],
    "softmax sums to one": ["actor"],
}
BATCHES = {kind: [random_batch(kind, seed) for seed in (1, 2)] for kind in KINDS}


def logged_next(batch, seed: int):
    """Next actions: unknown in every fourth row, where a forbidden one may stand."""
    rng = np.random.default_rng(seed)
    is_known = ~batch.terminated & (np.arange(len(batch.s)) % 4 != 1)
    if batch.a.ndim == 2:
        return rng.uniform(-0.9, 0.9, batch.a.shape), is_known
    free = forbid(rng.random((len(batch.s), 4)), batch.next_allowed).argmax(axis=1)
    return np.where(is_known, free, 3), is_known


def next_values(targets, actor, batch, key, option, seed):
    """min Q'(s', a') and where it is known."""
    if option == "logged":
        next_action, is_known = logged_next(batch, seed)
        q = action_values(targets, batch.next_s, next_action)[0].min(axis=1)
        return q, is_known | batch.terminated
    found = values_under(
        targets, actor, batch.next_s, batch.next_allowed, key,
        count=1, is_discrete=batch.a.ndim == 1,
    )  # fmt: skip
    return mean_of(*found), np.ones(len(batch.s), bool)


def reference(nets, batches, optimizers, option, weights, wrong=""):
    actor, critics, targets = nets
    for i, batch in enumerate(batches):
        rows = len(batch.s)
        value_key, next_key = jax.random.split(jax.random.fold_in(jax.random.key(9), i))
        valuer = critics if wrong == "the online critics value" else targets
        chooser = [2 * x for x in actor] if wrong == "another actor acts next" else actor
        next_q, counts = next_values(valuer, chooser, batch, next_key, option, i)
        if wrong == "a row with an unknown next action counts":
            counts = np.ones(rows, bool)
        q, back = action_values(critics, batch.s, batch.a)
        error = (q - bellman(batch, 0.9, next_q)[:, None]) * counts[:, None]
        new_critics = optimizers[1].step(critics, back(2 * error / counts.sum())[0])

        seen = new_critics if wrong == "the actor sees the new critics" else critics
        found = values_under(
            seen, actor, batch.s, batch.allowed, value_key,
            count=SAMPLES, is_discrete=batch.a.ndim == 1,
        )  # fmt: skip
        q = action_values(seen, batch.s, batch.a)[0].min(axis=1)
        scaled = (q - mean_of(*found)) / TEMPERATURE
        weight = np.minimum(np.exp(scaled), CLIP)
        if weights == "softmax":
            weight = softmax(scaled) * (1 if wrong == "softmax sums to one" else rows)
        _, back = log_likelihood(actor, batch.s, batch.a, batch.allowed)
        decay = DECAY if wrong not in ("no decay", "decay after Adam") else 0.0
        slopes = [g + decay * p for g, p in zip(back(-weight / rows), actor)]
        old, actor = actor, optimizers[0].step(actor, slopes)
        if wrong == "decay after Adam":
            actor = [p - RATE[Adam] * DECAY * o for p, o in zip(actor, old)]
        critics = new_critics
        targets = polyak(targets, critics, 0.1)
    return actor, critics, targets


def parts(state) -> list:
    return [state.actor.network, state.critics.network, state.target_critics]


@cache
def before_and_after(kind: str, optimizer: type, option: str, weights: str):
    """Our networks at first and after two updates."""
    cls = with_plain_steps(AWAC) if optimizer is Descent else AWAC
    algorithm = cls(
        **HYPER, next_action=option, weights=weights, learning_rate=RATE[optimizer]
    )
    first = started(algorithm, kind)
    update = jax.jit(algorithm.update, compiler_options=quick_options())
    state = first
    for i, batch in enumerate(BATCHES[kind]):
        ours = with_next_action(transitions(batch, kind), *logged_next(batch, i))
        state, _ = update(state, ours, jax.random.fold_in(jax.random.key(9), i))
    return parts(first), parts(state)


def gaps(kind, optimizer, option="policy", weights="exp", wrong="") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    first, last = before_and_after(kind, optimizer, option, weights)
    nets = [arrays(part) for part in first]
    optimizers = [optimizer(RATE[optimizer]), optimizer(RATE[optimizer])]
    expected = reference(nets, BATCHES[kind], optimizers, option, weights, wrong)
    starts = first if optimizer is Descent else [None] * 3
    found = [distance(*three) for three in zip(last, expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option, weights", OPTIONS)
def test_two_gradients(kind: str, option: str, weights: str):
    found = gaps(kind, Descent, option, weights)
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize("kind", ["continuous", "masked"])
def test_two_updates_of_adam(kind: str):
    found = gaps(kind, Adam)
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_other_orders_would_be_noticed(kind: str, wrong: str):
    option = "logged" if "unknown" in wrong else "policy"
    weights = "softmax" if "softmax" in wrong else "exp"
    optimizer = Adam if "Adam" in wrong else Descent
    found = gaps(kind, optimizer, option, weights, wrong)
    least = 1e-4 if optimizer is Adam else 1e-2
    assert all(found[part] > least for part in WRONG[wrong]), found


def test_the_actor_has_twice_the_layers():
    first = started(AWAC(hidden=(8, 4)), "continuous")
    sizes = [layer.bias.shape[0] for layer in first.actor.network.mlp.layers]
    assert sizes == [8, 4, 8, 4, 2]
