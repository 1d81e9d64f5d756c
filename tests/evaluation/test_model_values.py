"""Policies played in models of processes whose values are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation.test_network_values import Fixed, bandit, chain

from stitchrl.candidates import Candidate
from stitchrl.evaluation.model_values import ModelValues
from stitchrl.evaluation.requests import Request
from stitchrl.normalizer import Normalizer
from stitchrl.ope.importance import data_mean
from stitchrl.policies import Normalized
from stitchrl.problems.lqg import ACTION_LIMIT, BEHAVIOR, LQG, TARGET
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


ONLY = Draws(jnp.ones(1))


@pytest.mark.parametrize("discount, exact", [(1.0, 10.0), (0.9, 5.263158)])
def test_ends_are_learned(discount, exact):
    """Every tenth step ends, unforeseeably: 10 steps, or 1 / (1 - .9²) of them."""
    only = request(ONLY)
    models = values_of(chain(), only, updates=2_000, discount=discount)
    (found,) = models.evaluate([only])
    assert found.kind == "networks"
    assert found.value == pytest.approx(exact, rel=0.06)
    assert found.present == pytest.approx(exact, rel=0.06)
    assert found.endless_share < 0.01 and len(found.members) == 5
    assert np.mean(found.members) == pytest.approx(found.value)


def test_a_model_of_a_bandit_knows_both_arms_and_its_share():
    log = bandit()
    good = Draws(jnp.array([1.0, 0.0, 0.0]))
    requests = [request(good), request(good, share=0.5)]
    present = request(Draws(jnp.array([0.5, 0.5, 0.0])))
    whole, half = values_of(log, present, updates=1_000).evaluate(requests)
    assert whole.value == pytest.approx(1.0, abs=0.02)
    assert half.value == pytest.approx(0.75, abs=0.05)  # ½ · 1 + ½ · ½
    assert whole.heard(data_mean(log, discount=1.0, level=0.95), log.returns()).is_heard


def test_what_cannot_be_played_has_no_value():
    from_columns = Request(Candidate("it", "external", "sample", np.ones((1_000, 1))))
    models = values_of(chain(), request(ONLY), updates=10)
    assert models.evaluate([from_columns]) == [None]
