"""Marginal ratios: exact in the model, and doubly robust outside of it."""

import numpy as np
import pytest
from ope.logs import write_log

from stitchrl.ope.cross_fitting import cross_fits, in_folds
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.intervals import student_t
from stitchrl.ope.marginal import marginal
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.problems.exact import ToyGraph, random_mdp
from stitchrl.splits import folds


def prepared(dataset, states, *, discount):
    log = TabularLog.of(dataset, discount=discount)
    return log, log.transitions.policy(PolicyTable.of_states(dataset, states))


def whole(dataset):
    return np.zeros(dataset.episodes, int)


def test_by_hand():
    """One decision, logged evenly; the policy takes action 0 in 3 of 4: w = 1.5, .5."""
    log = write_log([[(0, 0, 4.0)], [(0, 1, 2.0)]])
    tabular, policy = prepared(log, np.tile([0.75, 0.25], (4, 1)), discount=1.0)
    found = marginal(log, in_folds(cross_fits(tabular, whole(log)), policy))
    np.testing.assert_allclose(found.ratio, [1.5 * 4, 0.5 * 2])
    np.testing.assert_allclose(found.robust, [3.5, 3.5])  # No residual is left.


def test_what_was_tried_49_times_is_thin():
    """And counts as often as the policy does it."""
    log = write_log([[(0, 0, 4.0)]] * 50 + [[(0, 1, 2.0)]] * 49)
    tabular, policy = prepared(log, np.tile([0.75, 0.25], (4, 1)), discount=1.0)
    found = marginal(log, in_folds(cross_fits(tabular, whole(log)), policy))
    assert found.thin_share == pytest.approx(0.25)


@pytest.mark.parametrize("discount, cut", [(0.95, 40), (1.0, None)])
def test_fitted_to_itself_both_are_fqe(discount, cut):
    """Endless episodes that are cut, and some that end; to 1e-10."""
    if cut is None:
        graph = ToyGraph()
        mdp, behavior, target = graph.mdp(), graph.policy(0.6), graph.policy(0.3)
    else:
        problem = random_mdp()
        mdp, behavior, target = problem.mdp, problem.behavior, problem.target
    rows = mdp.simulate(behavior, episodes=200, seed=0, max_steps=cut)
    log = mdp.to_dataset(rows)
    tabular, policy = prepared(log, target, discount=discount)
    value = tabular.fit().value(policy)
    found = marginal(log, in_folds(cross_fits(tabular, whole(log)), policy))
    assert found.ratio.mean() == pytest.approx(value, abs=1e-10)
    assert found.robust.mean() == pytest.approx(value, abs=1e-10)


def test_up_to_a_horizon_both_are_fqe():
    problem = random_mdp()
    rows = problem.mdp.simulate(problem.behavior, episodes=200, seed=0, max_steps=7)
    log = problem.mdp.to_dataset(rows, horizon=7)
    tabular, policy = prepared(log, problem.target, discount=1.0)
    assert tabular.horizon == 7
    value = tabular.fit().value(policy)
    found = marginal(log, in_folds(cross_fits(tabular, whole(log)), policy))
    assert found.ratio.mean() == pytest.approx(value, abs=1e-10)
    assert found.robust.mean() == pytest.approx(value, abs=1e-10)


def test_cross_fitted_it_is_about_as_exact_as_its_interval_says():
    """200 logs of 100 episodes: no bias beyond 4 errors, .90 to .99 of them cover."""
    problem, discount, horizon = random_mdp(), 0.95, 15
    truth = problem.mdp.value(problem.target, discount, horizon)
    found, covered = [], 0
    for seed in range(200):
        rows = problem.mdp.simulate(
            problem.behavior, episodes=100, seed=seed, max_steps=horizon
        )
        log = problem.mdp.to_dataset(rows, horizon=horizon)
        tabular, policy = prepared(log, problem.target, discount=discount)
        parts = marginal(
            log, in_folds(cross_fits(tabular, folds(log, seed=seed)), policy)
        ).robust
        found.append(parts.mean())
        covered += student_t(parts, log.episode_group, level=0.95).covers(truth)
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / np.sqrt(len(found))
    assert 180 <= covered <= 198


def test_what_the_other_folds_have_not_seen_weighs_nothing():
    log = write_log([[(0, 0, 4.0)], [(0, 1, 2.0)]])
    tabular, policy = prepared(log, np.tile([0.5, 0.5], (4, 1)), discount=1.0)
    found = marginal(log, in_folds(cross_fits(tabular, np.array([0, 1])), policy))
    np.testing.assert_allclose(found.ratio, 0)
    np.testing.assert_allclose(found.robust, [2, 4])
