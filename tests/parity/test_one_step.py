"""One-step RL: two updates against its equations, with every operator of improvement."""

from functools import cache

import jax
import numpy as np
import pytest
from parity.numpy_draws import mean_of, truncated, uniform, values_under, with_next_action
from parity.numpy_networks import (
    Adam,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    ensemble,
    forbid,
    log_likelihood,
    mlp,
    polyak,
    random_batch,
    slopes_of,
    softmax,
    started,
    transitions,
    with_plain_steps,
)
from scipy.stats import norm

from stitchrl.algorithms.one_step import OneStep
from stitchrl.testing.subject import quick_options

KINDS = ["continuous", "discrete", "masked"]
PARTS = ("behavior", "critics", "target_critics", "actor")
INVERSE, CLIP, KL, SAMPLES = 2.0, 1.05, 0.6, 2
HYPER = {
    "inverse_temperature": INVERSE,
    "max_weight": CLIP,
    "kl_weight": KL,
    "action_samples": SAMPLES,
    "discount": 0.9,
    "target_rate": 0.1,
    "ensemble": 2,
    "hidden": (5,),
}
RATE = {Descent: 0.5, Adam: 1e-3}
WRONG = {
    "the actor sees the old critics": ["actor"],
    "the actor sees the old behavior": ["actor"],
    "the baseline is the actor's": ["actor"],
    "the online critics value": ["critics"],
    "targets move every time": ["target_critics"],
    "a row with an unknown next action counts": ["critics"],
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


def log_density(actor, s, a):
    """Of the Gaussian around tanh(network), truncated to ±1; `a` (rows, draws, size)."""
    *network, log_std = actor
    mean, std = np.tanh(mlp(network, s)[0])[:, None], np.exp(log_std)
    mass = norm.cdf((1 - mean) / std) - norm.cdf((-1 - mean) / std)
    return (norm.logpdf(a, mean, std) - np.log(mass)).sum(axis=-1)


def reverse_kl(actor, behavior, critics, batch, key) -> float:
    """-E Q + α KL(π || β̂), the mean over rows."""
    if batch.a.ndim == 1:
        ours, theirs = (
            softmax(forbid(mlp(net, batch.s)[0], batch.allowed))
            for net in (actor, behavior)
        )
        q = ensemble(critics, batch.s)[0].min(axis=1)
        ratio = np.where(ours > 0, ours, 1) / np.where(ours > 0, theirs, 1)
        return (ours * (KL * np.log(ratio) - q)).sum(axis=1).mean()
    keys = [jax.random.split(one) for one in jax.random.split(key, len(batch.s))]
    first = truncated(actor, batch.s, np.stack([uniform(q, 1, 2) for q, _ in keys]))[:, 0]
    draws = truncated(actor, batch.s, np.stack([uniform(k, SAMPLES, 2) for _, k in keys]))
    gain = action_values(critics, batch.s, first)[0].min(axis=1)
    ours, theirs = (log_density(net, batch.s, draws) for net in (actor, behavior))
    return (KL * (ours - theirs).mean(axis=1) - gain).mean()


def exponential(actor, batch, weight) -> float:
    """Minus the weighted log-likelihood of the logged actions."""
    if batch.a.ndim == 2:
        return -(weight * log_density(actor, batch.s, batch.a[:, None])[:, 0]).mean()
    return -(weight * log_likelihood(actor, batch.s, batch.a, batch.allowed)[0]).mean()


def reference(nets, batches, optimizers, operator, wrong=""):
    behavior, critics, targets, *actor = nets
    for i, batch in enumerate(batches):
        key = jax.random.fold_in(jax.random.key(9), i)
        rows, old_behavior, old_critics = len(batch.s), behavior, critics
        _, back = log_likelihood(behavior, batch.s, batch.a, batch.allowed)
        behavior = optimizers[0].step(behavior, back(np.full(rows, -1 / rows)))

        next_action, is_known = logged_next(batch, i)
        counts = is_known | batch.terminated
        if wrong == "a row with an unknown next action counts":
            counts = np.ones(rows, bool)
        valuer = critics if wrong == "the online critics value" else targets
        next_q = action_values(valuer, batch.next_s, next_action)[0].min(axis=1)
        q, back = action_values(critics, batch.s, batch.a)
        error = (q - bellman(batch, 0.9, next_q)[:, None]) * counts[:, None]
        critics = optimizers[1].step(critics, back(2 * error / counts.sum())[0])

        q_net = old_critics if wrong == "the actor sees the old critics" else critics
        model = old_behavior if wrong == "the actor sees the old behavior" else behavior
        if operator == "exponential":
            around = actor[0] if wrong == "the baseline is the actor's" else model
            found = values_under(
                q_net, around, batch.s, batch.allowed, key,
                count=SAMPLES, is_discrete=batch.a.ndim == 1,
            )  # fmt: skip
            q = action_values(q_net, batch.s, batch.a)[0].min(axis=1)
            weight = np.minimum(np.exp(INVERSE * (q - mean_of(*found))), CLIP)
            slopes = slopes_of(lambda net: exponential(net, batch, weight), actor[0])  # noqa: B023
            actor = [optimizers[2].step(actor[0], slopes)]
        if operator == "reverse_kl":
            slopes = slopes_of(
                lambda net: reverse_kl(net, model, q_net, batch, key),  # noqa: B023
                actor[0],
            )
            actor = [optimizers[2].step(actor[0], slopes)]
        if i == 0 or wrong == "targets move every time":
            targets = polyak(targets, critics, 0.1)
    return behavior, critics, targets, *actor


def parts(state) -> list:
    found = [state.behavior.network, state.critics.network, state.target_critics]
    return found + ([] if state.actor is None else [state.actor.network])


@cache
def before_and_after(kind: str, optimizer: type, operator: str):
    """Our networks at first and after two updates."""
    cls = with_plain_steps(OneStep) if optimizer is Descent else OneStep
    algorithm = cls(**HYPER, operator=operator, learning_rate=RATE[optimizer])
    first = state = started(algorithm, kind)
    if state.actor is not None:  # Not the behavior, so that one can tell them apart.
        other = jax.tree.map(lambda x: -0.7 * x, state.actor.network)
        first = state = state._replace(actor=state.actor._replace(network=other))
    update = jax.jit(algorithm.update, compiler_options=quick_options())
    for i, batch in enumerate(BATCHES[kind]):
        ours = with_next_action(transitions(batch, kind), *logged_next(batch, i))
        state, _ = update(state, ours, jax.random.fold_in(jax.random.key(9), i))
    return parts(first), parts(state)


def gaps(kind, optimizer, operator="exponential", wrong="") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    first, last = before_and_after(kind, optimizer, operator)
    nets = [arrays(part) for part in first]
    optimizers = [optimizer(RATE[optimizer]) for _ in "123"]
    expected = reference(nets, BATCHES[kind], optimizers, operator, wrong)
    starts = first if optimizer is Descent else [None] * 4
    found = [distance(*three) for three in zip(last, expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operator", ["exponential", "reverse_kl", "easy_bcq"])
def test_two_gradients(kind: str, operator: str):
    found = gaps(kind, Descent, operator)
    assert len(found) == (3 if operator == "easy_bcq" else 4)
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize("kind", ["continuous", "masked"])
def test_two_updates_of_adam(kind: str):
    found = gaps(kind, Adam)
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_other_orders_would_be_noticed(kind: str, wrong: str):
    operator = "reverse_kl" if "old behavior" in wrong else "exponential"
    found = gaps(kind, Descent, operator, wrong)
    assert all(found[part] > 1e-2 for part in WRONG[wrong]), found
