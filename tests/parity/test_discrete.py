"""DQN, double DQN, CQL and BCQ for discrete actions: two updates against the equations."""

import jax
import numpy as np
import pytest
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
    log_sum_exp,
    mlp,
    polyak,
    random_batch,
    softmax,
    started,
    transitions,
    updated,
    with_plain_steps,
)

from stitchrl.algorithms.discrete_bcq import DiscreteBCQ
from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.algorithms.dqn import DQN

KINDS = ["discrete", "masked"]
HYPER = {"discount": 0.9, "target_rate": 0.1, "hidden": (8, 8)}
WEIGHT, THRESHOLD, LOGIT_WEIGHT = 0.7, 0.5, 0.2


def values_at(critics, s, allowed):
    return forbid(ensemble(critics, s)[0], allowed)[:, 0]


def double_q(critics, targets, batch, wrong):
    rows = np.arange(len(batch.s))
    online = values_at(critics, batch.next_s, batch.next_allowed)
    slow = values_at(targets, batch.next_s, batch.next_allowed)
    if wrong == "the target chooses":
        return slow.max(axis=1)
    if wrong == "the online critic values":
        return online.max(axis=1)
    return slow[rows, online.argmax(axis=1)]


def q_learning(nets, batches, optimizers, weight, wrong=""):
    """Double DQN, with `weight` times the conservative gap added to its loss."""
    critics, targets = nets
    for batch in batches:
        size = len(batch.s)
        target = bellman(batch, 0.9, double_q(critics, targets, batch, wrong))
        q, back = action_values(critics, batch.s, batch.a)
        td, _ = back(2 * (q - target[:, None]) / size)
        every, back_every = ensemble(critics, batch.s)
        push = softmax(forbid(every, batch.allowed)) - np.eye(4)[batch.a][:, None]
        gap, _ = back_every(push / size)
        slopes = [t + weight * g for t, g in zip(td, gap)]
        critics = optimizers[0].step(critics, slopes)
        targets = polyak(targets, critics, 0.1)
    return critics, targets


def bcq(nets, batches, optimizers, wrong=""):
    critics, targets, imitation = nets
    for batch in batches:
        size, rows = len(batch.s), np.arange(len(batch.s))
        logits = forbid(mlp(imitation, batch.next_s)[0], batch.next_allowed)
        probability = softmax(logits)
        likely = probability > THRESHOLD * probability.max(axis=1, keepdims=True)
        if wrong == "every action counts as likely":
            likely = batch.next_allowed
        if wrong == "likely compared with one, not with the likeliest":
            likely = probability > THRESHOLD
        online = values_at(critics, batch.next_s, batch.next_allowed)
        slow = values_at(targets, batch.next_s, batch.next_allowed)
        choice = np.where(likely, online, -np.inf).argmax(axis=1)
        if wrong == "the target chooses":
            choice = np.where(likely, slow, -np.inf).argmax(axis=1)
        target = bellman(batch, 0.9, slow[rows, choice])
        q, back = action_values(critics, batch.s, batch.a)
        slopes, _ = back(np.clip(q - target[:, None], -1, 1) / size)

        _, back = log_likelihood(imitation, batch.s, batch.a, batch.allowed)
        clone = back(np.full(size, -1 / size))
        logits, back = mlp(imitation, batch.s)
        small, _ = back(2 * LOGIT_WEIGHT * logits / logits.size)

        critics = optimizers[0].step(critics, slopes)
        imitation = optimizers[1].step(imitation, [c + s for c, s in zip(clone, small)])
        targets = polyak(targets, critics, 0.1)
    return critics, targets, imitation


def parts(state) -> list:
    found = [state.critics.network, state.target_critics]
    return found + ([state.imitation.network] if hasattr(state, "imitation") else [])


def double_dqn(nets, batches, optimizers, wrong=""):
    return q_learning(nets, batches, optimizers, 0.0, wrong)


def dqn(nets, batches, optimizers, wrong=""):
    return q_learning(nets, batches, optimizers, 0.0, wrong or "the target chooses")


def cql(nets, batches, optimizers, wrong=""):
    return q_learning(nets, batches, optimizers, WEIGHT, wrong)


CASES = {
    "dqn": (DQN, {}, dqn),
    "double_dqn": (DoubleDQN, {}, double_dqn),
    "cql": (DiscreteCQL, {"conservative_weight": WEIGHT}, cql),
    "bcq": (DiscreteBCQ, {"threshold": THRESHOLD, "logit_weight": LOGIT_WEIGHT}, bcq),
}


def both(name: str, kind: str, optimizer: type, wrong: str = "") -> list[float]:
    """How far our networks are from the reference's after two updates."""
    cls, extra, reference = CASES[name]
    is_plain = optimizer is Descent
    rate = 1.0 if is_plain else 1e-3
    cls = with_plain_steps(cls) if is_plain else cls
    algorithm = cls(**HYPER, **extra, learning_rate=rate)
    first = started(algorithm, kind)
    if name == "bcq":  # Decided enough that its likely actions are not the best ones.
        decided = jax.tree.map(lambda x: 3 * x, first.imitation)
        first = first._replace(imitation=decided)
    batches = [random_batch(kind, seed) for seed in (1, 2)]
    last = updated(algorithm, first, kind, batches)[-1]
    nets = [arrays(part) for part in parts(first)]
    expected = reference(nets, batches, [optimizer(rate), optimizer(rate)], wrong)
    starts = parts(first) if is_plain else [None] * 3
    return [distance(*three) for three in zip(parts(last), expected, starts)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(name: str, kind: str, optimizer: type):
    assert max(both(name, kind, optimizer)) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name, wrong",
    [
        ("dqn", "the online critic chooses"),
        ("dqn", "the online critic values"),
        ("double_dqn", "the target chooses"),
        ("double_dqn", "the online critic values"),
        ("cql", "the target chooses"),
        ("bcq", "the target chooses"),
        ("bcq", "every action counts as likely"),
        ("bcq", "likely compared with one, not with the likeliest"),
    ],
)
def test_other_choices_would_be_noticed(name: str, wrong: str, kind: str):
    critics, targets, *_ = both(name, kind, Descent, wrong)
    assert critics > 1e-2 and targets > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_the_gap_of_cql_is_log_sum_exp_less_the_logged(kind: str):
    batch = random_batch(kind, 1)
    critics = started(DoubleDQN(hidden=(8,)), kind).critics.network
    ours = transitions(batch, kind)
    gap = np.asarray(DiscreteCQL().gap(critics, ours))[:, 0]
    q = values_at(arrays(critics), batch.s, batch.allowed)
    expected = log_sum_exp(q) - q[np.arange(len(q)), batch.a]
    np.testing.assert_allclose(gap, expected, rtol=1e-5, atol=1e-6)
    assert (gap > -1e-6).all()
