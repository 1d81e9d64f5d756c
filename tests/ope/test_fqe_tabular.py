"""FQE in closed form: exact where the log is exact, honest where it is silent."""

from dataclasses import replace

import numpy as np
import pytest
from ope.logs import always, write_log

from stitchrl.ope.base import Source
from stitchrl.ope.cross_fitting import cross_fits, cross_fitted, in_folds
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.problems.exact import Bandit, Chain, ToyGraph, random_mdp
from stitchrl.splits import folds


def fitted(dataset, discount=1.0):
    return TabularLog.of(dataset, discount=discount).fit()


def evaluate(dataset, table: PolicyTable, *, discount=1.0, share=1.0):
    fqe = fitted(dataset, discount)
    return fqe.evaluate(fqe.log.transitions.policy(table), share)


@pytest.mark.parametrize("discount", [1.0, 0.99, 0.9])
def test_the_one_state_chain_is_exact(discount):
    """A tenth of the rows terminate: 10, 9.174312, 5.263158. A Huber loss fails here."""
    chain = Chain()
    dataset = chain.log(episodes=7)
    found = evaluate(
        dataset, PolicyTable.of_states(dataset, np.ones((1, 1))), discount=discount
    )
    expected = {1.0: 10, 0.99: 9.174311926605505, 0.9: 5.263157894736842}[discount]
    for value in (found.lower, found.value, found.upper):
        assert abs(value - expected) < 1e-10
    assert abs(chain.value(discount) - expected) < 1e-10


def test_truncated_rows_bootstrap_and_terminated_ones_do_not():
    """State 0: reward 1, then cut in state 1 or over. State 1: reward 3, then over."""
    dataset = write_log(
        [[(0, 0, 1.0)], [(0, 0, 1.0)], [(1, 0, 3.0)]], final_states=[1, -1, -1]
    )
    found = evaluate(dataset, always(dataset, 0), discount=0.5)
    v0, v1 = 1 + 0.5 * 0.5 * 3, 3
    np.testing.assert_allclose(found.state_values, [v0, v1])
    assert found.value == pytest.approx((2 * v0 + v1) / 3)


def test_rows_of_which_nobody_knows_what_followed_are_left_out():
    dataset = write_log([[(0, 0, 100.0)], [(0, 0, 1.0)]], final_states=[-2, -1])
    log = TabularLog.of(dataset, discount=0.9)
    assert log.transitions.unknown_ends == 1
    found = log.fit().evaluate(log.transitions.policy(always(dataset, 0)))
    assert found.value == pytest.approx(1.0)


def test_the_behavior_is_worth_the_data_mean():
    """Visits in the maximum-likelihood model are the counts of the log."""
    graph = ToyGraph()
    rows = graph.mdp().simulate(graph.policy(0.6), episodes=100, seed=0)
    dataset = graph.mdp().to_dataset(rows)
    any_policy = PolicyTable.of_states(dataset, graph.policy(0.9))
    found = evaluate(dataset, any_policy, share=0.0)
    assert found.value == pytest.approx(dataset.returns().mean(), abs=1e-12)
    assert (found.lower, found.upper) == pytest.approx((found.value, found.value))
    assert found.unseen_share == 0


def test_deterministic_dynamics_seen_in_full_give_exact_values():
    """4 states in a row, action 1 steps on and pays the state's number, action 0 ends."""
    episodes = [[(s, 1, float(s)) for s in range(k)] + [(k, 0, 0.5)] for k in range(4)]
    episodes.append([(s, 1, float(s)) for s in range(4)])
    dataset = write_log(episodes)
    found = evaluate(dataset, always(dataset, 1), discount=0.9)
    assert found.value == pytest.approx(sum(s * 0.9**s for s in range(4)), abs=1e-12)
    half = evaluate(dataset, PolicyTable.of_states(dataset, np.full((4, 2), 0.5)))
    exact = 0.0
    for state in (3, 2, 1, 0):
        exact = 0.5 * 0.5 + 0.5 * (state + (exact if state < 3 else 0))
    assert half.value == pytest.approx(exact, abs=1e-12)


UNSEEN = [[(0, 0, 1.0), (1, 0, 2.0)], [(0, 1, 0.0)]]  # Action 1 never in state 1.


def test_three_completions_of_unseen_actions_by_hand():
    """π: action 0 in state 0, then half and half in state 1, where V^β = 2."""
    dataset = write_log(UNSEEN, reward_bounds=(-1.0, 4.0), horizon=3)
    policy = PolicyTable.of_states(dataset, np.array([[1, 0], [0.5, 0.5], [1, 0], [1, 0]]))
    found = evaluate(dataset, policy)
    # One decision was made before state 1, so at most two remain of three.
    assert found.lower == pytest.approx(1 + 0.5 * 2 + 0.5 * -2)
    assert found.value == pytest.approx(1 + 0.5 * 2 + 0.5 * 2)
    assert found.upper == pytest.approx(1 + 0.5 * 2 + 0.5 * 8)
    assert found.unseen_per_episode == pytest.approx(0.5)
    assert found.unseen_share == pytest.approx(0.5 / 2)
    assert fitted(dataset).log.bounds_source is Source.DECLARED


def test_completions_of_a_mixture_count_the_share_only():
    dataset = write_log(UNSEEN, reward_bounds=(-1.0, 4.0), horizon=3)
    found = evaluate(dataset, always(dataset, 1), share=0.2)
    # State 0: β̂ is half and half, so action 0 has .8 · .5 = .4; in state 1 unseen has .2.
    rest = 0.8 * 2 + 0.2 * np.array([-2.0, 2.0, 8.0])
    np.testing.assert_allclose(
        [found.lower, found.value, found.upper], 0.4 * (1 + rest), atol=1e-12
    )
    assert found.unseen_per_episode == pytest.approx(0.4 * 0.2)


def test_the_behaviors_value_is_clipped_where_it_completes():
    dataset = write_log(UNSEEN, return_bounds=(0.0, 2.5))
    found = evaluate(dataset, always(dataset, 1), share=0.5)
    # In state 1 one reward of 1 is behind, so that at most 1.5 is left, though V^β = 2.
    assert found.value == pytest.approx(0.25 * (1 + 0.5 * 2 + 0.5 * 1.5))


def test_states_never_acted_in_are_worth_the_completion():
    """Both episodes are cut in state 2: lower 0, mean return 1.5, upper 10."""
    dataset = write_log(
        [[(0, 0, 1.0)], [(0, 0, 2.0)]], final_states=[2, 2], reward_bounds=(0.0, 1.0)
    )
    found = evaluate(dataset, always(dataset, 0), discount=0.9)
    np.testing.assert_allclose(
        [found.lower, found.value, found.upper],
        [1.5, 1.5 + 0.9 * 1.5, 1.5 + 0.9 * 10],
    )
    assert found.unknown_share == pytest.approx(0.9 / 1.9)
    assert found.unseen_share == 0


def test_where_the_policy_never_ends_in_the_log_values_are_completions():
    """Action 1 was seen only to stay in state 0, where action 0 ends with 1."""
    dataset = write_log([[(0, 1, 0.0), (0, 0, 1.0)]] * 3, return_bounds=(0.0, 1.0))
    found = evaluate(dataset, always(dataset, 1))
    assert found.endless == 1
    assert (found.lower, found.value, found.upper) == (0, 1, 1)
    assert evaluate(dataset, always(dataset, 1), discount=0.9).value == 0


def test_values_up_to_a_declared_horizon():
    """As many backups as steps, where episodes were cut: J of the true process, nearly."""
    process = random_mdp()
    rows = process.mdp.simulate(process.behavior, episodes=3000, seed=0, max_steps=40)
    dataset = process.mdp.to_dataset(rows, horizon=40)
    target = PolicyTable.of_states(dataset, process.target)
    for discount in (0.95, 1.0):
        exact = process.mdp.value(process.target, discount, horizon=40)
        found = evaluate(dataset, target, discount=discount)
        assert found.value == pytest.approx(exact, rel=0.01)
        assert (found.lower, found.upper) == pytest.approx((found.value, found.value))


def test_completions_up_to_a_horizon_by_hand():
    """Two of two decisions cut in state 0; the second may be the unseen action 1."""
    dataset = write_log(
        [[(0, 0, 1.0), (0, 0, 1.0)]] * 2,
        final_states=[0, 0],
        reward_bounds=(0.0, 3.0),
        horizon=2,
    )
    found = evaluate(dataset, PolicyTable.of_states(dataset, np.full((4, 2), 0.5)))
    # V^β is 1 with one step to go, 2 with two.
    one = 0.5 * 1 + 0.5 * 1
    assert found.value == pytest.approx(0.5 * (1 + one) + 0.5 * 2)
    # In state 0 as few as no and as many as two decisions may be left.
    assert found.lower == pytest.approx(0.5 * (1 + 0.5))
    top = 0.5 * 1 + 0.5 * 6
    assert found.upper == pytest.approx(0.5 * (1 + top) + 0.5 * 6)


def test_permuting_episodes_and_scaling_rewards():
    graph = ToyGraph()
    rows = graph.mdp().simulate(graph.policy(0.6), episodes=60, seed=3)
    dataset = graph.mdp().to_dataset(rows)
    policy = graph.policy(0.3)
    first = evaluate(dataset, PolicyTable.of_states(dataset, policy), discount=0.9).value
    order = np.random.default_rng(0).permutation(60)
    episodes = [
        list(
            zip(
                *(
                    c[dataset.episode == i].tolist()
                    for c in (dataset.state_id, dataset.action, dataset.reward)
                )
            )
        )
        for i in range(60)
    ]

    def value(episodes):
        again = write_log(episodes, states=8)
        return evaluate(again, PolicyTable.of_states(again, policy), discount=0.9).value

    assert value(episodes) == pytest.approx(first, abs=1e-12)
    assert value([episodes[i] for i in order]) == pytest.approx(first, abs=1e-12)
    changed = [[(s, a, 2 * r + 1) for s, a, r in episode] for episode in episodes]
    constant = sum(0.9**t for t in range(4))
    assert value(changed) == pytest.approx(2 * first + constant, abs=1e-12)


def test_cross_fitting_values_starts_by_the_other_fold():
    """Arm 1 paid 1, 0 in fold 0 and 1, 1 in fold 1: (.5 · 1 + .5 · .5) either way."""
    dataset = write_log([[(0, 1, 1.0)], [(0, 1, 1.0)], [(0, 1, 0.0)], [(0, 1, 1.0)]])
    log = TabularLog.of(dataset, discount=1.0)
    policy = log.transitions.policy(always(dataset, 1))
    found = cross_fitted(in_folds(cross_fits(log, np.array([0, 1, 0, 1])), policy))
    assert found.behavior == pytest.approx(0.75)
    # Starting states weigh by where they are: fold 0 starts in state 0, fold 1 in state 1.
    dataset = write_log([[(0, 0, 1.0), (1, 0, 0.0)], [(1, 0, 4.0), (0, 0, 2.0)]])
    log = TabularLog.of(dataset, discount=1.0)
    policy = log.transitions.policy(always(dataset, 0))
    found = cross_fitted(in_folds(cross_fits(log, np.array([0, 1])), policy))
    # Start 0 in the model of episode 1 is worth 2; start 1 in that of episode 0 is worth 0.
    assert found.behavior == pytest.approx((2 + 0) / 2)


def test_a_log_without_states_is_refused():
    dataset = Bandit().log(5, seed=0)
    with pytest.raises(ValueError, match="no state_id"):
        TabularLog.of(replace(dataset, state_id=None), discount=1.0)


def test_folds_and_cross_fit_are_close_to_the_truth():
    bandit = Bandit()
    dataset = bandit.log(4000, seed=5)
    log = TabularLog.of(dataset, discount=1.0)
    table = PolicyTable.of_states(dataset, np.array([bandit.target]))
    fits = cross_fits(log, folds(dataset, 0))
    found = cross_fitted(in_folds(fits, log.transitions.policy(table)))
    limit = 4 * np.sqrt(bandit.doubly_robust_variance / 4000)
    assert abs(found.behavior - bandit.value) < limit
    assert found.lower == pytest.approx(found.upper)
