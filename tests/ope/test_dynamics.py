"""Models of a process: fits against known numbers, and play against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from stitchrl.experience import Fold, Transition
from stitchrl.networks import MLP, Linear
from stitchrl.ope.base import Estimate, Family
from stitchrl.ope.dynamics import Limits, ModelValue, Rows, Step, play
from stitchrl.ope.dynamics_linear import fit_linear, linear_surprise, squares, squares_size
from stitchrl.ope.dynamics_network import Dynamics, NetworkDynamics
from stitchrl.population import stack
from stitchrl.tree import pytree
from stitchrl.types import Scalar


def limits(most, *, reward=1e6, slack=0.0):
    low = jnp.full(1, -1e6)
    tried = jnp.array([True, False])
    top = jnp.full(1, most)
    return Limits(low, top, low[0], jnp.float32(reward), jnp.full(1, slack), tried)


WIDE = limits(1e6)


@pytree
class Counting:
    """The observation grows by one, which is the reward; an end with a fixed chance."""

    end: Scalar

    def step(self, observation, action, key):
        del key
        del action
        return Step(observation + 1.0, observation[0], jnp.asarray(self.end))


def nothing(policy, observation, key):
    del policy, observation, key
    return jnp.array(0)


def untried(policy, observation, key):
    del policy, observation, key
    return jnp.array(1)


def played(end, *, episodes=4, within=WIDE, discount=1.0, longest=10, acts=nothing):
    return play(
        stack([Counting(end), Counting(end)]),
        None,
        jnp.ones((2, episodes, 1)),
        within,
        jax.random.split(jax.random.key(0), 2),
        acts=acts,
        discount=jnp.float32(discount),
        longest=longest,
    )


def test_play_adds_up_discounted_rewards():
    """1 + .5 · 2 + .25 · 3 + .125 · 4 = 3.25."""
    found = played(0.0, discount=0.5, longest=4)
    np.testing.assert_allclose(found.returns, np.full((2, 4), 3.25))
    np.testing.assert_array_equal(found.steps, np.full((2, 4), 4.0))
    assert not found.ended.any() and not found.outside.any()


def test_play_stops_at_the_end_of_an_episode():
    """Steps are geometric: mean 5, and every episode ends."""
    found = played(0.2, episodes=20_000, longest=200)
    assert found.steps.mean() == pytest.approx(5.0, abs=0.1)
    assert found.ended.all()
    np.testing.assert_allclose(found.returns, found.steps * (found.steps + 1) / 2)
    assert len(np.unique(found.steps[0])) > 10  # Chance is not shared between episodes.
    assert (found.steps[0] != found.steps[1]).any()


def test_play_is_held_inside_what_was_logged_and_counts_it():
    """Observations 1, 2, 3, 3, 3: from the third step on, reward and move are held.

    The last move leads nowhere and is not counted; nor is one by less than the slack.
    """
    found = played(0.0, within=limits(3.0, reward=2.5), longest=5)
    np.testing.assert_allclose(found.returns, np.full((2, 4), 1 + 2 + 3 * 2.5))
    np.testing.assert_array_equal(found.outside, np.full((2, 4), 2.0))
    found = played(0.0, within=limits(3.0, slack=1.5), longest=5)
    assert not found.outside.any()


def test_actions_that_were_never_logged_are_counted_to_the_last():
    assert not played(0.0, longest=5).outside.any()
    np.testing.assert_array_equal(played(0.0, longest=5, acts=untried).outside, 5.0)
    some = WIDE._replace(tried=(jnp.full(1, -0.5), jnp.full(1, 0.5)))
    assert some.has(jnp.array([0.5])) and not some.has(jnp.array([0.51]))


def rows(size=4_000, *, count=0, noise=0.0):
    """Changes linear, rewards quadratic, in two features and one action."""
    rng = np.random.default_rng(0)
    state = rng.standard_normal((size, 2))
    action = rng.integers(0, count, size) if count else rng.uniform(-1, 1, (size, 1))
    push = np.array([0.3, -0.2]) * (action[:, None] if count else action)
    shock = noise * rng.standard_normal((size, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    change = 0.1 + state @ np.array([[-0.5, 0.1], [0.2, -0.4]]) + push + shock
    reward = 1 - state[:, 0] ** 2 + 0.5 * state[:, 0] * state[:, 1] + push[:, 0]
    goes_on = rng.random(size) < 0.9
    change[~goes_on] = 1e3  # Of no meaning: must not be fitted.
    return Rows(state, action, change, reward, goes_on)


@pytest.mark.parametrize("count", [0, 3])
def test_least_squares_find_linear_changes_and_quadratic_rewards(count):
    data = rows(count=count)
    model = fit_linear(data, count=count)
    action = data.action[0] if count else data.action[0].astype(np.float32)
    step = model.step(data.observation[0].astype(np.float32), action, jax.random.key(0))
    i = int(np.flatnonzero(data.goes_on)[0])
    assert i == 0
    np.testing.assert_allclose(
        step.observation, data.observation[0] + data.change[0], atol=0.01
    )
    assert step.reward == pytest.approx(data.reward[0], abs=1e-4)
    assert step.end == 0


def test_a_constant_and_the_slopes_are_found():
    weight = np.asarray(fit_linear(rows(), count=0).weight)
    exact = [[0.1, 0.1], [-0.5, 0.1], [0.2, -0.4], [0.3, -0.2]]
    np.testing.assert_allclose(weight, exact, atol=1e-5)


def test_noise_is_found_with_its_correlation():
    model = fit_linear(rows(200_000, noise=0.3), count=0)
    found = np.asarray(model.factor) @ np.asarray(model.factor).T
    mixing = np.array([[1.0, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(found, 0.09 * mixing.T @ mixing, rtol=0.02)


def test_surprise_of_a_linear_model_is_that_of_its_normal_distribution():
    data = rows(50, noise=0.3)
    model = fit_linear(data, count=0)
    weight, factor = np.asarray(model.weight, float), np.asarray(model.factor, float)
    known = data.goes_on
    design = np.column_stack([np.ones(50), data.observation, data.action])
    changes = multivariate_normal(np.zeros(2), factor @ factor.T)
    left = (data.change - design @ weight)[known]
    squared = jax.vmap(lambda o, a: squares(o, a, 0, len(model.reward)))(
        jnp.asarray(data.observation, jnp.float32), jnp.asarray(data.action, jnp.float32)
    )
    off = data.reward - np.asarray(squared, float) @ np.asarray(model.reward, float)
    spread = off.std() + 1e-3 * data.reward.std() + 1e-12
    exact = -(changes.logpdf(left).sum() + norm(0, spread).logpdf(off).sum()) / 50
    assert linear_surprise(model, data, data) == pytest.approx(exact, rel=1e-6)


def test_products_need_ten_rows_each():
    """Three features and two actions: 6 terms, 21 products of two of them."""
    assert squares_size(3, 2, 0, rows=210) == 21
    assert squares_size(3, 2, 0, rows=209) == 6
    assert squares_size(3, 0, 4, rows=399) == 16  # 1 and 3 features, for each of 4.
    assert squares_size(3, 0, 4, rows=400) == 40


def fixed(bias):
    """A network that says the same everywhere: mean, log std of two, logit."""
    return MLP((Linear(jnp.zeros((2, 5)), jnp.asarray(bias, jnp.float32)),))


def test_surprise_of_a_network_is_that_of_its_normal_distributions():
    """Far from the ends, where log stds are softly held: -.7 stays within 1e-2."""
    mean, scale = jnp.array([1.0, 2.0]), jnp.array([2.0, 4.0])
    model = NetworkDynamics(fixed([0.5, -0.5, -0.7, -2.5, 0.3]), mean, scale, 0)
    at = jnp.zeros(1), jnp.zeros(1)
    _, std, logit = model.parameters(*at)
    np.testing.assert_allclose(np.log(std), [-0.7, -2.5], atol=0.08)
    assert logit == pytest.approx(0.3)
    of_change = norm(1 + 2 * 0.5, 2 * float(std[0])).logpdf(1.5)
    of_reward = norm(2 - 4 * 0.5, 4 * float(std[1])).logpdf(0.1)
    logged = jnp.array([1.5]), jnp.array(0.1)
    found = model.surprise(*at, *logged, jnp.array(True))
    assert found == pytest.approx(-(of_change + of_reward), rel=1e-5)
    ended = model.surprise(*at, *logged, jnp.array(False))
    assert ended == pytest.approx(-of_reward, rel=1e-5)
    step = model.step(*at, jax.random.key(0))
    assert step.reward == pytest.approx(0.0, abs=1e-6)
    assert step.end == pytest.approx(1 / (1 + np.exp(-0.3)), rel=1e-6)


def test_the_loss_of_a_network_on_fixed_weights():
    """Surprise, cross-entropy of ends that are asked for, and weights (none here)."""
    model = Dynamics(
        fold=Fold(jnp.arange(2), jnp.array(2)),
        ends=jnp.array([False, True]),
        mean=jnp.zeros(2),
        scale=jnp.ones(2),
    )
    network = fixed([0.0, 0.0, 0.0, 0.0, 0.3])
    batch = Transition(
        observation=jnp.zeros((2, 1)),
        action=jnp.zeros((2, 1)),
        reward=jnp.array([1.0, 2.0]),
        next_observation=jnp.array([[0.5], [9.0]]),
        terminated=jnp.array([False, True]),
    )
    loss, metrics = model.loss(network, batch, model.ends)
    std = float(
        model.of(network, batch.action).parameters(jnp.zeros(1), jnp.zeros(1))[1][0]
    )
    normal = norm(0, std)
    surprise = -(normal.logpdf([0.5, 1.0]).sum() + normal.logpdf(2.0)) / 2
    entropy = (np.log1p(np.exp(0.3)) + np.log1p(np.exp(-0.3))) / 2
    assert metrics["dynamics/surprise"] == pytest.approx(surprise, rel=1e-5)
    assert metrics["dynamics/end"] == pytest.approx(entropy, rel=1e-5)
    assert loss == pytest.approx(surprise + entropy, rel=1e-5)


@pytest.mark.parametrize(
    "present, outside, endless, is_heard",
    [
        (0.52, 0.0, 0.0, True),
        (0.75, 0.0, 0.0, False),  # Not what the log says of the present behavior.
        (0.52, 0.2, 0.0, False),
        (0.52, 0.0, 0.02, False),
    ],
)
def test_a_model_is_heard_if_it_knows_what_the_log_knows(
    present, outside, endless, is_heard
):
    returns = np.linspace(0, 1, 101)
    behavior = Estimate("data", Family.DATA, 0.5, None, 101)
    value = ModelValue(0.6, outside, endless, "networks", present)
    assert not value.is_heard and not value.is_checked
    found = value.heard(behavior, returns)
    assert found.is_checked and found.is_heard is is_heard
