"""What is peculiar to BRAC: which modes each divergence keeps, and its multiplier."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.brac import BRAC
from stitchrl.dataset import Bounds, Dataset
from stitchrl.experience import Experience
from stitchrl.testing.subject import quick_options
from stitchrl.train import Run, advance
from stitchrl.tree import with_values

MODES, SPREAD, LEFT_WORTH, RIGHT_WORTH = (-0.6, 0.6), 0.08, 1.0, 1.02
SIGMA = 0.3
HERE = jnp.ones(1)
TINY = {
    "hidden": (32, 32),
    "batch_size": 128,
    "learning_rate": 3e-3,
    "actor_learning_rate": 3e-3,
}
CONSTRAINT = {"form": "constraint", "weight_learning_rate": 2e-2, "max_weight": 3.0}


def one_decision(action: np.ndarray, reward: np.ndarray) -> Experience:
    size = len(action)
    dataset = Dataset.create(
        observation=np.ones((size, 1)),
        action=np.clip(action, -1, 1),
        reward=reward,
        terminated=np.ones(size, bool),
        truncated=np.zeros(size, bool),
        actions=Bounds(names=("a",), low=(-1.0,), high=(1.0,)),
    )
    return Experience.of(dataset)


def two_ways() -> Experience:
    """One decision, taken in one of two ways, never between; the right one pays more."""
    rng, size = np.random.default_rng(0), 512
    mode = rng.choice(MODES, size)
    reward = np.where(mode > 0, RIGHT_WORTH, LEFT_WORTH)
    return one_decision(mode + rng.normal(0, SPREAD, size), reward)


def masses(policy) -> tuple[float, float, float]:
    """How much of its density is within 3 deviations of each mode, and how much between."""
    edges = np.linspace(-1, 1, 4001)
    middle = (edges[1:] + edges[:-1]) / 2
    actions = jnp.asarray(middle, jnp.float32)[:, None]
    density = np.exp(np.asarray(jax.vmap(policy.log_prob, (None, 0))(HERE, actions)))
    left, right = (np.abs(middle - mode) < 3 * SPREAD for mode in MODES)
    between = np.abs(middle) < MODES[1] - 3 * SPREAD
    return tuple(float(density[part].sum() * 5e-4) for part in (left, between, right))


def more_is_better(slope: float = 3.0) -> Experience:
    """Logged are actions around 0 with deviation `SIGMA`; the reward is slope times a."""
    action = np.random.default_rng(0).normal(0, SIGMA, 512)
    return one_decision(action, slope * action)


quickly = jax.jit(partial(advance, steps=1500), compiler_options=quick_options())


def trained(seed: int, log: Experience, **options):
    """The state after 1500 updates."""
    algorithm = with_values(BRAC(), **TINY, **options)
    init_key, loop_key = jax.random.split(jax.random.key(seed))
    first = Run(algorithm.init(init_key, log.spec), jnp.array(0, jnp.int32), loop_key)
    return quickly(algorithm, log, first)[0].state


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_forward_kl_covers_both_modes_and_what_lies_between(seed: int):
    state = trained(seed, two_ways(), divergence="forward_kl")
    left, between, right = masses(state.actor.network)
    assert left > 0.15 and right > 0.15, (left, between, right)
    assert between > 0.3, (left, between, right)  # One Gaussian cannot leave it out.
    assert abs(float(state.actor.network.mode(HERE)[0])) < 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_reverse_kl_settles_on_one_mode(seed: int):
    state = trained(seed, two_ways(), divergence="reverse_kl")
    left, between, right = masses(state.actor.network)
    assert max(left, right) > 0.9, (left, between, right)
    assert min(left, right) < 0.01 and between < 0.1, (left, between, right)
    assert float(state.weight.network()) == 1.0  # A penalty keeps its weight.


def test_the_model_of_the_log_has_both_modes():
    state = trained(0, two_ways())
    left, between, right = masses(state.behavior.network)
    assert left > 0.35 and right > 0.35 and between < 0.05, (left, between, right)


def test_a_constraint_goes_as_far_as_it_may():
    """Of a Gaussian and a linear reward, ε nats are a shift by √(2 ε) deviations."""
    found = []
    for epsilon in (0.1, 0.5):
        state = trained(0, more_is_better(), **CONSTRAINT, target_divergence=epsilon)
        keys = jax.random.split(jax.random.key(7), 4000)
        drawn = jax.vmap(state.actor.network.sample, (None, 0))(HERE, keys)
        found.append((float(drawn.mean()), float(state.weight.network())))
    (near, stiff), (far, loose) = found
    assert near == pytest.approx(SIGMA * np.sqrt(0.2), abs=0.06), found
    assert far == pytest.approx(SIGMA, abs=0.06), found
    assert stiff > loose > 0, found


def test_a_divergence_out_of_reach_stops_at_the_largest_weight():
    state = trained(0, more_is_better(), **CONSTRAINT, target_divergence=-1.0)
    assert 2.9 < float(state.weight.network()) < 4.0


@pytest.mark.parametrize("options", [{"divergence": "kl"}, {"form": "dual"}])
def test_what_does_not_exist_is_named(options: dict):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"'BRAC.{name}' must be '.*got '{value}'"):
        BRAC(**options)
