"""TD3 and TD3+BC: two updates (the actor moves in the second) against the equations."""

import jax
import numpy as np
import pytest
from parity.numpy_networks import (
    ROWS,
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

from stitchrl.algorithms.td3 import TD3
from stitchrl.algorithms.td3_bc import TD3BC
from stitchrl.policies import Deterministic

KIND = "continuous"
PARTS = ("actor", "critics", "target_actor", "target_critics")
NOISE, CLIP, RATE, Q_WEIGHT = 0.8, 0.5, 0.1, 1.7  # So much noise that some is clipped.
HYPER = {
    "target_noise": NOISE,
    "target_noise_clip": CLIP,
    "discount": 0.9,
    "target_rate": RATE,
    "hidden": (8, 8),
}


def drawn(update: int) -> np.ndarray:
    """The standard normal numbers of this update: the same key, the same draw."""
    key = jax.random.fold_in(jax.random.key(9), update)
    return np.asarray(jax.random.normal(key, (ROWS, 2)), np.float64)


def actor_slopes(actor, critics, batch, q_weight):
    """Of -mean Q_1(s, π(s)), or with `q_weight` of TD3+BC's loss; and what moves it."""
    out, back = mlp(actor, batch.s)
    action = np.tanh(out)
    q, back_q = action_values(critics, batch.s, action)
    slope_q = np.zeros_like(q)
    if q_weight is None:
        slope_q[:, 0], clone = -1 / len(q), 0.0
    else:
        slope_q[:, 0] = -q_weight / np.abs(q[:, 0]).mean() / len(q)
        clone = 2 * (action - batch.a) / action.size
    slope_action = back_q(slope_q)[1] + clone
    return back(slope_action * (1 - action**2))[0]


def reference(nets, batches, optimizers, q_weight=None, wrong=""):
    actor, critics, target_actor, targets = nets
    for i, batch in enumerate(batches):
        old_critics = critics
        noise = np.clip(NOISE * drawn(i), -CLIP, CLIP)
        chooser = actor if wrong == "the online actor acts next" else target_actor
        next_action = np.clip(np.tanh(mlp(chooser, batch.next_s)[0]) + noise, -1, 1)
        valuer = critics if wrong == "the online critics value" else targets
        next_q, _ = action_values(valuer, batch.next_s, next_action)
        next_q = next_q.mean(1) if wrong == "mean instead of minimum" else next_q.min(1)
        q, back = action_values(critics, batch.s, batch.a)
        target = bellman(batch, 0.9, next_q)
        slopes, _ = back(2 * (q - target[:, None]) / len(q))
        critics = optimizers[1].step(critics, slopes)
        if i % 2 == 0 and wrong != "the actor moves every time":
            continue
        seen = old_critics if wrong == "the actor sees the old critics" else critics
        actor = optimizers[0].step(actor, actor_slopes(actor, seen, batch, q_weight))
        target_actor = polyak(target_actor, actor, RATE)
        targets = polyak(targets, critics, RATE)
    return actor, critics, target_actor, targets


def parts(state) -> list:
    online = [state.actor.network, state.critics.network]
    return [*online, state.target_actor, state.target_critics]


def begin(algorithm):
    """A state in which target actor and actor differ too."""
    other = Deterministic.create(jax.random.key(6), SPECS[KIND], algorithm.hidden)
    return started(algorithm, KIND)._replace(target_actor=other)


def gaps(cls: type, optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    extra, q_weight = ({"q_weight": Q_WEIGHT}, Q_WEIGHT) if cls is TD3BC else ({}, None)
    is_plain = optimizer is Descent
    rate = 1.0 if is_plain else 1e-3
    cls = with_plain_steps(cls) if is_plain else cls
    algorithm = cls(**HYPER, **extra, learning_rate=rate)
    first = begin(algorithm)
    batches = [random_batch(KIND, seed) for seed in (1, 2)]
    last = updated(algorithm, first, KIND, batches)[-1]
    nets = [arrays(part) for part in parts(first)]
    expected = reference(nets, batches, [optimizer(rate) for _ in nets], q_weight, wrong)
    starts = parts(first) if is_plain else [None] * 4
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("cls", [TD3, TD3BC])
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(cls: type, optimizer: type):
    found = gaps(cls, optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = {
    "the actor sees the old critics": ["actor", "target_actor"],
    "the online actor acts next": ["critics"],
    "the online critics value": ["critics"],
    "mean instead of minimum": ["critics"],
    "the actor moves every time": ["actor", "target_actor", "target_critics"],
}


@pytest.mark.parametrize("cls", [TD3, TD3BC])
@pytest.mark.parametrize("wrong", WRONG)
def test_other_orders_would_be_noticed(cls: type, wrong: str):
    found = gaps(cls, Descent, wrong)
    assert all(found[part] > 1e-2 for part in WRONG[wrong]), found


def test_the_first_update_moves_the_critics_only():
    algorithm = TD3(**HYPER)
    first = begin(algorithm)
    after = updated(algorithm, first, KIND, [random_batch(KIND, 1)])[0]
    for name in ("actor", "target_actor", "target_critics"):
        before, now = getattr(first, name), getattr(after, name)
        jax.tree.map(np.testing.assert_array_equal, before, now)
    assert distance(after.critics.network, arrays(first.critics.network)) > 1e-4


def test_some_noise_is_clipped_and_some_is_not():
    noise = np.abs(NOISE * drawn(0))
    assert 0 < (noise > CLIP).sum() < noise.size
