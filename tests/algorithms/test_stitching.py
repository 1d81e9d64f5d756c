"""Who reaches what no episode reached: a quick version of benchmarks/stitching.py."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms import ALGORITHMS
from stitchrl.experience import Experience
from stitchrl.problems.stitching import FEATURES, SETTINGS, SMALL, STEPS, log, reaches
from stitchrl.spaces import Discrete
from stitchrl.testing.subject import quick_options
from stitchrl.train import train

SEEDS = 3


def seeds_that_reach(name: str) -> int:
    """Of three, as one program."""
    cls = ALGORITHMS[name][Discrete]
    fields = {field.name for field in dataclasses.fields(cls)}
    settings = SMALL | SETTINGS.get(name, {})
    algorithm = cls(**{key: value for key, value in settings.items() if key in fields})
    experience, seen = Experience.of(log()), jnp.asarray(FEATURES, jnp.float32)

    def one_seed(key):
        state, _ = train(algorithm, experience, key, STEPS)
        return jax.vmap(algorithm.policy(state).mode)(seen)

    seeds = jax.jit(jax.vmap(one_seed), compiler_options=quick_options())
    actions = np.asarray(seeds(jax.random.split(jax.random.key(0), SEEDS)))
    return sum(reaches(action) for action in actions)


@pytest.mark.parametrize("name", ["iql", "cql", "bcq"])
def test_methods_that_learn_values_stitch(name: str):
    assert seeds_that_reach(name) == SEEDS


@pytest.mark.parametrize("name", ["bc", "filtered_bc"])
def test_imitation_does_not(name: str):
    assert seeds_that_reach(name) <= 1
