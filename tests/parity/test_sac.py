"""SAC, SAC-N and EDAC: two updates against the equations, draws replayed."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity.numpy_networks import (
    ROWS,
    SPECS,
    Adam,
    Arrays,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    polyak,
    random_batch,
    slopes_of,
    started,
    transitions,
    updated,
    with_plain_steps,
)
from parity.test_cql import squashed

from stitchrl.algorithms.edac import EDAC
from stitchrl.algorithms.sac import SAC
from stitchrl.algorithms.sac_n import SACN
from stitchrl.networks import Critics
from stitchrl.testing.subject import quick_options

KIND, SIZE, DIVERSITY = "continuous", 2, 0.7
PARTS = ("actor", "critics", "temperature", "target_critics")
HYPER = {
    "initial_temperature": 0.6,
    "entropy_per_action": -0.5,
    "discount": 0.9,
    "target_rate": 0.1,
    "hidden": (8, 8),
}
BATCHES = [random_batch(KIND, seed) for seed in (1, 2)]
RATES = {Descent: (0.2, 0.3), Adam: (1e-3, 2e-3)}  # Of the critics, of the rest.
SIZES = {SAC: {}, SACN: {"ensemble": 4}, EDAC: {"ensemble": 3, "hidden": (5,)}}


def draws(update: int) -> list[np.ndarray]:
    """The noise of π(s) and of π(s') in one update."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(9), update))
    rows = [jax.random.split(key, ROWS) for key in keys]
    noise = jax.vmap(lambda key: jax.random.normal(key, (SIZE,)))
    return [np.asarray(noise(row), np.float64) for row in rows]


def similarity(critics: Arrays, batch, wrong="") -> float:
    """Mean over rows of Σ over i ≠ j of cos(∇Q_i, ∇Q_j), over N - 1."""
    _, back = action_values(critics, batch.s, batch.a)
    members = len(critics[0])
    slopes = []
    for member in range(members):
        chosen = np.zeros((ROWS, members))
        chosen[:, member] = 1
        slope = back(chosen)[1]
        if wrong != "slopes keep their length":
            length = np.linalg.norm(slope, axis=1, keepdims=True)
            slope = slope / np.maximum(length, 1e-10)  # Zero where no unit is active.
        slopes.append(slope)
    total = 0.0
    for i in range(members):
        for j in range(members):
            if i != j:
                total += (slopes[i] * slopes[j]).sum(axis=1).mean()
    return total / members if wrong == "over N" else total / (members - 1)


def reference(nets, batches, optimizers, diversity=0.0, wrong=""):
    actor, critics, temperature, targets = nets
    for i, batch in enumerate(batches):
        here, there = draws(i)
        action, log_density, back_actor = squashed(actor, batch.s, here)
        excess = -log_density.mean() - HYPER["entropy_per_action"] * SIZE
        new_temperature = optimizers[2].step(temperature, [np.array(excess)])
        is_new = "sees the new temperature" in wrong
        heat = np.exp((new_temperature if is_new else temperature)[0])

        next_action, next_density, _ = squashed(actor, batch.next_s, there)
        valuer = critics if wrong == "the online critics value" else targets
        next_q = action_values(valuer, batch.next_s, next_action)[0]
        next_q = next_q.mean(1) if wrong == "mean instead of minimum" else next_q.min(1)
        if wrong != "no entropy in the backup":
            next_q = next_q - heat * next_density
        target = bellman(batch, HYPER["discount"], next_q)
        q, back = action_values(critics, batch.s, batch.a)
        slopes, _ = back(2 * (q - target[:, None]) / ROWS)
        if diversity:
            push = slopes_of(lambda c, b=batch: similarity(c, b, wrong), critics)
            slopes = [td + diversity * p for td, p in zip(slopes, push)]
        new_critics = optimizers[1].step(critics, slopes)

        seen = new_critics if wrong == "the actor sees the new critics" else critics
        q, back = action_values(seen, batch.s, action)
        slope_q = np.where(q == q.min(axis=1, keepdims=True), -1 / ROWS, 0)
        slopes = back_actor(back(slope_q)[1], np.full(ROWS, heat / ROWS))
        actor = optimizers[0].step(actor, slopes)
        critics, temperature = new_critics, new_temperature
        targets = polyak(targets, critics, HYPER["target_rate"])
    return actor, critics, temperature, targets


def parts(state) -> list:
    learners = [state.actor, state.critics, state.temperature]
    return [learner.network for learner in learners] + [state.target_critics]


@cache
def ours(cls: type, optimizer: type) -> tuple[Any, Any]:
    """Our state before two updates and after them."""
    is_plain = optimizer is Descent
    extra = {"diversity_weight": DIVERSITY} if cls is EDAC else {}
    made = with_plain_steps(cls) if is_plain else cls
    rates = dict(zip(("learning_rate", "actor_learning_rate"), RATES[optimizer]))
    algorithm = made(**HYPER | SIZES[cls], **rates, **extra)
    first = started(algorithm, KIND)
    return first, updated(algorithm, first, KIND, BATCHES)[-1]


def gaps(cls: type, optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    first, last = ours(cls, optimizer)
    q_rate, actor_rate = RATES[optimizer]
    optimizers = [optimizer(actor_rate), optimizer(q_rate), optimizer(actor_rate)]
    nets = [arrays(part) for part in parts(first)]
    diversity = DIVERSITY if cls is EDAC else 0.0
    expected = reference(nets, BATCHES, optimizers, diversity, wrong)
    starts = parts(first) if optimizer is Descent else [None] * 4
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("cls", SIZES)
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(cls: type, optimizer: type):
    found = gaps(cls, optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = [
    (SAC, "the actor sees the new critics", ["actor"]),
    (SAC, "the actor sees the new temperature", ["actor"]),
    (SAC, "the target sees the new temperature", ["critics"]),
    (SAC, "no entropy in the backup", ["critics", "target_critics"]),
    (SAC, "the online critics value", ["critics", "target_critics"]),
    (SACN, "mean instead of minimum", ["critics", "target_critics"]),
    (EDAC, "slopes keep their length", ["critics"]),
    (EDAC, "over N", ["critics"]),
]


@pytest.mark.parametrize("cls, wrong, felt", WRONG)
def test_other_orders_would_be_noticed(cls: type, wrong: str, felt: list[str]):
    found = gaps(cls, Descent, wrong)
    assert all(found[part] > 1e-2 for part in felt), found


@pytest.mark.parametrize("members, silent", [(3, 0), (3, 1), (3, 3), (1, 0)])
def test_metrics_and_that_a_slope_of_zero_has_no_direction(members: int, silent: int):
    """Of critics whose last layer is zero, and of one that is alone."""
    edac = EDAC(ensemble=members, hidden=(5,))
    critics = Critics.create(jax.random.key(3), SPECS[KIND], (5,), members)
    leaves = jax.tree.leaves(critics)  # Weight and bias of the first layer and the last.
    leaves[2] = leaves[2].at[:silent].set(0.0)
    critics = jax.tree.unflatten(jax.tree.structure(critics), leaves)
    batch = random_batch(KIND, 1)
    differentiate = jax.grad(edac.critic_loss, has_aux=True)
    differentiate = jax.jit(differentiate, compiler_options=quick_options())
    slopes, metrics = differentiate(critics, jnp.zeros(ROWS), transitions(batch, KIND))
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(slopes))
    assert np.isfinite(largest) and largest < 100
    expected = 0.0 if members - silent < 2 else similarity(arrays(critics), batch)
    assert metrics["critics/similarity"] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    spread = action_values(arrays(critics), batch.s, batch.a)[0].std(axis=1).mean()
    assert metrics["critics/spread"] == pytest.approx(spread, rel=1e-5, abs=1e-7)
