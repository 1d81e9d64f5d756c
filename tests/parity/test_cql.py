"""CQL for continuous actions: two updates against the equations, draws replayed."""

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
    log_sum_exp,
    mlp,
    polyak,
    random_batch,
    softmax,
    started,
    updated,
    with_plain_steps,
)

from stitchrl.algorithms.cql import CQL

KIND = "continuous"
PARTS = ("actor", "critics", "temperature", "weight", "target_critics")
SAMPLES, SIZE = 3, 2
HYPER = {
    "initial_temperature": 0.6,
    "entropy_per_action": -0.5,
    "initial_weight": 1.3,
    "target_gap": 2.0,
    "discount": 0.9,
    "target_rate": 0.1,
    "action_samples": SAMPLES,
    "hidden": (8, 8),
}


def draws(update: int):
    """Noise for π(s) and π(s'), and the gap's uniform actions and noise, of one update."""
    key = jax.random.fold_in(jax.random.key(9), update)
    actor_key, next_key, gap_key = jax.random.split(key, 3)

    def noise(key) -> np.ndarray:
        return np.asarray(jax.random.normal(key, (SIZE,)), np.float64)

    here = np.stack([noise(key) for key in jax.random.split(actor_key, ROWS)])
    there = np.stack([noise(key) for key in jax.random.split(next_key, ROWS)])
    uniform, around = [], []
    for row_key in jax.random.split(gap_key, ROWS):
        first, *others = jax.random.split(row_key, 2 * SAMPLES + 1)
        shape = (SAMPLES, SIZE)
        uniform.append(jax.random.uniform(first, shape, minval=-1.0, maxval=1.0))
        around.append([noise(key) for key in others])
    return here, there, np.asarray(uniform, np.float64), np.asarray(around)


def squashed(actor: Arrays, s: np.ndarray, noise: np.ndarray):
    """tanh(mean + std noise), its log-density, and the way back to the network."""
    out, back = mlp(actor, s)
    mean, log_std = out[:, :SIZE], out[:, SIZE:]
    std = np.exp(log_std)
    action = np.tanh(mean + std * noise)
    log_density = (
        -0.5 * noise**2 - 0.5 * np.log(2 * np.pi) - log_std - np.log(1 - action**2)
    ).sum(axis=1)

    def slopes(of_action: np.ndarray, of_log_density: np.ndarray) -> Arrays:
        # d log(1 - tanh²x)/dx = -2 tanh x.
        before = of_action * (1 - action**2) + of_log_density[:, None] * 2 * action
        of_log_std = before * std * noise - of_log_density[:, None]
        return back(np.concatenate([before, of_log_std], axis=1))[0]

    return action, log_density, slopes


def clone_slopes(actor: Arrays, batch) -> Arrays:
    """Of the mean log-likelihood of the logged actions."""
    out, back = mlp(actor, batch.s)
    mean, std = out[:, :SIZE], np.exp(out[:, SIZE:])
    z = (np.arctanh(batch.a) - mean) / std
    return back(np.concatenate([z / std, z**2 - 1], axis=1) / len(z))[0]


def gap_and_slopes(critics: Arrays, actor: Arrays, batch, uniform, around, wrong=""):
    """log Σ exp(Q - log density) - Q(s, a), mean over rows, for each critic."""
    following = np.where(batch.terminated[:, None], batch.s, batch.next_s)
    found, densities = [uniform], [np.full((ROWS, SAMPLES), -SIZE * np.log(2.0))]
    for place, noise in ((batch.s, around[:, :SAMPLES]), (following, around[:, SAMPLES:])):
        flat = np.repeat(place, SAMPLES, axis=0)
        action, density, _ = squashed(actor, flat, noise.reshape(-1, SIZE))
        found.append(action.reshape(ROWS, SAMPLES, SIZE))
        densities.append(density.reshape(ROWS, SAMPLES))
    actions = np.concatenate(found, axis=1).reshape(-1, SIZE)
    density = np.concatenate(densities, axis=1)
    if wrong == "no importance correction":
        density = np.zeros_like(density)
    q, back = action_values(critics, np.repeat(batch.s, 3 * SAMPLES, axis=0), actions)
    q = q.reshape(ROWS, 3 * SAMPLES, 2).transpose(0, 2, 1) - density[:, None]
    logged, back_logged = action_values(critics, batch.s, batch.a)
    push = (softmax(q) / ROWS).transpose(0, 2, 1).reshape(-1, 2)
    slopes = [
        up - down
        for up, down in zip(back(push)[0], back_logged(np.full((ROWS, 2), 1 / ROWS))[0])
    ]
    return (log_sum_exp(q) - logged).mean(axis=0), slopes


def reference(nets, batches, optimizers, cloning_updates, wrong=""):
    actor, critics, temperature, weight, targets = nets
    for i, batch in enumerate(batches):
        here, there, uniform, around = draws(i)
        action, log_density, actor_slopes = squashed(actor, batch.s, here)

        excess = -log_density.mean() - HYPER["entropy_per_action"] * SIZE
        new_temperature = optimizers["temperature"].step(temperature, [np.array(excess)])

        next_action, next_density, _ = squashed(actor, batch.next_s, there)
        next_value = action_values(targets, batch.next_s, next_action)[0].min(axis=1)
        if wrong == "entropy in the backup":
            next_value = next_value - np.exp(temperature[0]) * next_density
        q, back = action_values(critics, batch.s, batch.a)
        target = bellman(batch, HYPER["discount"], next_value)
        td, _ = back(2 * (q - target[:, None]) / ROWS)
        gap, push = gap_and_slopes(critics, actor, batch, uniform, around, wrong)
        alpha = np.exp(weight[0])
        new_critics = optimizers["critics"].step(
            critics, [t + alpha * p for t, p in zip(td, push)]
        )
        slope = -(gap - HYPER["target_gap"]).mean()
        new_weight = optimizers["weight"].step(weight, [np.array(slope)])

        heat = temperature if wrong == "the actor sees the old temperature" else None
        heat = np.exp((heat or new_temperature)[0])
        seen = new_critics if wrong == "the actor sees the new critics" else critics
        if i < cloning_updates:
            slopes = actor_slopes(np.zeros_like(action), np.full(ROWS, heat / ROWS))
            slopes = [a - c for a, c in zip(slopes, clone_slopes(actor, batch))]
        else:
            q, back = action_values(seen, batch.s, action)
            slope_q = np.where(q == q.min(axis=1, keepdims=True), -1 / ROWS, 0)
            slopes = actor_slopes(back(slope_q)[1], np.full(ROWS, heat / ROWS))
        actor = optimizers["actor"].step(actor, slopes)
        critics, temperature, weight = new_critics, new_temperature, new_weight
        targets = polyak(targets, critics, HYPER["target_rate"])
    return actor, critics, temperature, weight, targets


def parts(state) -> list:
    learners = [state.actor, state.critics, state.temperature, state.weight]
    return [learner.network for learner in learners] + [state.target_critics]


def gaps(optimizer: type, cloning_updates: int, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    is_plain = optimizer is Descent
    names = ("learning_rate", "actor_learning_rate", "weight_learning_rate")
    rates = dict(zip(names, (0.2, 0.3, 0.1) if is_plain else (1e-3, 2e-3, 3e-3)))
    cls = with_plain_steps(CQL) if is_plain else CQL
    algorithm = cls(**HYPER, **rates, cloning_updates=float(cloning_updates))
    first = started(algorithm, KIND)
    batches = [random_batch(KIND, seed) for seed in (1, 2)]
    last = updated(algorithm, first, KIND, batches)[-1]
    q_rate, actor_rate, weight_rate = rates.values()
    optimizers = {
        "critics": optimizer(q_rate),
        "actor": optimizer(actor_rate),
        "temperature": optimizer(actor_rate),
        "weight": optimizer(weight_rate),
    }
    nets = [arrays(part) for part in parts(first)]
    expected = reference(nets, batches, optimizers, cloning_updates, wrong)
    starts = parts(first) if is_plain else [None] * 5
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("cloning_updates", [0, 1, 2])
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(optimizer: type, cloning_updates: int):
    found = gaps(optimizer, cloning_updates)
    assert max(found.values()) < 1e-5, found


WRONG = {
    "the actor sees the new critics": ["actor"],
    "the actor sees the old temperature": ["actor"],
    "entropy in the backup": ["critics", "target_critics"],
    "no importance correction": ["critics", "weight", "target_critics"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_other_orders_would_be_noticed(wrong: str):
    found = gaps(Descent, 0, wrong)
    assert all(found[part] > 1e-2 for part in WRONG[wrong]), found
