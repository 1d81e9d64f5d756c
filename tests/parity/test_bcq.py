"""BCQ of continuous actions: two updates against the equations, draws replayed."""

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
    slopes_of,
    started,
    updated,
    with_plain_steps,
)
from parity.numpy_policies import normals

from stitchrl.algorithms.bcq import BCQ

PARTS = ("generator", "critics", "perturbation", "target_critics", "target_perturbation")
STEP, SHARE, PRIOR, RATE, SAMPLES, LATENT = 0.3, 0.6, 0.4, 0.1, 3, 4
HYPER = {
    "largest_step": STEP,
    "minimum_share": SHARE,
    "prior_weight": PRIOR,
    "discount": 0.9,
    "target_rate": RATE,
    "target_samples": SAMPLES,
    "hidden": (8, 8),
    "generator_hidden": (8, 8),
}


def draws(update: int):
    """Noise of the encoder, latents for s' (rows, samples, latent) and latents for s."""
    key = jax.random.fold_in(jax.random.key(9), update)
    encoder_key, next_key, key = jax.random.split(key, 3)
    after = normals(next_key, ROWS, SAMPLES, LATENT)
    return normals(encoder_key, ROWS, LATENT), after, normals(key, ROWS, LATENT)


def join(*columns: np.ndarray) -> np.ndarray:
    return np.concatenate(columns, axis=1)


def decoded(generator, s, latent):
    return np.tanh(mlp(generator[6:], join(s, latent))[0])


def perturbed(perturbation, s, action):
    step = np.tanh(mlp(perturbation, join(s, action))[0])
    return np.clip(action + STEP * step, -1, 1)


def generator_loss(generator, batch, noise):
    mean, log_std = np.split(mlp(generator[:6], join(batch.s, batch.a))[0], 2, axis=1)
    action = decoded(generator, batch.s, mean + np.exp(log_std) * noise)
    divergence = 0.5 * (mean**2 + np.exp(2 * log_std) - 1 - 2 * log_std)
    return ((action - batch.a) ** 2).mean() + PRIOR * divergence.mean()


def best_next(generator, perturbation, critics, batch, latents, wrong):
    bound = np.inf if wrong == "latents are not clipped" else 0.5
    values = []
    for k in range(SAMPLES):
        latent = np.clip(latents[:, k], -bound, bound)
        action = decoded(generator, batch.next_s, latent)
        action = perturbed(perturbation, batch.next_s, action)
        q, _ = action_values(critics, batch.next_s, action)
        values.append(SHARE * q.min(axis=1) + (1 - SHARE) * q.max(axis=1))
    return np.mean(values, 0) if wrong == "mean of proposals" else np.max(values, 0)


def reference(nets, batches, optimizers, wrong=""):
    generator, critics, perturbation, targets, target_perturbation = nets
    for i, batch in enumerate(batches):
        noise, after, here = draws(i)
        old, old_critics = generator, critics

        def of_generator(network, batch=batch, noise=noise):
            return generator_loss(network, batch, noise)

        slopes = slopes_of(of_generator, generator)
        generator = optimizers[0].step(generator, slopes)

        proposer = old if wrong == "the old generator proposes" else generator
        mover = perturbation if wrong == "the online step moves" else target_perturbation
        valuer = critics if wrong == "the online critics value" else targets
        following = best_next(proposer, mover, valuer, batch, after, wrong)
        target = bellman(batch, 0.9, following)

        def of_critics(network, batch=batch, target=target):
            q, _ = action_values(network, batch.s, batch.a)
            return ((q - target[:, None]) ** 2).sum(axis=1).mean()

        critics = optimizers[1].step(critics, slopes_of(of_critics, critics))

        seen = old_critics if wrong == "the step sees the old critics" else critics
        proposed = decoded(proposer, batch.s, np.clip(here, -0.5, 0.5))

        def of_perturbation(network, batch=batch, proposed=proposed, seen=seen):
            action = perturbed(network, batch.s, proposed)
            return -action_values(seen, batch.s, action)[0][:, 0].mean()

        slopes = slopes_of(of_perturbation, perturbation)
        perturbation = optimizers[2].step(perturbation, slopes)
        targets = polyak(targets, critics, RATE)
        target_perturbation = polyak(target_perturbation, perturbation, RATE)
    return generator, critics, perturbation, targets, target_perturbation


def parts(state) -> list:
    learners = [state.generator, state.critics, state.perturbation]
    networks = [learner.network for learner in learners]
    return [*networks, state.target_critics, state.target_perturbation]


def gaps(optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    is_plain = optimizer is Descent
    rate = 0.5 if is_plain else 1e-3
    algorithm = (with_plain_steps(BCQ) if is_plain else BCQ)(**HYPER, learning_rate=rate)
    other = algorithm.init(jax.random.key(6), SPECS["continuous"])
    first = started(algorithm, "continuous")
    first = first._replace(target_perturbation=other.target_perturbation)
    batches = [random_batch("continuous", seed) for seed in (1, 2)]
    last = updated(algorithm, first, "continuous", batches)[-1]
    nets = [arrays(part) for part in parts(first)]
    expected = reference(nets, batches, [optimizer(rate) for _ in "abc"], wrong)
    starts = parts(first) if is_plain else [None] * 5
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(optimizer: type):
    found = gaps(optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = {
    "the old generator proposes": ["critics", "perturbation"],
    "the online step moves": ["critics"],
    "the online critics value": ["critics"],
    "the step sees the old critics": ["perturbation"],
    "mean of proposals": ["critics"],
    "latents are not clipped": ["critics"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_other_orders_would_be_noticed(wrong: str):
    found = gaps(Descent, wrong)
    assert all(found[part] > 1e-3 for part in WRONG[wrong]), found
