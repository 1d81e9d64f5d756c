"""Fitted values at each row: exact in the model, and what makes DR unbiased."""

import numpy as np
import pytest
from ope.logs import write_log

from stitchrl.ope.cross_fitting import cross_fits, in_folds
from stitchrl.ope.doubly_robust import doubly_robust
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.ope.row_values import tabular_row_values
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import log_ratio
from stitchrl.problems.exact import ToyGraph, random_mdp
from stitchrl.splits import folds


def whole(dataset):
    return np.zeros(dataset.episodes, int)


def row_values(dataset, states, *, discount=1.0, fold=None):
    log = TabularLog.of(dataset, discount=discount)
    policy = log.transitions.policy(PolicyTable.of_states(dataset, states))
    fold = whole(dataset) if fold is None else fold
    return tabular_row_values(dataset, in_folds(cross_fits(log, fold), policy))


def test_by_hand():
    """s0: action 0 pays 1 and leads to s1, there 0 pays 3 and ends, 1 pays 5 and ends."""
    log = write_log([[(0, 0, 1.0), (1, 0, 3.0)], [(0, 0, 1.0), (1, 1, 5.0)], [(1, 0, 3.0)]])
    found = row_values(log, np.array([[1, 0], [0.25, 0.75], [1, 0], [1, 0]]), discount=0.5)
    v1 = 0.25 * 3 + 0.75 * 5
    np.testing.assert_allclose(found.logged, [1 + 0.5 * v1, 3, 1 + 0.5 * v1, 5, 3])
    np.testing.assert_allclose(found.expected, [1 + 0.5 * v1, v1, 1 + 0.5 * v1, v1, v1])
    np.testing.assert_allclose(found.final, 0)


def test_cut_episodes_go_on_where_it_is_known():
    """Cut in s1, which is worth 4; cut nobody knows where; over."""
    log = write_log([[(0, 0, 1.0)], [(0, 0, 1.0)], [(1, 0, 4.0)]], final_states=[1, -2, -1])
    found = row_values(log, np.tile([1.0, 0.0], (4, 1)), discount=0.5)
    np.testing.assert_allclose(found.final, [4, np.nan, 0])
    np.testing.assert_allclose(found.logged, [3, 3, 4])


def test_at_a_horizon_values_are_of_the_steps_that_are_left():
    """A state that pays 1 a step, cut after 3 of 3: worth 3, 2, 1 and then nothing."""
    log = write_log(
        [[(0, 0, 1.0)] * 3] * 2 + [[(0, 0, 1.0)] * 2], final_states=[0, 0, 0], horizon=3
    )
    found = row_values(log, np.tile([1.0, 0.0], (4, 1)))
    np.testing.assert_allclose(found.logged, [3, 2, 1, 3, 2, 1, 3, 2])
    np.testing.assert_allclose(found.expected, found.logged)
    np.testing.assert_allclose(found.final, [0, 0, 1])


def test_unseen_actions_are_worth_what_the_behavior_is():
    log = write_log([[(0, 0, 2.0)], [(0, 0, 4.0)]])
    found = row_values(log, np.tile([0.5, 0.5], (4, 1)))
    np.testing.assert_allclose(found.expected, 3)


def test_held_out_rows_do_not_tell_about_themselves():
    log = write_log([[(0, 0, 2.0)], [(0, 0, 4.0)]])
    found = row_values(log, np.tile([1.0, 0.0], (4, 1)), fold=np.array([0, 1]))
    np.testing.assert_allclose(found.logged, [4, 2])


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_fitted_to_itself_residuals_add_up_to_nothing(share):
    """γ = 1: each pair's residuals have mean 0 in the model that was fitted to them."""
    graph = ToyGraph()
    rows = graph.mdp().simulate(graph.policy(0.6), episodes=50, seed=0)
    log = graph.mdp().to_dataset(rows)
    tabular = TabularLog.of(log, discount=1.0)
    fitted = tabular.fit()
    policy = fitted.model.mix(np.tile([0.1, 0.9], (7, 1)), share)
    fits = cross_fits(tabular, whole(log))
    values = tabular_row_values(log, in_folds(fits, policy))
    following = log.next_column(values.expected, values.final)
    residual = log.reward + following - values.logged
    assert abs(residual.sum()) < 1e-10 < np.abs(residual).max()
    start = fitted.model.start @ fitted.of(policy).state_values
    assert values.expected[log.first_row].mean() == pytest.approx(start, abs=1e-10)


def test_doubly_robust_comes_closer_than_its_parts():
    """100 logs of 30 episodes: the mean of DR is the truth within its standard error."""
    problem, discount = random_mdp(), 0.95
    mdp, found = problem.mdp, []
    for seed in range(100):
        rows = mdp.simulate(problem.behavior, episodes=30, seed=seed, max_steps=6)
        log = mdp.to_dataset(rows, horizon=6)
        table = PolicyTable.of_states(log, problem.target)
        ratios = log_ratio(table.of_logged_action(log), log.propensity)
        values = row_values(
            log, problem.target, discount=discount, fold=folds(log, seed=seed)
        )
        weights = StepWeights.of(log, ratios)
        found.append(doubly_robust(log, weights, values, discount=discount).mean())
    truth = mdp.value(problem.target, discount, 6)
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 4 * error
    assert np.std(found) < 1.0
