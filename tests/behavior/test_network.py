"""Imitating networks: as good as the log allows, never worse than its shares of actions."""

import numpy as np
import pytest
from scipy.stats import norm

from stitchrl.behavior.calibration import uniformity
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.densities import SquashedMixture
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
    known = behavior_of(log, lambda: imitations_of(log, updates=3_000, seed=0), seed=0)
    assert known.information is not None and known.calibration_error is not None
    assert known.information.bits_explained > -0.06
    assert known.calibration_error < 0.12
    assert known.behavior.propensity.min() > 0.05


def test_what_can_be_foretold_is():
    log = log_of(2_000, is_predictable=True)
    known = behavior_of(log, lambda: imitations_of(log, updates=3_000, seed=0), seed=0)
    assert known.information is not None and known.calibration_error is not None
    chance = 1 / (1 + np.exp(-2 * log.observation[:, 0] - 1))
    p = np.where(log.action == 1, chance, 1 - chance)
    possible = known.information.entropy + np.log2(p).mean()  # By the truth.
    assert known.information.bits_explained == pytest.approx(possible, abs=0.05)
    assert known.calibration_error < 0.05


def doses(rows: int, *, has_two_modes: bool) -> tuple[Dataset, np.ndarray]:
    """One-step episodes: a dose around the observation, or far on either side of it."""
    rng = np.random.default_rng(1)
    center = rng.uniform(-0.3, 0.3, rows)
    offset = 0.4 * rng.choice([-1, 1], rows) * has_two_modes
    dose = center + offset + 0.08 * rng.normal(size=rows)
    log = Dataset.create(
        observation=np.stack([center, rng.normal(size=rows)], axis=1),
        action=dose[:, None],
        reward=rng.random(rows),
        terminated=np.ones(rows, bool),
        truncated=np.zeros(rows, bool),
        actions=Bounds(("dose",), (-1.0,), (1.0,)),
    )
    around = [center - 0.4, center + 0.4] if has_two_modes else [center]
    return log, np.mean([norm.pdf(dose, at, 0.08) for at in around], axis=0)


@pytest.mark.parametrize("has_two_modes", [False, True])
def test_doses_of_one_or_two_kinds_have_densities_that_hold(has_two_modes):
    log, true = doses(3_000, has_two_modes=has_two_modes)
    models = imitations_of(log, updates=2_000, seed=0)
    if has_two_modes:
        assert all(isinstance(model.policy, SquashedMixture) for model in models)
    known = behavior_of(log, lambda: models, seed=0)
    assert known.calibration_error is None  # Even shares prove nothing.
    assert known.uniformity is not None and known.uniformity.error < 0.05
    off = np.log(known.behavior.propensity) - np.log(true)
    assert abs(off.mean()) < 0.05 and np.abs(off).mean() < 0.2


def test_one_gaussian_around_two_kinds_is_found_out():
    log, _ = doses(2_000, has_two_modes=True)
    wide = norm.cdf(log.action, log.observation[:, :1], 0.4)
    assert uniformity(wide).error > 0.1
