"""DDPG: two updates against the equations."""

import jax
import numpy as np
import pytest
from parity.numpy_networks import (
    SPECS,
    Adam,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    mlp,
    polyak,
    random_batch,
    started,
    updated,
    with_plain_steps,
)
from parity.test_td3 import actor_slopes

from stitchrl.algorithms.ddpg import DDPG
from stitchrl.policies import Deterministic

KIND, RATE = "continuous", 0.1
PARTS = ("actor", "critics", "target_actor", "target_critics")
HYPER = {"discount": 0.9, "target_rate": RATE, "hidden": (8, 8)}


def reference(nets, batches, optimizers, wrong=""):
    actor, critics, target_actor, targets = nets
    for batch in batches:
        old_critics = critics
        chooser = actor if wrong == "the online actor acts next" else target_actor
        next_action = np.tanh(mlp(chooser, batch.next_s)[0])
        valuer = critics if wrong == "the online critic values" else targets
        next_q = action_values(valuer, batch.next_s, next_action)[0][:, 0]
        q, back = action_values(critics, batch.s, batch.a)
        target = bellman(batch, 0.9, next_q)
        slopes, _ = back(2 * (q - target[:, None]) / len(q))
        critics = optimizers[1].step(critics, slopes)
        seen = old_critics if wrong == "the actor sees the old critic" else critics
        actor = optimizers[0].step(actor, actor_slopes(actor, seen, batch, None))
        target_actor = polyak(target_actor, actor, RATE)
        targets = polyak(targets, critics, RATE)
    return actor, critics, target_actor, targets


def parts(state) -> list:
    online = [state.actor.network, state.critics.network]
    return [*online, state.target_actor, state.target_critics]


def gaps(optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    is_plain = optimizer is Descent
    rate = 1.0 if is_plain else 1e-3
    cls = with_plain_steps(DDPG) if is_plain else DDPG
    algorithm = cls(**HYPER, learning_rate=rate)
    other = Deterministic.create(jax.random.key(6), SPECS[KIND], (8, 8))
    first = started(algorithm, KIND)._replace(target_actor=other)
    batches = [random_batch(KIND, seed) for seed in (1, 2)]
    last = updated(algorithm, first, KIND, batches)[-1]
    nets = [arrays(part) for part in parts(first)]
    expected = reference(nets, batches, [optimizer(rate), optimizer(rate)], wrong)
    starts = parts(first) if is_plain else [None] * 4
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(optimizer: type):
    found = gaps(optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = {
    "the actor sees the old critic": ["actor", "target_actor"],
    "the online actor acts next": ["critics"],
    "the online critic values": ["critics"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_other_orders_would_be_noticed(wrong: str):
    found = gaps(Descent, wrong)
    assert all(found[part] > 1e-2 for part in WRONG[wrong]), found
