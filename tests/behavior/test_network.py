"""Imitating networks: as good as the log allows, never worse than its shares of actions."""

import numpy as np
import pytest

from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.behavior import behavior_of, imitations_of


def log_of(rows: int, *, is_predictable: bool) -> Dataset:
    """One-step episodes; the action follows the first of ten features, or none."""
    rng = np.random.default_rng(0)
    observation = rng.normal(size=(rows, 10))
    slope = 2.0 * is_predictable
    chance = 1 / (1 + np.exp(-slope * observation[:, 0] - 1))
    return Dataset.create(
        observation=observation,
        action=rng.random(rows) < chance,
        reward=rng.random(rows),
        terminated=np.ones(rows, bool),
        truncated=np.zeros(rows, bool),
        actions=Choices(("no", "yes")),
    )


@pytest.mark.parametrize("rows", [60, 300])
def test_where_nothing_can_be_foretold_the_shares_of_actions_stay(rows):
    log = log_of(rows, is_predictable=False)
    known = behavior_of(log, lambda: imitations_of(log, updates=8_000, seed=0), seed=0)
    assert known.information is not None and known.calibration_error is not None
    assert known.information.bits_explained > -0.06
    assert known.calibration_error < 0.12
    assert known.behavior.propensity.min() > 0.05


def test_what_can_be_foretold_is():
    log = log_of(2_000, is_predictable=True)
    known = behavior_of(log, lambda: imitations_of(log, updates=8_000, seed=0), seed=0)
    assert known.information is not None and known.calibration_error is not None
    chance = 1 / (1 + np.exp(-2 * log.observation[:, 0] - 1))
    p = np.where(log.action == 1, chance, 1 - chance)
    possible = known.information.entropy + np.log2(p).mean()  # By the truth.
    assert known.information.bits_explained == pytest.approx(possible, abs=0.05)
    assert known.calibration_error < 0.05
