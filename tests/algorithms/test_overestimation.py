"""Controls fail where they must, and what was made for logs does not."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.discrete_bcq import DiscreteBCQ
from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.discrete_weighted_cql import DiscreteWeightedCQL
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.algorithms.iql import IQL
from stitchrl.algorithms.td3 import TD3
from stitchrl.algorithms.td3_bc import TD3BC
from stitchrl.dataset import Dataset
from stitchrl.experience import Experience
from stitchrl.problems.bandits import (
    DISCOUNT,
    FEATURES,
    LEFT,
    LEFT_VALUE,
    SAFE,
    WAIT,
    cliff,
    overestimation_bandit,
)
from stitchrl.testing.subject import quick_options
from stitchrl.train import train

SEEDS, STEPS = 5, 2000
SMALL: dict[str, Any] = {
    "hidden": (32, 32),
    "batch_size": 64,
    "learning_rate": 1e-3,
    "target_rate": 0.02,
    "discount": DISCOUNT,
}

SMALLER: dict[str, Any] = SMALL | {"hidden": (16, 16), "batch_size": 16}


def act_and_value(algorithm: Any, dataset: Dataset, observation: np.ndarray):
    """What each of five seeds does here, and what its critics promise for it."""
    experience, here = Experience.of(dataset), jnp.asarray(observation, jnp.float32)

    def one_seed(key):
        state, _ = train(algorithm, experience, key, STEPS)
        action = algorithm.policy(state).mode(here)
        return action, algorithm.action_value(state)(here, action).min()

    seeds = jax.jit(jax.vmap(one_seed), compiler_options=quick_options())
    action, value = seeds(jax.random.split(jax.random.key(0), SEEDS))
    return np.asarray(action), np.asarray(value)


def test_double_dqn_chooses_what_nobody_tried_and_believes_in_it():
    action, value = act_and_value(DoubleDQN(**SMALL), overestimation_bandit(), FEATURES[0])
    assert (action == WAIT).sum() >= 4
    assert (value[action == WAIT] > 2 * LEFT_VALUE).all()


@pytest.mark.parametrize("cls", [IQL, DiscreteCQL, DiscreteBCQ])
def test_methods_for_logs_choose_the_best_that_was_tried(cls: type):
    schedule = {"total_updates": float(STEPS)} if cls is IQL else {}
    algorithm = cls(**SMALL, **schedule)
    action, value = act_and_value(algorithm, overestimation_bandit(), FEATURES[0])
    assert (action == LEFT).all()
    np.testing.assert_allclose(value, LEFT_VALUE, rtol=0.1)


@pytest.mark.parametrize(
    "algorithm",
    [
        DiscreteCQL(**SMALL, learns_weight=True),
        DiscreteWeightedCQL(**SMALL),
        DiscreteWeightedCQL(**SMALL, learns_weight=True),
        DiscreteWeightedCQL(**SMALL, weigh_data=False),
        DiscreteWeightedCQL(**SMALL, weigh_push_down=False),
    ],
)
def test_variants_of_cql_choose_the_best_that_was_tried(algorithm: Any):
    action, value = act_and_value(algorithm, overestimation_bandit(), FEATURES[0])
    assert (action == LEFT).all()
    np.testing.assert_allclose(value, LEFT_VALUE, rtol=0.1)


@pytest.mark.parametrize("cls", [DiscreteCQL, DiscreteWeightedCQL])
def test_the_basic_form_of_cql_needs_a_large_weight(cls: type):
    """It pushes unlogged actions down no harder the more is believed of them."""
    chosen = {}
    for weight in (1.0, 50.0):
        algorithm = cls(**SMALL, form="uniform", conservative_weight=weight)
        chosen[weight], _ = act_and_value(algorithm, overestimation_bandit(), FEATURES[0])
    assert (chosen[1.0] == WAIT).sum() >= 2
    assert (chosen[50.0] != WAIT).all()


# The best logged action again and again is worth (1 + SAFE) / (1 - γ).
BEST = (1 + SAFE) / (1 - DISCOUNT)


def test_td3_goes_over_the_cliff_and_believes_that_it_flies():
    action, value = act_and_value(TD3(**SMALL), cliff(), np.ones(1))
    assert (action > 0.9).sum() >= 4
    assert (value[action[:, 0] > 0.9] > 1.1 * BEST).all()


@pytest.mark.parametrize(
    "algorithm",
    [
        TD3BC(**SMALL),
        IQL(**SMALL, total_updates=float(STEPS)),
        CQL(**SMALLER, actor_learning_rate=1e-3, cloning_updates=200.0, action_samples=2),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
def test_methods_for_logs_stay_off_the_cliff(algorithm: Any):
    action, value = act_and_value(algorithm, cliff(), np.ones(1))
    assert (np.abs(action) < SAFE).all()
    assert (action > 0).mean() >= 0.8  # And go the right way.
    assert (value < BEST).all()
