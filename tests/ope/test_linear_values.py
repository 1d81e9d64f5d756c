"""Closed forms in features: exact for quadratic values, tables are a special case."""

import numpy as np
import pytest

from stitchrl.ope.cross_fitting import cross_fits, in_folds
from stitchrl.ope.doubly_robust import doubly_robust
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.linear_values import (
    Features,
    linear_fqe,
    linear_marginal,
    linear_row_values,
    quadratic,
)
from stitchrl.ope.marginal import marginal
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.ope.row_values import tabular_row_values
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import log_ratio
from stitchrl.problems.exact import random_mdp
from stitchrl.problems.lqg import BEHAVIOR, LQG, TARGET, LinearGaussian
from stitchrl.splits import folds

DISCOUNT = 0.95


def of_linear_gaussian(log, policy: LinearGaussian) -> Features:
    def expected(observation):
        variance = np.full((len(observation), 1), policy.deviation**2)
        return quadratic(observation, -policy.gain * observation, variance)

    return Features(
        quadratic(log.observation, log.action),
        expected(log.observation),
        expected(log.final_observation),
    )


def one_hot(log, states: np.ndarray) -> Features:
    """φ(s, a) = 1 at (s, a): what tables are."""
    count, size = states.shape[1], states.size
    pair = log.state_id * count + log.action

    def expected(state):
        found = np.zeros((len(state), *states.shape))
        found[np.arange(len(state)), state] = states[state]
        return found.reshape(len(state), size)

    final = np.where(log.final_state_id[:, None] >= 0, expected(log.final_state_id), np.nan)
    return Features(np.eye(size)[pair], expected(log.state_id), final)


def test_quadratic_features_by_hand():
    found = quadratic(np.array([[2.0]]), np.array([[3.0]]), np.array([[0.5]]))
    np.testing.assert_allclose(found, [[1, 2, 3, 4, 6, 9.5]])


def test_the_value_of_a_linear_gaussian_process():
    """10,000 decisions under the behavior: J of the target, and V where few were made."""
    problem = LQG()
    log = problem.log(BEHAVIOR, episodes=500, horizon=20, seed=0)
    weights = linear_fqe(log, of_linear_gaussian(log, TARGET), discount=DISCOUNT)
    curvature, constant = problem.quadratic_value(TARGET, DISCOUNT)
    state = np.array([[-1.0], [0.0], [0.5], [2.0]])
    variance = np.full((4, 1), TARGET.deviation**2)
    found = quadratic(state, -TARGET.gain * state, variance) @ weights
    exact = -(curvature * state[:, 0] ** 2 + constant)
    np.testing.assert_allclose(found, exact, rtol=0.02)
    assert found[0] == pytest.approx(problem.value(TARGET, DISCOUNT), rel=2e-3)  # s² = 1.
    assert problem.value(TARGET, DISCOUNT) == pytest.approx(-2.252765957447, abs=1e-12)


def test_up_to_a_horizon():
    """J of 5 steps is -1.682703975976; averaged over s ~ N(0, 1) it is P + c."""
    problem = LQG()
    log = problem.log(BEHAVIOR, episodes=2_000, horizon=5, seed=0)
    weights = linear_fqe(log, of_linear_gaussian(log, TARGET), discount=DISCOUNT, horizon=5)
    variance = np.full((2, 1), TARGET.deviation**2)
    ends = np.array([[0.0], [1.0]])
    at_0, at_1 = quadratic(ends, -TARGET.gain * ends, variance) @ weights[-1]
    curvature, constant = problem.quadratic_value(TARGET, DISCOUNT, 5)
    assert at_0 == pytest.approx(-constant, abs=5e-3)
    assert at_1 == pytest.approx(-(curvature + constant), rel=0.01)
    assert problem.value(TARGET, DISCOUNT, 5) == pytest.approx(-1.682703975976, abs=1e-12)


@pytest.mark.parametrize("horizon", [None, 7])
def test_one_hot_features_are_tables(horizon):
    """Values, marginal ratios and the robust form, in two folds, to 1e-8."""
    problem = random_mdp()
    rows = problem.mdp.simulate(problem.behavior, episodes=200, seed=0, max_steps=7)
    log = problem.mdp.to_dataset(rows, **({} if horizon is None else {"horizon": 7}))
    table = PolicyTable.of_states(log, problem.target)
    features, fold = one_hot(log, problem.target), folds(log, seed=0)
    tabular = TabularLog.of(log, discount=DISCOUNT)
    parts = in_folds(cross_fits(tabular, fold), tabular.transitions.policy(table))
    ours = linear_row_values(log, features, discount=DISCOUNT, fold=fold, horizon=horizon)
    theirs = tabular_row_values(log, parts)
    for found, expected in zip(ours, theirs):
        np.testing.assert_allclose(found, expected, atol=1e-8)
    if horizon is None:
        found = linear_marginal(log, features, discount=DISCOUNT, fold=fold)
        for mine, other in zip(found[:2], marginal(log, parts)):
            np.testing.assert_allclose(mine, other, atol=1e-8)


def test_fitted_to_itself_ratios_say_what_values_say():
    log = LQG().log(BEHAVIOR, episodes=100, horizon=20, seed=0)
    features = of_linear_gaussian(log, TARGET)
    whole = np.zeros(log.episodes, int)
    found = linear_marginal(log, features, discount=DISCOUNT, fold=whole)
    weights = linear_fqe(log, features, discount=DISCOUNT)
    value = (features.expected[log.first_row] @ weights).mean()
    assert found.ratio.mean() == pytest.approx(value, abs=1e-8)
    assert found.robust.mean() == pytest.approx(value, abs=1e-8)


def test_doubly_robust_with_quadratic_values():
    """Its error is a fraction of that of the weights alone."""
    problem, horizon = LQG(), 5
    log = problem.log(BEHAVIOR, episodes=1_000, horizon=horizon, seed=3)
    ratios = log_ratio(TARGET.density(log.observation, log.action).ravel(), log.propensity)
    values = linear_row_values(
        log,
        of_linear_gaussian(log, TARGET),
        discount=DISCOUNT,
        fold=folds(log, seed=0),
        horizon=horizon,
    )
    parts = doubly_robust(log, StepWeights.of(log, ratios), values, discount=DISCOUNT)
    error = parts.std() / np.sqrt(len(parts))
    truth = problem.value(TARGET, DISCOUNT, horizon)
    assert abs(parts.mean() - truth) < 4 * error < 0.3


def test_unknown_ends_are_left_out():
    log = LQG().log(BEHAVIOR, episodes=50, horizon=10, seed=0)
    features = of_linear_gaussian(log, TARGET)
    final = features.final.copy()
    final[::2] = np.nan
    unknown = features._replace(final=final)
    found = linear_fqe(log, unknown, discount=DISCOUNT)
    assert np.isfinite(found).all()
    values = linear_row_values(log, unknown, discount=DISCOUNT, fold=np.zeros(50, int))
    assert np.isnan(values.final[::2]).all() and np.isfinite(values.final[1::2]).all()
