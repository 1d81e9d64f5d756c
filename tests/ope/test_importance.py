"""Data mean and WIS: by hand, and on logs whose answers are a line of arithmetic."""

import numpy as np
import pytest
from ope.logs import always, write_log

from stitchrl.ope.base import Label
from stitchrl.ope.bounds import return_bounds
from stitchrl.ope.importance import data_mean, wis
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.ope.weights import Weights, log_ratio
from stitchrl.problems.exact import Bandit, ToyGraph


def weigh(dataset, table: PolicyTable, share: float = 1.0) -> Weights:
    acting = table.of_logged_action(dataset)
    return Weights.of(dataset, log_ratio(acting, dataset.propensity, share=share))


def estimate(dataset, table, *, share=1.0, discount=1.0):
    bounds = return_bounds(dataset, discount)
    weights = weigh(dataset, table, share)
    return wis(dataset, weights, bounds, discount=discount, level=0.95)


def test_by_hand():
    """W = 4, 0, 2 for "always 0" under a fair coin, so (4 · 1.9 + 2 · 3) / 6 at γ = .9."""
    dataset = write_log(
        [[(0, 0, 1.0), (1, 0, 1.0)], [(0, 0, 5.0), (1, 1, 0.0)], [(0, 0, 3.0)]],
        return_bounds=(0.0, 5.0),
        reward_bounds=(0.0, 5.0),
    )
    found = estimate(dataset, always(dataset, 0), discount=0.9)
    assert found.value == pytest.approx((4 * 1.9 + 2 * 3) / 6)
    assert found.name == "WIS" and found.groups == 3
    assert found.interval is not None and found.interval.label is Label.ASYMPTOTIC
    mean = data_mean(dataset, discount=0.9, level=0.95)
    assert mean.value == pytest.approx((1.9 + 5 + 3) / 3)


def test_no_episode_of_the_policy():
    dataset = write_log([[(0, 0, 1.0)], [(0, 0, 0.0)]])
    found = estimate(dataset, always(dataset, 1))
    assert np.isnan(found.value) and found.interval is None


@pytest.mark.parametrize(("declared", "episodes"), [(False, 99), (False, 100), (True, 9)])
def test_without_declared_bounds_an_interval_needs_a_hundred_episodes(declared, episodes):
    """How bad the episodes are that the log lacks would be read off its own worst."""
    more = {"return_bounds": (0.0, 1.0)} if declared else {}
    dataset = write_log([[(0, 0, float(i % 2))] for i in range(episodes)], **more)
    found = estimate(dataset, always(dataset, 0), share=0.0)
    assert np.isfinite(found.value)
    assert (found.interval is None) == (episodes == 99)


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_the_behavior_on_its_own_log_is_worth_the_data_mean(discount):
    graph = ToyGraph()
    rows = graph.mdp().simulate(graph.policy(0.8), episodes=300, seed=0)
    dataset = graph.mdp().to_dataset(rows)
    itself = PolicyTable.of_states(dataset, graph.policy(0.8))
    mean = data_mean(dataset, discount=discount, level=0.95).value
    for share in (0.0, 0.3, 1.0):
        assert np.abs(weigh(dataset, itself, share).values - 1).max() < 1e-12
        found = estimate(dataset, itself, share=share, discount=discount)
        assert abs(found.value - mean) < 1e-12
    other = PolicyTable.of_states(dataset, graph.policy(0.1))
    assert abs(estimate(dataset, other, share=0.0, discount=discount).value - mean) < 1e-12


def test_groups_are_the_units_of_the_interval():
    """Every episode twice in its group: as wide as once."""
    episodes = [[(0, n % 2, float(n % 3))] for n in range(30)]
    bounds = {"return_bounds": (0.0, 2.0), "reward_bounds": (0.0, 2.0)}
    once = write_log(episodes, **bounds)
    doubled = [episode for episode in episodes for _ in range(2)]
    twice = write_log(doubled, group=np.repeat(np.arange(30), 2), **bounds)
    policy = np.tile([0.3, 0.7], (4, 1))
    one, two = (
        estimate(log, PolicyTable.of_states(log, policy)).interval for log in (once, twice)
    )
    assert one is not None and two is not None
    assert (two.low, two.high) == pytest.approx((one.low, one.high), abs=1e-9)


def test_permuting_episodes_and_scaling_returns():
    rng = np.random.default_rng(0)
    episodes = [
        [
            (int(s), int(a), float(r))
            for s, a, r in zip(*rng.integers(0, 2, (2, 3)), rng.normal(size=3))
        ]
        for _ in range(20)
    ]
    table = np.tile([0.3, 0.7], (4, 1))

    def value(episodes):
        dataset = write_log(episodes)
        return estimate(dataset, PolicyTable.of_states(dataset, table)).value

    first = value(episodes)
    assert value([episodes[i] for i in rng.permutation(20)]) == pytest.approx(
        first, abs=1e-12
    )
    # Three steps each, so that r -> 2 r + 1 moves every return by 3.
    changed = [[(s, a, 2 * r + 1) for s, a, r in episode] for episode in episodes]
    assert value(changed) == pytest.approx(2 * first + 3, abs=1e-12)


def test_mixture_weights_are_those_of_the_mixed_table():
    graph = ToyGraph()
    rows = graph.mdp().simulate(graph.policy(0.8), episodes=50, seed=1)
    dataset = graph.mdp().to_dataset(rows)
    behavior = PolicyTable.of_states(dataset, graph.policy(0.8))
    target = PolicyTable.of_states(dataset, graph.policy(0.2))
    mixed = target.mix(behavior, 0.3)
    np.testing.assert_allclose(
        weigh(dataset, target, 0.3).log, weigh(dataset, mixed).log, atol=1e-12
    )


def test_importance_sampling_of_the_toy_graph_has_the_moments_in_closed_form():
    """Over all trajectories E[W G] is the value; Var[W G] is 869.45 (§ of the closed form).

    Each of 2^4 actions and 2^3 slips is enumerated with its probability under the behavior.
    """
    graph = ToyGraph()
    discount, slip = 0.98, graph.slip
    mean = second = 0.0
    for code in range(2 ** (2 * graph.length)):
        bits = [(code >> k) & 1 for k in range(2 * graph.length)]
        actions, slips = bits[: graph.length], bits[graph.length :]
        probability = weight = 1.0
        rewards = []
        for action, slipped in zip(actions, slips):
            probability *= (0.8, 0.2)[action] * (slip if slipped else 1 - slip)
            weight *= (0.2, 0.8)[action] / (0.8, 0.2)[action]
            rewards.append(1 - 2 * (action ^ slipped))
        rewards[-1] = rewards[-2]  # The last decision repeats its layer's sign.
        total = sum(discount**t * r for t, r in enumerate(rewards))
        mean += probability * weight * total
        second += probability * weight**2 * total**2
    assert mean == pytest.approx(-1.1644776, abs=1e-7)
    assert second - mean**2 == pytest.approx(869.449889, abs=1e-5)
    assert graph.value(0.2, discount) == pytest.approx(mean, abs=1e-12)
    # The package's weights and returns on a log reproduce each trajectory's W G.
    rows = graph.mdp().simulate(graph.policy(0.8), episodes=200, seed=2)
    dataset = graph.mdp().to_dataset(rows)
    weights = weigh(dataset, PolicyTable.of_states(dataset, graph.policy(0.2)))
    ups = np.add.reduceat((dataset.action == 0).astype(int), dataset.first_row)
    np.testing.assert_allclose(weights.values, 4.0 ** (4 - 2 * ups), rtol=1e-12)


def test_bandit_in_the_large():
    """WIS within four of its asymptotic deviations, ESS / n and mean weight as computed."""
    bandit = Bandit()
    n = 20_000
    dataset = bandit.log(n, seed=3)
    table = PolicyTable.of_states(dataset, np.array([bandit.target]))
    found = estimate(dataset, table)
    assert abs(found.value - bandit.value) < 4 * np.sqrt(bandit.snips_variance / n)
    weights = weigh(dataset, table)
    assert weights.effective_size / n == pytest.approx(0.384123, rel=0.03)
    deviation = np.sqrt((bandit.weight_second_moment - 1) / n)
    assert abs(weights.mean - 1) < 4 * deviation
    assert weights.mean_error == pytest.approx(deviation, rel=0.05)
