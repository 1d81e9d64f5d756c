"""Closed forms against published figures, brute force and simulation."""

import itertools

import numpy as np
import pytest

from stitchrl.problems.exact import Bandit, Chain, ToyGraph, random_mdp


def test_bandit_moments():
    bandit = Bandit()
    assert bandit.value == pytest.approx(0.75, abs=1e-15)
    assert bandit.behavior_value == pytest.approx(0.43, abs=1e-15)
    assert bandit.ips_variance == pytest.approx(1.713167, abs=5e-7)
    assert bandit.snips_variance == pytest.approx(0.326542, abs=5e-7)
    assert bandit.doubly_robust_variance == pytest.approx(0.257033, abs=5e-7)
    assert bandit.weight_second_moment == pytest.approx(2.603333, abs=5e-7)
    assert bandit.ess_share == pytest.approx(0.384123, abs=5e-7)
    assert bandit.weights.max() == pytest.approx(3.5, abs=1e-15)
    assert bandit.kl_bits == pytest.approx(0.915963, abs=5e-7)


def test_the_bandit_as_a_process():
    bandit = Bandit()
    mdp = bandit.mdp()
    target, behavior = (np.tile(p, (3, 1)) for p in (bandit.target, bandit.behavior))
    assert mdp.value(target, 1.0) == pytest.approx(0.75, abs=1e-15)
    assert mdp.kl_bits(target, behavior) == pytest.approx(bandit.kl_bits, abs=1e-12)
    assert mdp.expected_length(target) == 1


def test_bandit_variances_are_those_of_the_estimators():
    bandit = Bandit()
    log = bandit.log(200_000, seed=0)
    assert log.size == log.episodes == 200_000 and log.terminated.all()
    assert log.observation.shape == (200_000, 1) and log.horizon == 1
    weight = bandit.weights[log.action]
    np.testing.assert_array_equal(log.propensity, np.array(bandit.behavior)[log.action])
    assert (weight * log.reward).var() == pytest.approx(bandit.ips_variance, rel=0.02)
    centered = weight * (log.reward - bandit.value)
    assert centered.var() == pytest.approx(bandit.snips_variance, rel=0.02)
    residual = weight * (log.reward - np.array(bandit.success)[log.action])
    assert residual.var() == pytest.approx(bandit.doubly_robust_variance, rel=0.02)
    assert weight.mean() == pytest.approx(1, abs=0.01)


def test_toy_graph_values():
    graph = ToyGraph()
    assert graph.value(0.2, 0.98) == pytest.approx(-1.1644776, abs=1e-12)
    assert graph.value(0.8, 0.98) == pytest.approx(1.1644776, abs=1e-12)
    assert ToyGraph(length=16).value(0.2, 0.98) == pytest.approx(-4.143034, abs=5e-7)


@pytest.mark.parametrize("length", [2, 4, 16])
def test_the_toy_graph_as_a_process(length):
    graph = ToyGraph(length)
    mdp = graph.mdp()
    policy = graph.policy(0.2)
    assert mdp.value(policy, 0.98) == pytest.approx(graph.value(0.2, 0.98), abs=1e-12)
    assert mdp.expected_length(policy) == pytest.approx(length, abs=1e-12)


def test_importance_sampling_on_the_toy_graph_by_enumeration():
    """Unbiased, and useless: a standard deviation of 29 for returns within 4."""
    mdp = ToyGraph().mdp()
    target, behavior = 0.2, 0.8
    probabilities = mdp.transition.toarray().reshape(8, 2, 8)
    mean = square = total = 0.0
    layers = [[0], [1, 2], [3, 4], [5, 6]]
    for path in itertools.product(*layers):
        for actions in itertools.product([0, 1], repeat=4):
            chance = weight = 1.0
            gain = 0.0
            for step, (state, action) in enumerate(zip(path, actions)):
                following = path[step + 1] if step < 3 else 7
                taken = behavior if action == 0 else 1 - behavior
                weight *= (target if action == 0 else 1 - target) / taken
                chance *= taken * probabilities[state, action, following]
                sign = following if step < 3 else state
                gain += 0.98**step * (1 if sign % 2 else -1)
            total += chance
            mean += chance * weight * gain
            square += chance * (weight * gain) ** 2
    assert total == pytest.approx(1, abs=1e-12)
    assert mean == pytest.approx(-1.1644776, abs=1e-10)
    assert square - mean**2 == pytest.approx(869.449889, abs=5e-7)


def test_random_mdp_values():
    mdp, behavior, target = random_mdp()
    assert mdp.value(target, 0.95) == pytest.approx(11.50710766, abs=5e-9)
    assert mdp.value(behavior, 0.95) == pytest.approx(11.69173768, abs=5e-9)
    bits = (target * np.log2(target / behavior)).sum(axis=1)
    assert bits.mean() == pytest.approx(0.613, abs=5e-4)  # States weighted equally.


def test_what_a_horizon_leaves_out_is_bounded():
    mdp, _, target = random_mdp()
    whole, cut = mdp.value(target, 0.95), mdp.value(target, 0.95, horizon=40)
    assert 0 < whole - cut < 0.95**40 * mdp.reward.max() / 0.05
    assert mdp.value(target, 0.95, horizon=600) == pytest.approx(whole, abs=1e-10)


def test_a_log_of_the_random_mdp_is_cut_at_the_horizon():
    mdp, behavior, _ = random_mdp()
    rows = mdp.simulate(behavior, episodes=3_000, seed=0, max_steps=40)
    log = mdp.to_dataset(rows, horizon=40)
    assert (log.lengths == 40).all() and log.truncated[log.last_row].all()
    assert not log.terminated.any() and log.has_next.all()
    returns = log.returns(0.95)
    exact = mdp.value(behavior, 0.95, horizon=40)
    assert abs(returns.mean() - exact) < 4 * returns.std() / np.sqrt(3_000)


@pytest.mark.parametrize("discount, value", [(1.0, 10), (0.99, 9.174312), (0.9, 5.263158)])
def test_chain_values(discount, value):
    chain = Chain()
    assert chain.value(discount) == pytest.approx(value, abs=5e-7)
    only = np.ones((2, 1))
    assert chain.mdp().value(only, discount) == pytest.approx(
        chain.value(discount), abs=1e-10
    )


def test_the_chain_log_stops_in_exactly_a_tenth_of_its_rows():
    log = Chain().log(episodes=30)
    assert log.size == 300 and log.episodes == 30
    assert log.terminated.sum() == 30 and not log.truncated.any()
    assert (log.lengths == 10).all() and log.terminated[9::10].all()
    np.testing.assert_array_equal(log.returns(), 10)
    np.testing.assert_array_equal(log.next_state_id, [*([0] * 9), -1] * 30)
    assert log.has_next.all() and log.state_count == 1
    # Its maximum-likelihood model has the exact value, whatever the discount.
    goes_on = 1 - log.terminated.mean()
    for discount in (1.0, 0.99, 0.9):
        model = 1 / (1 - discount * goes_on)
        assert model == pytest.approx(Chain().value(discount), abs=1e-10)
