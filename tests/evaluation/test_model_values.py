"""Policies played in models of processes whose values are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation.test_network_values import Fixed, bandit, chain

from stitchrl.candidates import Candidate
from stitchrl.dataset import Bounds, Dataset
from stitchrl.evaluation.model_values import ModelValues
from stitchrl.evaluation.requests import Request
from stitchrl.normalizer import Normalizer
from stitchrl.ope.importance import data_mean
from stitchrl.policies import Normalized
from stitchrl.problems.lqg import ACTION_LIMIT, BEHAVIOR, LQG, TARGET
from stitchrl.splits import folds
from stitchrl.tree import pytree
from stitchrl.types import Scalar


@pytree
class Steering:
    """The policy of the LQG, in the units of networks."""

    gain: Scalar
    deviation: Scalar

    def mode(self, observation):
        return -self.gain * observation / ACTION_LIMIT

    def sample(self, observation, key):
        noise = jax.random.normal(key, observation.shape)
        return self.mode(observation) + self.deviation / ACTION_LIMIT * noise


def request(policy, *, act="sample", share=1.0, size=1):
    normalized = Normalized(policy, Normalizer.identity(size))
    return Request(Candidate("it", "policy", act, normalized), share)


def values_of(log, behavior, *, updates, discount=1.0):
    """With the behavior as it is, in the place of its imitations."""
    imitations = [behavior.candidate.policy] * 2
    return ModelValues(log, imitations, discount=discount, updates=updates, seed=0)


@pytest.fixture(scope="module")
def on_lqg():
    log = LQG().log(BEHAVIOR, episodes=200, horizon=10, seed=0)
    steering = Steering(TARGET.gain, TARGET.deviation)
    requests = [
        request(steering),
        request(steering, act="mode"),
        request(steering, share=0.0),
    ]
    present = request(Steering(BEHAVIOR.gain, BEHAVIOR.deviation))
    return log, values_of(log, present, updates=500).evaluate(requests)


def test_a_linear_process_is_found_out(on_lqg):
    """Against the exact value from these starts, of a noisy and of a certain policy."""
    log, (noisy, certain, _) = on_lqg
    square = np.square(log.observation[log.first_row]).mean()
    pairs = (noisy.value, TARGET), (certain.value, TARGET._replace(deviation=0.0))
    for value, policy in (*pairs, (noisy.present, BEHAVIOR)):
        curvature, constant = LQG().quadratic_value(policy, 1.0, horizon=10)
        assert value == pytest.approx(-(curvature * square + constant), rel=0.05)
    assert noisy.kind == "linear-Gaussian"
    assert noisy.outside_share < 0.01 and noisy.endless_share == 0


def test_a_mixture_with_all_of_the_behavior_is_the_behavior(on_lqg):
    assert on_lqg[1][2].value == pytest.approx(on_lqg[1][0].present, rel=0.03)


@pytree
class Draws(Fixed):
    """The same, which can be played."""

    def sample(self, observation, key):
        del observation
        return jax.random.categorical(key, jnp.log(self.chances))


ONLY, ONE = Draws(jnp.ones(1)), Draws(jnp.array([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("discount, exact", [(1.0, 10.0), (0.9, 5.263158)])
def test_ends_are_learned(discount, exact):
    """Every tenth step ends, unforeseeably: 10 steps, or 1 / (1 - .9²) of them."""
    only = request(ONLY)
    models = values_of(chain(), only, updates=2_000, discount=discount)
    (found,) = models.evaluate([only])
    assert found.kind == "networks"
    assert found.value == pytest.approx(exact, rel=0.06)
    assert found.present == pytest.approx(exact, rel=0.06)
    assert found.endless_share < 0.01


def test_a_model_of_a_bandit_knows_both_arms_and_its_share():
    log = bandit()
    good = Draws(jnp.array([1.0, 0.0, 0.0]))
    requests = [request(good), request(good, share=0.5)]
    present = request(Draws(jnp.array([0.5, 0.5, 0.0])))
    whole, half = values_of(log, present, updates=1_000).evaluate(requests)
    assert whole.value == pytest.approx(1.0, abs=0.02)
    assert half.value == pytest.approx(0.75, abs=0.05)  # ½ · 1 + ½ · ½
    assert whole.heard(data_mean(log, discount=1.0, level=0.95), log.returns()).is_heard


def test_values_of_a_fold_are_by_the_model_of_the_other():
    """Each fold pays another reward: its starts are played in the other's."""
    log = bandit(400)
    fold = folds(log, 0)
    log = dataclasses.replace(log, reward=np.where(fold == 0, 0.25, 0.75), state_id=None)
    models = values_of(log, request(ONE), updates=600)
    acting = models._played(request(ONE).candidate, 1.0)
    assert models.log.models.kind == "networks"
    (first, second) = models.log.models.of_fold
    at = jnp.zeros(1), jnp.asarray(0)
    for ensemble, reward in ((first, 0.75), (second, 0.25)):
        step = jax.vmap(lambda one: one.step(*at, jax.random.key(0)))(ensemble)
        assert step.reward.mean() == pytest.approx(reward, abs=0.02)
    assert acting[0] == pytest.approx(0.5, abs=0.02)


def test_actions_that_nobody_logged_are_counted_and_not_heard():
    """Logged U(-.2, .2) and paid by it; the policy always does 1."""
    rng = np.random.default_rng(0)
    dose = rng.uniform(-0.2, 0.2, (400, 1))
    log = Dataset.create(
        observation=np.ones((400, 1)),
        action=dose,
        actions=Bounds(("dose",), (-1.0,), (1.0,)),
        reward=dose[:, 0],
        terminated=np.ones(400, bool),
        truncated=np.zeros(400, bool),
    )
    behavior = request(Spread(0.0, 0.2))
    policies = [request(Spread(1.0, 0.0)), request(Spread(0.1, 0.05)), behavior]
    far, near, same = values_of(log, behavior, updates=600).evaluate(policies)
    returns, present = log.returns(), data_mean(log, discount=1.0, level=0.95)
    assert far.outside_share == 1.0
    assert "leaves the range" in far.heard(present, returns).unheard
    assert near.outside_share == same.outside_share == 0
    assert near.value == pytest.approx(0.1, abs=0.02)
    assert near.heard(present, returns).is_heard and not near.is_checked


@pytree
class Spread:
    """Uniform around a dose."""

    middle: Scalar
    half: Scalar

    def mode(self, observation):
        return jnp.full(1, self.middle) + 0 * observation[:1]

    def sample(self, observation, key):
        drawn = jax.random.uniform(key, (1,), minval=-1.0, maxval=1.0)
        return self.mode(observation) + self.half * drawn


def test_what_cannot_be_played_has_no_value():
    from_columns = Request(Candidate("it", "external", "sample", np.ones((1_000, 1))))
    models = values_of(chain(), request(ONLY), updates=10)
    assert models.evaluate([from_columns]) == [None]
    log = chain()
    cut = dataclasses.replace(
        log, terminated=np.zeros(1_000, bool), truncated=log.terminated
    )
    assert values_of(cut, request(ONLY), updates=10).evaluate([request(ONLY)]) == [None]
    masked = dataclasses.replace(log, valid_actions=np.ones((1_000, 1), bool))
    assert values_of(masked, request(ONLY), updates=10).evaluate([request(ONLY)]) == [None]
