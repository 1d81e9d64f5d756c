"""Estimators that weigh decision by decision: by hand, and against closed forms."""

import itertools

import numpy as np
import pytest
from ope.logs import always, write_log

from stitchrl.ope.doubly_robust import RowValues, doubly_robust, weighted_doubly_robust
from stitchrl.ope.per_decision import (
    consistent_per_decision,
    earned_so_far,
    importance_sampling,
    per_decision,
)
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import Weights, log_ratio
from stitchrl.problems.exact import ToyGraph


def ratios(dataset, table, share=1.0):
    return log_ratio(table.of_logged_action(dataset), dataset.propensity, share=share)


def by_step(dataset, table, share=1.0) -> StepWeights:
    return StepWeights.of(dataset, ratios(dataset, table, share))


@pytest.fixture
def log():
    """Under a fair coin and "always 0": W = (2, 4), (2, 0) and (2,), frozen there."""
    return write_log(
        [[(0, 0, 1.0), (1, 0, 1.0)], [(0, 0, 5.0), (1, 1, 7.0)], [(0, 0, 3.0)]]
    )


def test_weights_by_hand(log):
    weights = by_step(log, always(log, 0))
    np.testing.assert_allclose(weights.now, [2, 4, 2, 0, 2])
    np.testing.assert_allclose(weights.before, [1, 2, 1, 2, 1])
    # At t = 1 the third episode is over and still counts its 2: 4 + 0 + 2.
    np.testing.assert_allclose(weights.shares, [1 / 3, 4 / 6, 1 / 3, 0, 1 / 3])
    np.testing.assert_allclose(weights.shares_before, [1 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(weights.effective_sizes, [3, 6**2 / (4**2 + 2**2)])
    assert weights.log[3] == -np.inf


def test_estimates_by_hand(log):
    weights = by_step(log, always(log, 0))
    whole = Weights.of(log, ratios(log, always(log, 0)))
    found = importance_sampling(log, whole, discount=0.9)
    np.testing.assert_allclose(found, [4 * 1.9, 0, 2 * 3])
    found = per_decision(log, weights, discount=0.9)
    np.testing.assert_allclose(found, [2 + 0.9 * 4, 10, 6])
    found = consistent_per_decision(log, weights, discount=0.9)
    assert found == pytest.approx((1 + 5 + 3) / 3 + 0.9 * 4 / 6)


def test_what_is_earned_so_far_by_hand(log):
    """First (2 · 1 + 2 · 5 + 2 · 3) / 6, then also .9 · 4 · 1 / (4 + 0 + 2)."""
    found = earned_so_far(log, by_step(log, always(log, 0)), discount=0.9)
    np.testing.assert_allclose(found, [3.0, 3.0 + 0.9 * 4 / 6])
    as_logged = StepWeights.of(log, np.zeros(log.size))
    now = earned_so_far(log, as_logged, discount=0.9)
    np.testing.assert_allclose(now, [3.0, 3.0 + 0.9 * (1 + 7) / 3])
    assert now[-1] == pytest.approx(log.returns(0.9).mean())
    nobody = write_log([[(0, 0, 1.0), (1, 1, 1.0)]])
    so_far = earned_so_far(nobody, by_step(nobody, always(nobody, 0)), discount=1.0)
    assert so_far[0] == 1.0 and np.isnan(so_far[1])


def test_doubly_robust_by_hand():
    """One episode ends, one is cut, with values that a child could multiply."""
    log = write_log(
        [[(0, 0, 1.0), (1, 0, 1.0)], [(0, 0, 5.0), (1, 1, 7.0)]], final_states=[-1, 2]
    )
    values = RowValues(
        logged=np.array([0.5, 0.25, 3.0, 2.0]),
        expected=np.array([1.0, 2.0, 1.0, 2.0]),
        final=np.array([0.0, 10.0]),
    )
    weights = by_step(log, PolicyTable.of_states(log, np.tile([0.75, 0.25], (4, 1))))
    np.testing.assert_allclose(weights.now, [1.5, 2.25, 1.5, 0.75])
    found = doubly_robust(log, weights, values, discount=0.5)
    first = 1.5 * (1 - 0.5) + 1.0 + 0.5 * (2.25 * (1 - 0.25) + 1.5 * 2)
    second = 1.5 * (5 - 3) + 1.0 + 0.5 * (0.75 * (7 - 2) + 1.5 * 2) + 0.25 * 0.75 * 10
    np.testing.assert_allclose(found, [first, second])
    found = weighted_doubly_robust(log, weights, values, discount=0.5)
    first = 0.5 * (1 - 0.5) + 0.5 * 1.0 + 0.5 * (0.75 * (1 - 0.25) + 0.5 * 2)
    second = 0.5 * (5 - 3) + 0.5 + 0.5 * (0.25 * (7 - 2) + 0.5 * 2) + 0.25 * 0.25 * 10
    np.testing.assert_allclose(found, [first, second])


def test_where_nobody_has_weight_nothing_is_known():
    log = write_log([[(0, 0, 1.0), (1, 0, 1.0)], [(0, 0, 1.0), (1, 0, 1.0)]])
    table = PolicyTable.of_states(log, np.array([[1, 0], [0, 1], [1, 0], [1, 0]]))
    weights = by_step(log, table)
    assert np.isnan(consistent_per_decision(log, weights, discount=1.0))
    np.testing.assert_allclose(weights.effective_sizes, [2, 0])
    np.testing.assert_allclose(per_decision(log, weights, discount=1.0), [2, 2])


def test_weights_beyond_the_reach_of_floats():
    """exp of neither 3,000 nor -3,000 is a float64; shares are as they should be."""
    log = write_log([[(0, 0, 1.0)] * 3000, [(0, 1, 2.0)] * 3000])
    for sign in (1, -1):
        logs = np.where(log.episode == 0, sign, sign * (1 + 1e-3))
        weights = StepWeights.of(log, logs)
        assert np.isfinite(weights.now).all()
        share = 1 / (1 + np.exp(sign * 3))  # Of the first episode at the end.
        assert weights.shares[2999] == pytest.approx(share, rel=1e-9)
        assert consistent_per_decision(log, weights, discount=1.0) > 0


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_of_the_behavior_itself_all_are_the_data_mean(discount):
    graph = ToyGraph()
    log = graph.mdp().to_dataset(
        graph.mdp().simulate(graph.policy(0.8), episodes=300, seed=0)
    )
    mean = log.returns(discount).mean()
    weights = by_step(log, PolicyTable.of_states(log, graph.policy(0.8)))
    assert per_decision(log, weights, discount=discount).mean() == pytest.approx(mean)
    assert consistent_per_decision(log, weights, discount=discount) == pytest.approx(mean)


def every_trajectory(graph: ToyGraph, up: float):
    """A log of all trajectories, and how likely each is under the behavior `up`."""
    episodes, likelihood, steps = [], [], graph.length
    for actions in itertools.product((0, 1), repeat=steps):
        for slips in itertools.product((0, 1), repeat=steps - 1):
            state, episode, probability = 0, [], 1.0
            for t, action in enumerate(actions):
                probability *= (up, 1 - up)[action]
                if t < steps - 1:
                    slipped = slips[t]
                    probability *= graph.slip if slipped else 1 - graph.slip
                    following = 2 * t + 1 + (action ^ slipped)
                else:
                    following = 2 * steps - 1
                is_up = (following if t < steps - 1 else state) % 2 == 1
                episode.append((state, action, 1.0 if is_up else -1.0))
                state = following
            episodes.append(episode)
            likelihood.append(probability)
    log = write_log(episodes, states=2 * steps)
    chosen = np.array([up, 1 - up])[log.action]
    return write_log(episodes, states=2 * steps, propensity=chosen), np.array(likelihood)


def test_unbiased_over_all_trajectories():
    """Weighed by how likely each is, IS, PDIS and DR are the value, whatever Q̂ is."""
    graph, discount = ToyGraph(), 0.98
    log, likelihood = every_trajectory(graph, 0.8)
    assert likelihood.sum() == pytest.approx(1.0, abs=1e-12)
    table = PolicyTable.of_states(log, graph.policy(0.2))
    weights, whole = by_step(log, table), Weights.of(log, ratios(log, table))
    value = graph.value(0.2, discount)
    assert value == pytest.approx(-1.1644776, abs=1e-7)
    for found in (
        importance_sampling(log, whole, discount=discount),
        per_decision(log, weights, discount=discount),
    ):
        assert likelihood @ found == pytest.approx(value, abs=1e-10)
    rng = np.random.default_rng(0)
    q = rng.normal(size=(log.state_count, 2))
    values = RowValues(
        logged=q[log.state_id, log.action],
        expected=(graph.policy(0.2) * q).sum(axis=1)[log.state_id],
        final=np.zeros(log.episodes),
    )
    found = doubly_robust(log, weights, values, discount=discount)
    assert likelihood @ found == pytest.approx(value, abs=1e-10)


def test_with_the_true_values_only_noise_of_the_process_is_left():
    """Var[DR] with the true Q is that of what cannot be known; PDIS has far more."""
    graph, discount = ToyGraph(), 0.98
    log, likelihood = every_trajectory(graph, 0.8)
    mdp = graph.mdp()
    v = mdp.state_values(graph.policy(0.2), discount)
    q = mdp.action_values(graph.policy(0.2), discount)
    table = PolicyTable.of_states(log, graph.policy(0.2))
    weights = by_step(log, table)
    values = RowValues(
        logged=q[log.state_id, log.action],
        expected=v[log.state_id],
        final=np.zeros(log.episodes),
    )
    found = doubly_robust(log, weights, values, discount=discount)
    value = graph.value(0.2, discount)
    assert likelihood @ found == pytest.approx(value, abs=1e-10)
    # Var = Σ_t γ^2t E[W_t² Var(r + γ V(s') | s, a)]: Jiang and Li 2016, where
    # the reward of ±1 tells of the slip and the value of the layer does, too.
    noise = 0.0
    for t in range(graph.length - 1):
        last = t == graph.length - 2
        gap = 2 + discount * (2 if last else 0)  # Up or down: r, and the repeated sign.
        variance = gap**2 * graph.slip * (1 - graph.slip)
        second = (0.2**2 / 0.8 + 0.8**2 / 0.2) ** (t + 1)
        noise += discount ** (2 * t) * second * variance
    assert likelihood @ found**2 - value**2 == pytest.approx(noise, rel=1e-10)
    plain = per_decision(log, weights, discount=discount)
    assert likelihood @ plain**2 - value**2 > 2 * noise
