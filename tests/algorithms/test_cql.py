"""What is peculiar to CQL: its gap, its multiplier, its warm-up."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms import cql
from stitchrl.algorithms.cal_ql import CalQL
from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.weighted_cql import WeightedCQL
from stitchrl.experience import Experience, Transition
from stitchrl.networks import MLP, Critic, Critics, Linear
from stitchrl.policies import SquashedGaussian
from stitchrl.spaces import Continuous, Spec
from stitchrl.testing import small_log
from stitchrl.testing.subject import STEPS, Subject

KEY = jax.random.key(1)


def batch_of(rows: int, size: int) -> Transition:
    keys = jax.random.split(KEY, 3)
    observation, following = jax.random.normal(keys[0], (2, rows, 1))
    action = jax.random.uniform(keys[1], (rows, size), minval=-0.9, maxval=0.9)
    zero = jnp.zeros(rows)
    return Transition(observation, action, zero, following, zero > 1)


def linear_critics(slope: jax.Array) -> Critics:
    """Two critics with Q(s, a) = slope · a, whatever s."""
    weight = jnp.concatenate([jnp.zeros(1), slope])[:, None]

    def critic(bias: jax.Array) -> Critic:
        return Critic(MLP((Linear(weight, bias),)))

    return Critics(jax.vmap(critic)(jnp.zeros((2, 1))))


def sharp_policy(size: int) -> SquashedGaussian:
    """log-std -5 at mean 0: a density far from uniform."""
    layer = Linear(jnp.zeros((1, 2 * size)), jnp.repeat(jnp.array([0.0, -5.0]), size))
    return SquashedGaussian(MLP((layer,)))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_gap_of_a_constant_q_is_known(size: int):
    """The sum over 3 n samples of 1 / density is 3 n times the volume 2^d, on average.

    For a policy that is uniform itself it is so exactly.
    """
    algorithm = CQL(action_samples=5)
    batch, zero = batch_of(4, size), linear_critics(jnp.zeros(size))

    class Uniform:
        def sample_and_log_prob(self, observation: Any, key: Any):
            action = jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)
            return action, -size * jnp.log(2.0)

    actor: Any = Uniform()
    gap = algorithm.gap(zero, algorithm.samples(actor, batch, KEY), batch)
    np.testing.assert_allclose(gap / 2, size * np.log(2) + np.log(15), rtol=1e-6)


def test_the_gap_weighs_actions_by_their_density():
    """Σ exp(Q) / density estimates 3 n ∫ exp Q da, although a third is drawn elsewhere."""
    algorithm = CQL(action_samples=4000)
    batch, slope = batch_of(2, 1), jnp.array([1.5])
    actor = SquashedGaussian.create(KEY, Spec(1, Continuous(1)), (4,))
    gap = algorithm.gap(linear_critics(slope), algorithm.samples(actor, batch, KEY), batch)
    integral = 2 * np.sinh(1.5) / 1.5
    logged = 1.5 * np.asarray(batch.action).mean()
    np.testing.assert_allclose(gap / 2, np.log(12_000 * integral) - logged, atol=0.05)


def test_without_the_correction_a_sharp_policy_would_dominate():
    algorithm = CQL(action_samples=50)
    batch, zero = batch_of(2, 2), linear_critics(jnp.zeros(2))
    gap = algorithm.gap(zero, algorithm.samples(sharp_policy(2), batch, KEY), batch)
    # Of 150 samples, 50 uniform ones weigh 4 each; the sharp ones about e^-8 (2π) each.
    np.testing.assert_allclose(gap / 2, np.log(50 * 4), atol=0.05)


@pytest.mark.parametrize("of", [CQL, WeightedCQL, CalQL])
def test_blocks_of_rows_change_rounding_only(of: type, monkeypatch: pytest.MonkeyPatch):
    subject = Subject(of(hidden=(8,), batch_size=16, action_samples=2), "continuous")
    tiny, state, batch, key = subject.inputs(subject.algorithm, subject.first, 0)
    critics = []
    for together in (10_000, 24):  # All rows at once, and four at a time.
        monkeypatch.setattr(cql, "ROWS_TOGETHER", together)
        after, _ = jax.jit(lambda *inputs: tiny.update(*inputs))(state, batch, key)
        critics.append(after.critics.network)
    closely = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(closely, *critics)


def test_the_weight_moves_only_when_its_rate_is_not_zero():
    tiny = CQL(hidden=(8,), batch_size=16, action_samples=2, target_gap=0.5)
    subject = Subject(tiny, "continuous", small_log("continuous"))
    fixed, _ = subject.whole(tiny, subject.first)
    assert fixed.state.weight.network() == pytest.approx(5.0, rel=1e-6)
    moving = dataclasses.replace(tiny, weight_learning_rate=1e-2)
    risen, _ = subject.whole(moving, subject.first)
    # Steps of Adam of .01 each, upwards: the gap is above .5.
    moved = 0.01 * STEPS
    assert risen.state.weight.network.log == pytest.approx(np.log(5) + moved, abs=1e-3)
    slack = dataclasses.replace(moving, target_gap=100.0)
    fallen, _ = subject.whole(slack, subject.first)
    assert fallen.state.weight.network.log == pytest.approx(np.log(5) - moved, abs=1e-3)


def test_while_cloning_the_actor_does_not_hear_the_critics():
    tiny = CQL(hidden=(8,), batch_size=16, action_samples=2)
    subject = Subject(tiny, "continuous")
    louder = jax.tree.map(lambda x: 10 * x, subject.first.state.critics)
    heard = subject.first._replace(state=subject.first.state._replace(critics=louder))
    for cloning, is_same in ((float(STEPS), True), (STEPS - 1.0, False)):
        algorithm = dataclasses.replace(tiny, cloning_updates=cloning)
        actors = [
            subject.whole(algorithm, run)[0].state.actor.network
            for run in (subject.first, heard)
        ]
        gap = max(jax.tree.leaves(jax.tree.map(lambda a, b: abs(a - b).max(), *actors)))
        assert (gap == 0) == is_same


def test_sampling_keeps_actions_off_the_bounds():
    experience = Experience.of(small_log("continuous"))
    at_bound = experience.transitions._replace(
        action=jnp.sign(experience.transitions.action)
    )
    experience = dataclasses.replace(experience, transitions=at_bound)
    batch = CQL(batch_size=64).sample(experience, KEY)
    assert float(jnp.abs(batch.action).max()) == pytest.approx(1 - 1e-5, abs=1e-7)
