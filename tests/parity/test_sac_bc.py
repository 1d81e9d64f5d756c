"""SAC+BC: two updates against the equations, draws replayed."""

import jax
import numpy as np
import pytest
from parity.numpy_networks import (
    ROWS,
    Adam,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    polyak,
    random_batch,
    slopes_of,
    started,
    updated,
    with_plain_steps,
)
from parity.numpy_policies import SIZE, Squashed, normals

from stitchrl.algorithms.sac_bc import SACBC

PARTS = ("actor", "critics", "temperature", "target_critics")
CLONE, ENTROPY, RATE = 0.7, -0.5, 0.1
HYPER = {
    "initial_temperature": 0.6,
    "entropy_per_action": ENTROPY,
    "clone_weight": CLONE,
    "discount": 0.9,
    "target_rate": RATE,
    "hidden": (8, 8),
}


def noises(update: int) -> list[np.ndarray]:
    """For π(s) and for π(s')."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(9), update))
    return [
        np.stack([normals(key, SIZE) for key in jax.random.split(one, ROWS)])
        for one in keys
    ]


def actor_loss(start, critics, heat, batch, noise, wrong):
    """A function of the actor; mean |Q| is a constant, that of `start`."""

    def drawn(actor):
        policy = Squashed(actor, batch.s)
        action = policy.act(noise)
        q = action_values(critics, batch.s, action)[0]
        q = q.min(axis=1) if wrong == "the smaller critic" else q.mean(axis=1)
        return policy, q, policy.log_prob(action)

    size = np.abs(drawn(start)[1]).mean()
    if wrong == "the clone term has no size":
        size = 1.0

    def loss(actor):
        policy, q, log_prob = drawn(actor)
        return (heat * log_prob - q - CLONE * size * policy.log_prob(batch.a)).mean()

    return loss


def reference(nets, batches, optimizers, wrong=""):
    actor, critics, temperature, targets = nets
    for i, batch in enumerate(batches):
        here, there = noises(i)
        policy, following = Squashed(actor, batch.s), Squashed(actor, batch.next_s)
        excess = -policy.log_prob(policy.act(here)).mean() - ENTROPY * SIZE
        new_temperature = optimizers["temperature"].step(temperature, [np.array(excess)])

        next_action = following.act(there)
        next_value = action_values(targets, batch.next_s, next_action)[0].min(axis=1)
        heat = np.exp(temperature[0])
        if wrong == "entropy in the target":
            next_value = next_value - heat * following.log_prob(next_action)
        target = bellman(batch, 0.9, next_value)

        def loss(network, batch=batch, target=target):
            q, _ = action_values(network, batch.s, batch.a)
            return ((q - target[:, None]) ** 2).sum(axis=1).mean()

        new_critics = optimizers["critics"].step(critics, slopes_of(loss, critics))
        if wrong == "the actor sees the new temperature":
            heat = np.exp(new_temperature[0])
        seen = new_critics if wrong == "the actor sees the new critics" else critics
        slopes = slopes_of(actor_loss(actor, seen, heat, batch, here, wrong), actor)
        actor = optimizers["actor"].step(actor, slopes)
        critics, temperature = new_critics, new_temperature
        targets = polyak(targets, critics, RATE)
    return actor, critics, temperature, targets


def parts(state) -> list:
    learners = [state.actor, state.critics, state.temperature]
    return [learner.network for learner in learners] + [state.target_critics]


def gaps(optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    is_plain = optimizer is Descent
    q_rate, actor_rate = (0.2, 0.1) if is_plain else (1e-3, 2e-3)
    cls = with_plain_steps(SACBC) if is_plain else SACBC
    algorithm = cls(**HYPER, learning_rate=q_rate, actor_learning_rate=actor_rate)
    first = started(algorithm, "continuous")
    batches = [random_batch("continuous", seed) for seed in (1, 2)]
    last = updated(algorithm, first, "continuous", batches)[-1]
    optimizers = {
        "critics": optimizer(q_rate),
        "actor": optimizer(actor_rate),
        "temperature": optimizer(actor_rate),
    }
    nets = [arrays(part) for part in parts(first)]
    expected = reference(nets, batches, optimizers, wrong)
    starts = parts(first) if is_plain else [None] * 4
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(optimizer: type):
    found = gaps(optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = {
    "the actor sees the new critics": ["actor"],
    "the actor sees the new temperature": ["actor"],
    "the smaller critic": ["actor"],
    "the clone term has no size": ["actor"],
    "entropy in the target": ["critics", "target_critics"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_other_orders_would_be_noticed(wrong: str):
    found = gaps(Descent, wrong)
    assert all(found[part] > 1e-2 for part in WRONG[wrong]), found
