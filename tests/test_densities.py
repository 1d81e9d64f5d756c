"""Mixtures that integrate to one, divergences with closed forms, masks, slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.densities import (
    COMPONENTS,
    SquashedMixture,
    divergence,
    least_value,
    outcomes,
)
from stitchrl.networks import MLP, ActionTable, Critic, Critics, Linear
from stitchrl.policies import Categorical, SquashedGaussian
from stitchrl.spaces import Masked

KEY = jax.random.key(0)
HERE = jnp.zeros(1)


def constant(*values: float) -> MLP:
    """A network that says this about every observation."""
    return MLP((Linear(jnp.zeros((1, len(values))), jnp.array(values)),))


def mixture(weights: list[float], means: list[float], std: float) -> SquashedMixture:
    log_weight = np.log(weights).tolist()
    return SquashedMixture(constant(*log_weight, *means, *[np.log(std)] * COMPONENTS))


TWO = mixture([0.5, 0.2, 0.1, 0.1, 0.1], [-1.0, 1.0, 1.1, 0.9, 1.0], 0.2)


def test_the_density_of_a_mixture_is_that_of_its_samples():
    edges = np.tanh(np.linspace(-7, 7, 20_001))
    middle = jnp.asarray((edges[1:] + edges[:-1]) / 2, jnp.float32)[:, None]
    log_prob = jax.vmap(TWO.log_prob, (None, 0))(HERE, middle)
    mass = np.exp(np.asarray(log_prob, np.float64)) * np.diff(edges)
    assert mass.sum() == pytest.approx(1.0, abs=1e-3)
    keys = jax.random.split(KEY, 20_000)
    drawn, said = jax.vmap(TWO.sample_and_log_prob, (None, 0))(HERE, keys)
    again = jax.vmap(TWO.log_prob, (None, 0))(HERE, drawn)
    np.testing.assert_allclose(said, again, atol=1e-3)
    ours = np.concatenate([[0], np.cumsum(mass)])
    up_to = jax.vmap(TWO.cdf, (None, 0))(
        HERE, jnp.asarray(edges[1:-1:500], jnp.float32)[:, None]
    )
    np.testing.assert_allclose(up_to[:, 0], ours[1:-1:500], atol=2e-3)
    ordered = np.sort(np.asarray(drawn[:, 0], float))
    gap = np.abs(np.interp(ordered, edges, ours) - np.arange(20_000) / 20_000).max()
    assert gap < 1.95 / np.sqrt(20_000)  # Exceeded once in a thousand.


def test_the_divergence_of_two_gaussians_is_that_before_squashing():
    one = SquashedGaussian(constant(0.3, np.log(0.5)))
    other = mixture([0.2] * COMPONENTS, [0.0] * COMPONENTS, 0.8)
    acts = outcomes(one, HERE, KEY, 20_000)
    expected = np.log(0.8 / 0.5) + (0.5**2 + 0.3**2) / (2 * 0.8**2) - 0.5
    assert float(divergence(acts, other, HERE)) == pytest.approx(expected, abs=0.02)
    back = np.log(0.5 / 0.8) + (0.8**2 + 0.3**2) / (2 * 0.5**2) - 0.5
    acts = outcomes(other, HERE, KEY, 20_000)
    assert float(divergence(acts, one, HERE)) == pytest.approx(back, abs=0.05)


def softmax(*logits: float) -> Categorical:
    return Categorical(ActionTable(constant(*logits)))


def test_of_discrete_actions_everything_is_exact_and_masks_weigh_nothing():
    here = Masked(HERE, jnp.array([True, False, True]))
    one, other = softmax(1.0, 9.0, 0.0), softmax(0.0, 5.0, 2.0)
    critics = Critics(
        jax.tree.map(lambda *x: jnp.stack(x), *map(ActionTable, [
            constant(3.0, 100.0, -1.0), constant(2.0, -100.0, 5.0),
        ]))
    )  # fmt: skip
    acts = outcomes(one, here, KEY, 1)
    p = np.exp([1, 0]) / np.exp([1, 0]).sum()
    q = np.exp([0, 2]) / np.exp([0, 2]).sum()
    np.testing.assert_allclose(acts.weight, [p[0], 0, p[1]], rtol=1e-6)
    expected = (p * np.log(p / q)).sum()
    assert float(divergence(acts, other, here)) == pytest.approx(expected, rel=1e-5)
    assert float(least_value(acts, critics, here)) == pytest.approx(2 * p[0] - p[1])

    def loss(policy):
        acts = outcomes(policy, here, KEY, 1)
        return divergence(acts, other, here) + least_value(acts, critics, here)

    slope = jax.grad(loss)(one).logits.mlp.layers[0].bias
    gain = np.log(p / q) + np.array([2.0, -1.0])
    inner = p * (gain - (p * gain).sum())
    np.testing.assert_allclose(slope, [inner[0], 0, inner[1]], rtol=1e-4)


def test_a_certain_policy_has_a_finite_divergence_and_slope():
    one, other = softmax(300.0, 0.0, 0.0), softmax(0.0, 1.0, 0.0)

    def loss(policy):
        return divergence(outcomes(policy, HERE, KEY, 1), other, HERE)

    value, slope = jax.value_and_grad(loss)(one)
    assert float(value) == pytest.approx(np.log(2 + np.e), rel=1e-5)
    assert np.isfinite(slope.logits.mlp.layers[0].bias).all()


def test_values_of_samples_are_differentiated_through_the_samples():
    """E of Q = a under tanh(N(m, s)): the slope in m is E(1 - a²)."""
    critic = MLP((Linear(jnp.array([[0.0], [1.0]]), jnp.zeros(1)),))
    critics = Critics(jax.tree.map(lambda x: jnp.stack([x, x + 1]), Critic(critic)))

    def value(policy):
        return least_value(outcomes(policy, HERE, KEY, 500), critics, HERE)

    policy = SquashedGaussian(constant(0.4, -1.0))
    slope = jax.grad(value)(policy).mlp.layers[0].bias[0]
    drawn = outcomes(policy, HERE, KEY, 500).action
    assert float(slope) == pytest.approx(float((1 - drawn**2).mean()), rel=1e-4)
