"""Policies as arrays: what is checked, mixed and cut."""

import numpy as np
import pytest

from stitchrl.ope.policy_table import Behavior, DensityTable, PolicyTable
from stitchrl.problems.exact import Bandit, ToyGraph

NOTHING_FOLLOWS = np.full((1, 2), np.nan)


def test_rows_are_normalized_in_float64():
    rows = np.array([[1 / 3, 2 / 3 + 3e-5]], np.float32)
    table = PolicyTable.create(rows, NOTHING_FOLLOWS)
    assert table.probabilities.dtype == np.float64
    assert table.probabilities.sum() == 1.0
    assert np.isnan(table.final_probabilities).all()


def test_what_is_no_distribution_is_named():
    good = [0.5, 0.5]
    with pytest.raises(ValueError, match="'probabilities'.*row 1 sums to 0.9"):
        PolicyTable.create([good, [0.4, 0.5]], NOTHING_FOLLOWS)
    with pytest.raises(ValueError, match="log-probabilities"):
        PolicyTable.create([np.log(good)], NOTHING_FOLLOWS)
    with pytest.raises(ValueError, match="'final_probabilities'.*row 0"):
        PolicyTable.create([good], [[np.nan, 1.0]])
    with pytest.raises(ValueError, match="shape"):
        PolicyTable.create([0.5, 0.5], NOTHING_FOLLOWS)
    with pytest.raises(ValueError, match="row 0"):
        PolicyTable.create(NOTHING_FOLLOWS, NOTHING_FOLLOWS)


def test_a_policy_by_state_acts_at_rows_and_final_observations():
    graph = ToyGraph(length=3)
    states = np.stack([np.linspace(0, 1, 6), 1 - np.linspace(0, 1, 6)], axis=1)
    rows = graph.mdp().simulate(graph.policy(0.5), episodes=20, seed=0, max_steps=2)
    dataset = graph.mdp().to_dataset(rows)
    table = PolicyTable.of_states(dataset, states)
    np.testing.assert_allclose(table.probabilities, states[dataset.state_id])
    np.testing.assert_allclose(table.final_probabilities, states[dataset.final_state_id])
    with pytest.raises(ValueError, match="one row per state"):
        PolicyTable.of_states(dataset, states[:1])


def test_the_probability_of_what_was_done():
    dataset = Bandit().log(50, seed=0)
    table = PolicyTable.of_states(dataset, np.array([[0.1, 0.2, 0.7]]))
    expected = np.array([0.1, 0.2, 0.7])[dataset.action]
    np.testing.assert_allclose(table.of_logged_action(dataset), expected)
    with pytest.raises(ValueError, match=r"must be \(50, 3\)"):
        PolicyTable(table.probabilities[:3], table.final_probabilities).of_logged_action(
            dataset
        )
    with pytest.raises(ValueError, match=r"'densities' must be \(50,\)"):
        DensityTable(np.ones(3)).of_logged_action(dataset)


def test_mixing_is_linear():
    one = PolicyTable.create([[1.0, 0.0]], [[1.0, 0.0]])
    other = PolicyTable.create([[0.2, 0.8]], [[0.4, 0.6]])
    mixed = one.mix(other, 0.25)
    np.testing.assert_allclose(mixed.probabilities, [[0.4, 0.6]])
    np.testing.assert_allclose(mixed.final_probabilities, [[0.55, 0.45]])


def test_rare_actions_are_cut_but_the_likeliest_stays():
    rare = PolicyTable.create([[0.004, 0.496, 0.5]], [[np.nan] * 3]).without_rare()
    np.testing.assert_allclose(rare.probabilities, [[0, 0.496 / 0.996, 0.5 / 0.996]])
    assert np.isnan(rare.final_probabilities).all()
    uniform = PolicyTable.create(np.full((1, 200), 1 / 200), np.full((1, 200), np.nan))
    np.testing.assert_allclose(uniform.without_rare().probabilities, 1 / 200)


def test_behavior_is_logged_or_fitted():
    dataset = Bandit().log(20, seed=1)
    logged = Behavior.logged(dataset)
    assert not logged.is_fitted
    np.testing.assert_array_equal(
        logged.propensity, np.array([0.5, 0.3, 0.2])[dataset.action]
    )
    table = PolicyTable.of_states(dataset, np.array([[0.2, 0.3, 0.5]]))
    fitted = Behavior.fitted(dataset, table)
    assert fitted.is_fitted and fitted.table is table
    np.testing.assert_allclose(fitted.propensity, table.of_logged_action(dataset))
