"""What else may follow IQL's critics: ascent beside a clone, and discrete BCQ."""

from functools import cache

import jax
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
    mlp,
    polyak,
    random_batch,
    slopes_of,
    softmax,
    started,
    updated,
    with_plain_steps,
)

from stitchrl.algorithms.bcq_iql import BCQIQL
from stitchrl.algorithms.iql import IQL

PARTS = ("actor", "critics", "value", "target_critics")
RATES = {Descent: 1.0, Adam: 1e-3}
EXPECTILE, CLONE, LOGIT, TOTAL = 0.8, 0.4, 0.2, 5.0
HYPER = {"expectile": EXPECTILE, "discount": 0.9, "target_rate": 0.1, "hidden": (8, 8)}
OPTIONS = {
    IQL: {"extraction": "ac_bc", "clone_weight": CLONE, "total_updates": TOTAL},
    BCQIQL: {"threshold": 0.5, "logit_weight": LOGIT},
}


def policy_values(actor: Arrays, critics: Arrays, batch, wrong: str) -> np.ndarray:
    """min Q at tanh(network), or the mean of min Q under the softmax."""
    if batch.a.ndim == 2:
        q = action_values(critics, batch.s, np.tanh(mlp(actor[:-1], batch.s)[0]))[0]
        return q.mean(axis=1) if wrong == "mean instead of minimum" else q.min(axis=1)
    probability = softmax(forbid(mlp(actor, batch.s)[0], batch.allowed))
    every = ensemble(critics, batch.s)[0]
    every = every.mean(1) if wrong == "mean instead of minimum" else every.min(axis=1)
    return (probability * every).sum(axis=1)  # Forbidden ones have probability 0.


def ascent_slopes(actor: Arrays, critics: Arrays, batch, wrong: str) -> Arrays:
    scale = np.abs(policy_values(actor, critics, batch, wrong)).mean() + 1e-6

    def loss(actor: Arrays) -> float:
        q = policy_values(actor, critics, batch, wrong)
        by = np.abs(q).mean() if wrong == "the scale is learned from" else scale
        likelihood, _ = log_likelihood(actor, batch.s, batch.a, batch.allowed)
        return -(q.mean() / by + CLONE * likelihood.mean())

    return slopes_of(loss, actor)


def imitation_slopes(actor: Arrays, batch) -> Arrays:
    def loss(actor: Arrays) -> float:
        likelihood, _ = log_likelihood(actor, batch.s, batch.a, batch.allowed)
        return -likelihood.mean() + LOGIT * (mlp(actor, batch.s)[0] ** 2).mean()

    return slopes_of(loss, actor)


def reference(cls, nets, batches, optimizers, wrong=""):
    actor, critics, value, targets = nets
    for batch in batches:
        old_critics, old_value = critics, value
        q_online, back_q = action_values(critics, batch.s, batch.a)
        q = action_values(targets, batch.s, batch.a)[0].min(axis=1)
        v, back_v = mlp(value, batch.s)
        error = q - v[:, 0]
        weight = np.where(error < 0, 1 - EXPECTILE, EXPECTILE)
        slopes, _ = back_v((-2 * weight * error / ROWS)[:, None])
        value = optimizers["value"].step(value, slopes)
        seen = old_value if wrong == "critics see the old V" else value
        target = bellman(batch, 0.9, mlp(seen, batch.next_s)[0][:, 0])
        slopes, _ = back_q(2 * (q_online - target[:, None]) / ROWS)
        critics = optimizers["critics"].step(critics, slopes)
        if cls is BCQIQL:
            slopes = imitation_slopes(actor, batch)
        else:
            seen = {"the new critics": critics, "the target critics": targets}
            seen = seen.get(wrong.removeprefix("the actor sees "), old_critics)
            slopes = ascent_slopes(actor, seen, batch, wrong)
        actor = optimizers["actor"].step(actor, slopes)
        targets = polyak(targets, critics, 0.1)
    return actor, critics, value, targets


def parts(state) -> list:
    learners = [state.actor, state.critics, state.value]
    return [learner.network for learner in learners] + [state.target_critics]


def batches_of(kind: str) -> list:
    return [random_batch(kind, seed) for seed in (1, 2)]


@cache
def ours(cls: type, kind: str, optimizer: type):
    """Our state before two updates and after them."""
    made = with_plain_steps(cls) if optimizer is Descent else cls
    algorithm = made(**HYPER, **OPTIONS[cls], learning_rate=RATES[optimizer])
    first = started(algorithm, kind)
    return first, updated(algorithm, first, kind, batches_of(kind))[-1]


def gaps(cls: type, kind: str, optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    first, last = ours(cls, kind, optimizer)
    rate = RATES[optimizer]
    optimizers = {part: optimizer(rate) for part in PARTS}
    if optimizer is Adam and cls is IQL:
        optimizers["actor"] = Adam(lambda i: rate * (1 + np.cos(np.pi * i / TOTAL)) / 2)
    nets = [arrays(part) for part in parts(first)]
    expected = reference(cls, nets, batches_of(kind), optimizers, wrong)
    starts = parts(first) if optimizer is Descent else [None] * 4
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


CASES = [
    *[(IQL, kind, Descent) for kind in ("continuous", "discrete", "masked")],
    (IQL, "continuous", Adam),
    (BCQIQL, "discrete", Descent),
    (BCQIQL, "masked", Adam),
]


@pytest.mark.parametrize("cls, kind, optimizer", CASES)
def test_two_updates(cls: type, kind: str, optimizer: type):
    found = gaps(cls, kind, optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = [
    (IQL, "the actor sees the new critics", ["actor"]),
    (IQL, "the actor sees the target critics", ["actor"]),
    (IQL, "the scale is learned from", ["actor"]),
    (IQL, "mean instead of minimum", ["actor"]),
    (BCQIQL, "critics see the old V", ["critics", "target_critics"]),
]


@pytest.mark.parametrize("cls, wrong, felt", WRONG)
def test_other_forms_would_be_noticed(cls: type, wrong: str, felt: list[str]):
    found = gaps(cls, "discrete", Descent, wrong)
    assert all(found[part] > 1e-2 for part in felt), found


def test_the_hybrid_acts_on_the_best_of_what_the_log_shows():
    """The mean of the online critics, where the imitation is at least half as sure."""
    first, last = ours(BCQIQL, "discrete", Descent)
    decided = jax.tree.map(lambda x: 3 * x, last.actor)
    policy = BCQIQL(**OPTIONS[BCQIQL]).policy(last._replace(actor=decided))
    s = random_batch("discrete", 7).s
    probability = softmax(mlp(arrays(decided.network), s)[0])
    likely = probability > 0.5 * probability.max(axis=1, keepdims=True)
    q = ensemble(arrays(last.critics.network), s)[0].mean(axis=1)
    chosen = np.asarray(jax.vmap(policy.mode)(s.astype(np.float32)))
    np.testing.assert_array_equal(chosen, np.where(likely, q, -np.inf).argmax(axis=1))
    assert (chosen != q.argmax(axis=1)).any() and (likely.sum(axis=1) > 1).any()
