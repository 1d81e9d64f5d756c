"""Closed forms of the two-mode bandit, and what maximum likelihood makes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.iql import IQL
from stitchrl.experience import Experience
from stitchrl.problems.two_modes import Normal, TwoModes
from stitchrl.testing.subject import quick_options
from stitchrl.train import train

UNEQUAL = TwoModes(right_share=0.4, gain=0.1)


def test_a_log_has_the_moments_of_the_forward_fit():
    problem = TwoModes(right_share=0.3)
    log, fit = problem.log(200_000, seed=0), problem.forward()
    assert log.action.mean() == pytest.approx(fit.mean, abs=1e-3)
    assert log.action.std() == pytest.approx(fit.deviation, rel=1e-3)
    assert (log.action > 0).mean() == 0.3 and log.terminated.all()


@pytest.mark.parametrize("sharpness", [0.0, 5.0, 20.0])
def test_forward_is_the_least_forward_divergence(sharpness: float):
    best = UNEQUAL.forward(sharpness)
    least = UNEQUAL.forward_kl(best, sharpness)
    for mean, deviation in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        other = Normal(best.mean + mean, best.deviation + deviation)
        assert UNEQUAL.forward_kl(other, sharpness) > least


@pytest.mark.parametrize("sharpness", [0.0, 5.0, 20.0])
def test_reverse_is_one_of_the_modes(sharpness: float):
    share = UNEQUAL.weighed_share(sharpness)
    assert share == pytest.approx(
        0.4 * np.exp(0.1 * sharpness) / (0.4 * np.exp(0.1 * sharpness) + 0.6)
    )
    found = UNEQUAL.reverse(sharpness)
    assert found.mean == pytest.approx(0.5 if share > 0.5 else -0.5, abs=1e-6)
    assert found.deviation == pytest.approx(0.05, abs=1e-6)
    least = UNEQUAL.reverse_kl(found, sharpness)
    assert least == pytest.approx(-np.log(max(share, 1 - share)), abs=1e-9)
    between = UNEQUAL.forward(sharpness)
    assert UNEQUAL.reverse_kl(between, sharpness) > least + 1
    assert UNEQUAL.forward_kl(found, sharpness) > UNEQUAL.forward_kl(between, sharpness) + 1


def test_modes_that_overlap_are_met_in_between():
    near = TwoModes(center=0.04, spread=0.05)
    assert near.reverse().mean == pytest.approx(0, abs=1e-4)
    assert near.reverse().deviation > near.spread


def learned(algorithm, problem: TwoModes) -> Normal:
    """The Gaussian policy after a short run."""
    experience = Experience.of(problem.log(4096, seed=0))
    run = jax.jit(
        lambda key: train(algorithm, experience, key, 1500)[0],
        compiler_options=quick_options(),
    )
    policy = algorithm.policy(run(jax.random.key(0)))
    return Normal(float(policy.mode(jnp.ones(1))[0]), float(policy.std[0]))


SMALL = {"hidden": (16, 16), "batch_size": 128, "learning_rate": 3e-3}


def test_cloning_ends_between_the_modes():
    problem = TwoModes(right_share=0.4)
    found, exact = learned(BC(**SMALL), problem), problem.forward()
    assert found.mean == pytest.approx(exact.mean, abs=0.05)
    assert found.deviation == pytest.approx(exact.deviation, rel=0.05)


def test_weighing_by_advantage_moves_the_moments_as_computed():
    """One step and one state: the advantage is the reward less a constant."""
    algorithm = IQL(**SMALL, inverse_temperature=20.0, expectile=0.5, total_updates=1500.0)
    found, exact = learned(algorithm, UNEQUAL), UNEQUAL.forward(20.0)
    assert exact.mean > 0.3 > UNEQUAL.forward().mean
    assert found.mean == pytest.approx(exact.mean, abs=0.05)
    assert found.deviation == pytest.approx(exact.deviation, rel=0.1)
