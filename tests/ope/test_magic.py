"""MAGIC: its ends are the model and WDR, its mixture is the best one there is."""

import numpy as np
import pytest
from ope.logs import write_log

from stitchrl.ope.doubly_robust import RowValues, weighted_doubly_robust
from stitchrl.ope.magic import REPLICATES, Terms, magic, simplex_minimum
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.ope.resampling import times_drawn
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import log_ratio
from stitchrl.problems.exact import ToyGraph


def draws(log) -> np.ndarray:
    return times_drawn(log.episode_group, seed=0, replicates=REPLICATES)


def weigh(dataset, table) -> StepWeights:
    acting = table.of_logged_action(dataset)
    return StepWeights.of(dataset, log_ratio(acting, dataset.propensity))


def graph_log(episodes: int, *, noise: float):
    """A log of the toy graph, and the true values of a far policy, off by `noise`."""
    graph = ToyGraph()
    log = graph.mdp().to_dataset(
        graph.mdp().simulate(graph.policy(0.8), episodes=episodes, seed=0)
    )
    v = graph.mdp().state_values(graph.policy(0.2), 1.0) + noise
    q = graph.mdp().action_values(graph.policy(0.2), 1.0) + noise
    values = RowValues(
        logged=q[log.state_id, log.action],
        expected=v[log.state_id],
        final=np.zeros(log.episodes),
    )
    return graph, log, weigh(log, PolicyTable.of_states(log, graph.policy(0.2))), values


def test_two_uncorrelated_estimates_by_hand():
    np.testing.assert_allclose(simplex_minimum(np.diag([1.0, 2.0])), [2 / 3, 1 / 3])
    # Correlated more than its deviation is worth, the worse one is left out.
    np.testing.assert_allclose(
        simplex_minimum(np.array([[1.0, 1.5], [1.5, 4.0]])), [1, 0], atol=1e-9
    )
    np.testing.assert_allclose(simplex_minimum(np.zeros((3, 3))), [1 / 3] * 3)


def test_the_minimum_is_where_a_grid_finds_it():
    rng = np.random.default_rng(1)
    steps = np.linspace(0, 1, 101)
    grid = np.array([(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1])
    for _ in range(20):
        root = rng.normal(size=(3, 3))
        matrix = root @ root.T
        errors = np.einsum("ni,ij,nj->n", grid, matrix, grid)
        found = simplex_minimum(matrix)
        assert found.sum() == pytest.approx(1) and (found >= 0).all()
        assert found @ matrix @ found <= errors.min() + 1e-9


def test_its_ends_are_the_model_and_wdr():
    log = write_log(
        [
            [(0, 0, 1.0), (1, 0, 1.0), (2, 1, 0.5)],
            [(0, 0, 5.0), (1, 1, 7.0)],
            [(0, 1, 3.0)],
        ],
        final_states=[-1, 2, -1],
    )
    rng = np.random.default_rng(0)
    final = np.array([0.0, 1.5, 0.0])
    values = RowValues(rng.normal(size=6), rng.normal(size=6), final)
    weights = weigh(log, PolicyTable.of_states(log, np.tile([0.7, 0.3], (4, 1))))
    terms = Terms.of(log, weights, values, discount=0.9)
    wdr = weighted_doubly_robust(log, weights, values, discount=0.9)
    ends = terms.switching_after(np.array([0, 3]))
    np.testing.assert_allclose(ends[1], wdr)
    assert ends[0].sum() == pytest.approx(values.expected[log.first_row].mean())
    once = terms.resampled(np.ones((1, 3)))
    assert once[0] == pytest.approx(wdr.sum())
    # Twice the whole log is the same log; without its second episode it is another one.
    assert terms.resampled(np.full((1, 3), 2.0))[0] == pytest.approx(wdr.sum())
    some = np.array([True, False, True])
    fewer, rows = log.take_episodes(some), some[log.episode]
    expected = weighted_doubly_robust(
        fewer,
        weigh(fewer, PolicyTable.of_states(fewer, np.tile([0.7, 0.3], (4, 1)))),
        RowValues(values.logged[rows], values.expected[rows], values.final[some]),
        discount=0.9,
    )
    assert terms.resampled(np.array([[1.0, 0.0, 1.0]]))[0] == pytest.approx(expected.sum())


def test_right_values_are_trusted_and_wrong_ones_are_not():
    """True values: near the truth, unlike WDR. Values off by 5: the model gets little."""
    graph, log, weights, values = graph_log(300, noise=0.0)
    truth = graph.value(0.2, 1.0)
    found = magic(log, weights, values, discount=1.0, draws=draws(log))
    assert found.lengths.tolist() == [0, 1, 2, 4]
    assert abs(found.value - truth) < 0.01 < abs(found.estimates[-1] - truth) / 10
    assert found.shares[0] > 0.99
    graph, log, weights, values = graph_log(300, noise=5.0)
    found = magic(log, weights, values, discount=1.0, draws=draws(log))
    assert found.shares[0] < 0.1
    assert abs(found.value - truth) < abs(found.estimates[0] - truth) / 3


def test_without_weight_at_some_step_there_is_no_value():
    log = write_log([[(0, 0, 1.0), (1, 0, 1.0)], [(0, 0, 1.0), (1, 0, 1.0)]])
    table = PolicyTable.of_states(log, np.array([[1, 0], [0, 1], [1, 0], [1, 0]]))
    values = RowValues(np.zeros(4), np.zeros(4), np.zeros(2))
    found = magic(log, weigh(log, table), values, discount=1.0, draws=draws(log))
    assert np.isnan(found.value)
