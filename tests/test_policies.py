"""Densities that integrate to one and are those of the samples; masks; thresholds."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from stitchrl.networks import MLP, ActionTable, Critic, Critics, Linear
from stitchrl.normalizer import Normalizer
from stitchrl.policies import (
    BestOfChoices,
    BestOfDraws,
    Categorical,
    Deterministic,
    Gaussian,
    Greedy,
    GreedyAmong,
    Normalized,
    SquashedGaussian,
    action_probabilities,
    likelihood_policy,
)
from stitchrl.spaces import Continuous, Discrete, Masked, Spec

KEY = jax.random.key(0)
NOTHING = jnp.zeros(1)


def constant(*values: float) -> MLP:
    """A network that says this about every observation."""
    return MLP((Linear(jnp.zeros((1, len(values))), jnp.array(values)),))


def gaussian(mean: float, log_std: float) -> Gaussian:
    return Gaussian(constant(float(np.arctanh(mean))), jnp.array([log_std]))


CASES: list[Any] = [
    gaussian(0.0, 0.0),
    gaussian(0.9, -1.0),
    gaussian(-0.5, -3.0),
    gaussian(0.3, 2.0),
    SquashedGaussian(constant(0.0, 0.0)),
    SquashedGaussian(constant(0.8, -1.0)),
    SquashedGaussian(constant(-1.0, -2.0)),
]


@pytest.mark.parametrize("policy", CASES)
def test_the_density_is_that_of_the_samples(policy: Any):
    # Equal steps of atanh: fine near the bounds, where tanh squeezes the density.
    edges = np.tanh(np.linspace(-7, 7, 20_001))
    middle = jnp.asarray((edges[1:] + edges[:-1]) / 2, jnp.float32)[:, None]
    log_prob = jax.vmap(policy.log_prob, (None, 0))(NOTHING, middle)
    mass = np.exp(np.asarray(log_prob, np.float64)) * np.diff(edges)
    assert mass.sum() == pytest.approx(1.0, abs=1e-3)
    count = 20_000
    drawn = jax.vmap(policy.sample, (None, 0))(NOTHING, jax.random.split(KEY, count))
    assert drawn.shape == (count, 1) and np.abs(drawn).max() <= 1
    # Kolmogorov and Smirnov: the largest gap of the two distribution functions.
    ours = np.concatenate([[0], np.cumsum(mass)])
    ordered = np.sort(np.asarray(drawn[:, 0], float))
    gap = np.abs(np.interp(ordered, edges, ours) - np.arange(count) / count).max()
    assert gap < 1.95 / np.sqrt(count)  # Exceeded once in a thousand.


def test_gaussian_draws_have_slopes_at_the_end_of_the_range():
    # One draw in 8 million is 0, and among the first million seeds it is this one's. That
    # is often enough to have ended runs of one-step RL on Hopper in nan.
    rare = jax.random.key(780_233)
    assert jax.random.uniform(rare, (1,)) == 0
    for policy in (*CASES[:4], gaussian(0.99, -5.0)):
        draw = jax.value_and_grad(lambda policy: policy.sample(NOTHING, rare)[0])
        action, slope = draw(policy)
        assert -1 <= action < policy.mode(NOTHING)[0]
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_gaussian_likelihood_is_that_before_truncation():
    policy = Gaussian(constant(0.2, -1.0), jnp.array([-0.5, 0.3]))
    action, mean = np.array([0.4, -0.9]), np.tanh([0.2, -1.0])
    std = np.exp([-0.5, 0.3])
    full = stats.norm(mean, std).logpdf(action).sum()
    ours = policy.log_likelihood(NOTHING, jnp.asarray(action, jnp.float32))
    assert ours == pytest.approx(full, rel=1e-5)
    low, high = (-1 - mean) / std, (1 - mean) / std
    cut = stats.truncnorm(low, high, mean, std).logpdf(action).sum()
    ours = policy.log_prob(NOTHING, jnp.asarray(action, jnp.float32))
    assert ours == pytest.approx(cut, rel=1e-5)
    np.testing.assert_allclose(policy.mode(NOTHING), mean, rtol=1e-6)
    below = stats.truncnorm(low, high, mean, std).cdf(action)
    ours = policy.cdf(NOTHING, jnp.asarray(action, jnp.float32))
    np.testing.assert_allclose(ours, below, atol=1e-6)


@pytest.mark.parametrize("log_std, std", [(-50.0, np.exp(-5)), (50.0, np.exp(2))])
def test_log_std_is_kept_in_its_range(log_std: float, std: float):
    assert gaussian(0.0, log_std).std[0] == pytest.approx(std, rel=1e-6)
    _, squashed = SquashedGaussian(constant(0.0, log_std)).parameters(NOTHING)
    assert squashed[0] == pytest.approx(std, rel=1e-6)


def test_squashed_gaussian_says_the_density_of_what_it_drew():
    policy = SquashedGaussian(constant(0.3, -0.7, -1.0, -0.5))
    for key in jax.random.split(KEY, 5):
        action, log_prob = policy.sample_and_log_prob(NOTHING, key)
        np.testing.assert_array_equal(action, policy.sample(NOTHING, key))
        assert policy.log_prob(NOTHING, action) == pytest.approx(float(log_prob), abs=1e-4)
        before = np.arctanh(np.asarray(action, float))
        density = stats.norm([0.3, -0.7], np.exp([-1.0, -0.5])).logpdf(before)
        expected = density - np.log(1 - np.asarray(action, float) ** 2)
        assert float(log_prob) == pytest.approx(expected.sum(), abs=1e-3)


def test_squashed_gaussian_stays_finite_where_tanh_saturates():
    policy = SquashedGaussian(constant(30.0, -1.0))
    action, log_prob = policy.sample_and_log_prob(NOTHING, KEY)
    slope = jax.grad(lambda p: p.sample_and_log_prob(NOTHING, KEY)[1])(policy)
    assert action == 1.0 and np.isfinite(log_prob)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    assert np.isfinite(policy.log_prob(NOTHING, action))


def test_deterministic_policy_is_tanh_of_its_network():
    policy = Deterministic(constant(0.5, -2.0))
    np.testing.assert_allclose(policy.mode(NOTHING), np.tanh([0.5, -2.0]), rtol=1e-6)
    np.testing.assert_array_equal(policy.sample(NOTHING, KEY), policy.mode(NOTHING))


def table(*values: float) -> ActionTable:
    return ActionTable(constant(*values))


def critics(*values: float) -> Critics:
    return Critics(jax.tree.map(lambda x: x[None], table(*values)))


def masked(*allowed: bool) -> Masked:
    return Masked(NOTHING, jnp.array(allowed))


def test_categorical_is_a_softmax_over_what_is_allowed():
    policy = Categorical(table(1.0, 3.0, 2.0))
    np.testing.assert_allclose(
        action_probabilities(policy, NOTHING, 3),
        np.exp([1, 3, 2]) / np.exp([1, 3, 2]).sum(),
        rtol=1e-6,
    )
    only = masked(True, False, True)
    expected = np.array([1 / (1 + np.e), 0, np.e / (1 + np.e)])
    np.testing.assert_allclose(action_probabilities(policy, only, 3), expected, rtol=1e-6)
    assert policy.mode(NOTHING) == 1 and policy.mode(only) == 2
    drawn = jax.vmap(policy.sample, (None, 0))(only, jax.random.split(KEY, 4000))
    share = np.bincount(drawn, minlength=3) / 4000
    np.testing.assert_allclose(share, expected, atol=0.03)
    assert share[1] == 0


def test_categorical_has_finite_gradients_under_a_mask():
    def loss(policy):
        return policy.log_likelihood(masked(True, False, True), jnp.int32(2))

    slope = jax.grad(loss)(Categorical(table(1.0, 3.0, 2.0))).logits.mlp.layers[0].bias
    share = 1 / (1 + np.e)
    np.testing.assert_allclose(slope, [-share, 0, share], atol=1e-6)


def test_greedy_takes_the_best_mean_that_is_allowed():
    policy = Greedy(critics(1.0, 3.0, 2.0))
    assert policy.mode(NOTHING) == 1 == policy.sample(NOTHING, KEY)
    assert policy.mode(masked(True, False, True)) == 2
    np.testing.assert_array_equal(action_probabilities(policy, NOTHING, 3), [0, 1, 0])


@pytest.mark.parametrize(
    "threshold, likely, choice",
    [
        (0.0, [True, True, True], 2),
        (0.24, [True, True, True], 2),
        (0.26, [True, True, False], 0),
        (0.49, [True, True, False], 0),
        (0.51, [False, True, False], 1),
        (1.0, [False, True, False], 1),
        (9.0, [False, True, False], 1),
    ],
)
def test_greedy_among_what_is_likely_enough(threshold: float, likely: list, choice: int):
    """Imitation says 2/7, 4/7, 1/7: relative to the likeliest, ½, 1, ¼."""
    imitation = Categorical(table(float(np.log(2)), float(np.log(4)), 0.0))
    policy = GreedyAmong(critics(5.0, 1.0, 9.0), imitation, threshold)
    assert policy.is_likely(NOTHING).tolist() == likely
    assert policy.mode(NOTHING) == choice == policy.sample(NOTHING, KEY)


def test_greedy_among_never_chooses_what_is_forbidden():
    imitation = Categorical(table(float(np.log(2)), float(np.log(4)), 0.0))
    policy = GreedyAmong(critics(5.0, 1.0, 9.0), imitation, 0.6)
    without_likeliest = masked(True, False, True)  # The likeliest is now the first.
    assert policy.is_likely(without_likeliest).tolist() == [True, False, False]
    assert policy.mode(without_likeliest) == 0
    assert policy.mode(masked(False, False, True)) == 2


def test_normalized_scales_what_the_policy_reads():
    linear = MLP((Linear(jnp.eye(2), jnp.zeros(2)),))
    normalizer = Normalizer(jnp.array([1.0, 2.0]), jnp.array([2.0, 4.0]))
    policy = Normalized(Deterministic(linear), normalizer)
    np.testing.assert_allclose(policy.mode(jnp.array([2.0, 0.0])), np.tanh([0.5, -0.5]))
    missing = policy.mode(jnp.array([jnp.nan, 2.0]))
    np.testing.assert_array_equal(missing, [0.0, 0.0])
    both = Normalized(Categorical(ActionTable(linear)), normalizer)
    here = Masked(jnp.array([2.0, 0.0]), jnp.array([False, True]))
    np.testing.assert_array_equal(action_probabilities(both, here, 2), [0, 1])
    greedy = Normalized(Greedy(critics(1.0, 3.0)), Normalizer.identity(1))
    np.testing.assert_array_equal(action_probabilities(greedy, NOTHING, 2), [0, 1])


def test_the_likelihood_policy_fits_the_actions():
    assert isinstance(likelihood_policy(KEY, Spec(1, Continuous(2)), (4,)), Gaussian)
    assert isinstance(likelihood_policy(KEY, Spec(1, Discrete(2)), (4,)), Categorical)


def test_the_best_of_n_choices_is_as_likely_as_it_is_drawn():
    behavior = Categorical(table(0.5, 0.0, 1.0, -1.0))
    policy = BestOfChoices(critics(2.0, 3.0, 1.0, 9.0), behavior, 3.0)
    only = masked(True, True, True, False)
    chances = action_probabilities(policy, only, 4)
    p = np.exp([0.5, 0.0, 1.0, -np.inf])
    p /= p.sum()
    worst = p[2] ** 3
    expected = [(p[2] + p[0]) ** 3 - worst, 1 - (p[2] + p[0]) ** 3, worst, 0.0]
    np.testing.assert_allclose(chances, expected, atol=1e-6)
    drawn = jax.vmap(policy.sample, (None, 0))(only, jax.random.split(KEY, 4000))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, expected, atol=0.03)
    assert policy.mode(only) == int(np.argmax(expected))


def test_the_best_of_n_draws_is_one_of_them():
    # Q rises with the action: the largest of five draws is taken.
    rising = Linear(jnp.array([[0.0], [1.0]]), jnp.zeros(1))
    q = Critics(jax.tree.map(lambda x: x[None], Critic(MLP((rising,)))))
    behavior = gaussian(0.1, -1.0)
    policy = BestOfDraws(q, behavior, 5)
    keys = jax.random.split(KEY, 5)
    draws = jax.vmap(behavior.sample, (None, 0))(NOTHING, keys)
    np.testing.assert_array_equal(policy.sample(NOTHING, KEY), draws.max(axis=0))
    np.testing.assert_array_equal(policy.mode(NOTHING), policy.mode(NOTHING))
