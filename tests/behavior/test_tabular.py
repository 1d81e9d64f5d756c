"""Frequencies per state: by hand, cross-fitted, and within what is allowed."""

import numpy as np
import pytest
from ope.logs import write_log

from stitchrl.behavior.tabular import action_frequencies, behavior_table
from stitchrl.problems.exact import Bandit
from stitchrl.splits import folds

EPISODES = [[(0, 0, 0.0), (0, 1, 0.0)], [(0, 0, 0.0), (1, 0, 0.0)]]


def test_maximum_likelihood_and_smoothing_by_hand():
    dataset = write_log(EPISODES)
    raw = action_frequencies(dataset, states=4, smoothing=0.0)
    np.testing.assert_allclose(raw[:2], [[2 / 3, 1 / 3], [1, 0]])
    overall = np.array([3 + 1, 1 + 1]) / 6
    np.testing.assert_allclose(raw[2:], [overall, overall])
    smooth = action_frequencies(dataset, states=4, smoothing=2.0)
    np.testing.assert_allclose(smooth[1], ([1, 0] + 2 * overall) / 3)


def test_a_table_covers_rows_and_final_observations():
    dataset = write_log(EPISODES, final_states=[1, -1])
    table = behavior_table(dataset, smoothing=0.0)
    np.testing.assert_allclose(table.probabilities[:2], [[2 / 3, 1 / 3]] * 2)
    np.testing.assert_allclose(table.final_probabilities[0], [1, 0])
    assert np.isnan(table.final_probabilities[1]).all()


def test_cross_fitting_never_looks_at_its_own_fold():
    dataset = write_log([[(0, 0, 0.0)], [(0, 1, 0.0)], [(0, 0, 0.0)], [(0, 1, 0.0)]])
    table = behavior_table(dataset, np.array([0, 1, 0, 1]), smoothing=0.0)
    # Fold 0 shows action 0 only, fold 1 action 1 only.
    np.testing.assert_allclose(table.probabilities, [[0, 1], [1, 0]] * 2)
    smooth = behavior_table(dataset, np.array([0, 1, 0, 1]))
    assert (smooth.of_logged_action(dataset) > 0).all()


def test_forbidden_actions_have_no_probability():
    valid = np.array([[True, False], [True, True], [True, True], [True, True]])
    dataset = write_log(
        [[(0, 0, 0.0)], [(0, 1, 0.0)], [(0, 0, 0.0)], [(1, 0, 0.0)]],
        valid_actions=valid,
        final_states=[0, -1, -1, -1],
        final_valid_actions=np.array([[False, True]] + [[True, True]] * 3),
    )
    table = behavior_table(dataset)
    np.testing.assert_allclose(table.probabilities[0], [1, 0])
    np.testing.assert_allclose(table.final_probabilities[0], [0, 1])
    np.testing.assert_allclose(table.probabilities.sum(axis=1), 1)


def test_fitted_propensities_come_close_to_the_logged_ones():
    dataset = Bandit().log(5000, seed=0)
    table = behavior_table(dataset, folds(dataset, seed=0))
    error = np.abs(table.of_logged_action(dataset) - dataset.propensity)
    assert error.max() < 0.03


def test_states_are_needed():
    from dataclasses import replace

    dataset = replace(write_log(EPISODES), state_id=None)
    with pytest.raises(ValueError, match="'state_id'"):
        action_frequencies(dataset, states=4)
