"""The best of what a generator proposes: fixed latents for the mode, drawn for samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.networks import MLP, Critic, Critics, Linear
from stitchrl.proposals import (
    BestProposal,
    Decoder,
    Generator,
    Perturbation,
    draw_latents,
    spread_latents,
)
from stitchrl.spaces import Continuous, Spec

KEY = jax.random.key(0)
HERE = jnp.zeros(1)


def linear(weight: list[list[float]], bias: list[float]) -> MLP:
    return MLP((Linear(jnp.array(weight), jnp.array(bias)),))


def simple(step: float) -> BestProposal:
    """Proposes tanh of the first latent, moves it upwards, and finds larger ones better."""
    critic = Critic(linear([[0.0], [1.0]], [0.0]))
    return BestProposal(
        critics=Critics(jax.tree.map(lambda x: jnp.stack([x, -x]), critic)),
        decoder=Decoder(linear([[0.0], [1.0], [0.0]], [0.0])),
        perturbation=Perturbation(linear([[0.0], [0.0]], [100.0])),
        largest_step=step,
        latents=spread_latents(20, 2),
    )


def test_the_mode_is_the_best_of_the_fixed_proposals():
    policy = simple(step=0.05)
    best = np.tanh(np.asarray(policy.latents)[:, 0]).max() + 0.05
    assert float(policy.mode(HERE)[0]) == pytest.approx(best, rel=1e-6)
    np.testing.assert_array_equal(policy.mode(HERE), policy.mode(HERE))


def test_a_sample_is_the_best_of_proposals_drawn_anew():
    policy = simple(step=0.0)
    drawn = np.tanh(np.asarray(draw_latents(KEY, 20, 2))[:, 0]).max()
    assert float(policy.sample(HERE, KEY)[0]) == pytest.approx(drawn, rel=1e-6)
    assert float(policy.sample(HERE, KEY)[0]) <= np.tanh(0.5) + 1e-6


def test_a_perturbation_stays_within_its_step_and_the_bounds():
    move = Perturbation.create(KEY, Spec(1, Continuous(2)), (8,))
    actions = jax.random.uniform(KEY, (50, 2), minval=-1.0, maxval=1.0)
    louder = jax.tree.map(lambda x: 20 * x, move)
    moved = jax.vmap(louder, (None, 0, None))(HERE, actions, 0.3)
    assert float(jnp.abs(moved - actions).max()) <= 0.3 + 1e-6
    assert float(jnp.abs(moved).max()) == 1.0  # Some would have left.
    np.testing.assert_array_equal(
        jax.vmap(move, (None, 0, None))(HERE, actions, 0.0), actions
    )


def test_a_generator_bounds_its_stds_and_decodes_two_latents_for_each_action():
    generator = Generator.create(KEY, Spec(3, Continuous(2)), (8,))
    assert generator.decoder.latent_size == 4
    quiet = jax.tree.map(lambda x: -1e4 * jnp.ones_like(x), generator)
    mean, std = quiet.encode(jnp.ones(3), jnp.ones(2))
    assert mean.shape == (4,)
    np.testing.assert_allclose(std, np.exp(-4.0), rtol=1e-5)


@pytest.mark.parametrize("size", [2, 6])
def test_spread_latents_have_the_distribution_of_drawn_ones(size: int):
    spread = np.asarray(spread_latents(1000, size))
    drawn = np.asarray(draw_latents(KEY, 20_000, size))
    assert spread.shape == (1000, size) and not spread[0].any()
    for column in range(size):
        for level in (-0.5, -0.3, 0.0, 0.3, 0.49):
            ours = (spread[:, column] <= level).mean()
            assert ours == pytest.approx((drawn[:, column] <= level).mean(), abs=0.03)
    correlation = np.corrcoef(spread.T) - np.eye(size)
    assert np.abs(correlation).max() < 0.1
