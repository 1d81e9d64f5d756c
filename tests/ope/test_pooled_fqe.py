"""FQE in which actions borrow rows from their state: by hand, in the limit, as a rank."""

import numpy as np
import pytest
from ope.logs import always, write_log
from scipy.stats import spearmanr

from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.pooled_fqe import ROWS, pooled_value
from stitchrl.problems import icu_policies
from stitchrl.problems.exact import ToyGraph
from stitchrl.problems.icu_sepsis import load


def pooled(dataset, action, *, discount=1.0, share=1.0):
    log = TabularLog.of(dataset, discount=discount)
    acting = always(dataset, action, actions=dataset.actions.count)
    policy = log.transitions.policy(acting)
    return pooled_value(log.fit(), policy, share)


def bandit_log():
    """One state: 12 rows of action 0 pay 0, 4 of action 1 pay 1, none is of action 2."""
    rows = [(0, 0, 0.0)] * 12 + [(0, 1, 1.0)] * 4
    return write_log([[row] for row in rows], actions=3)


def test_four_rows_of_its_own_count_as_much_as_what_it_borrows():
    """(4 · 1 + 4 · .25) / 8, (0 + 4 · .25) / 16, and .25 where nothing was tried."""
    assert ROWS == 4
    found = [pooled(bandit_log(), action) for action in range(3)]
    np.testing.assert_allclose(found, [1 / 16, 5 / 8, 1 / 4], atol=1e-12)


def test_a_mixture_lies_on_the_line_where_there_is_one_decision():
    found = pooled(bandit_log(), 1, share=0.2)
    behavior = (12 * (1 / 16) + 4 * (5 / 8)) / 16  # Borrowing does not keep V(β̂).
    assert found == pytest.approx(0.8 * behavior + 0.2 * 5 / 8)


def test_after_an_untried_action_the_policy_goes_on():
    """State 0 always leads to 1; there action 1 pays 1, action 0 nothing.

    Action 1 was never tried in state 0. Plain FQE gives up there: it finds the behavior's
    .5. Here the step goes as usual, and what follows is the policy: 4 + 4 · .5 in 8.
    """
    episodes = [[(0, 0, 0.0), (1, action, float(action))] for action in [0, 1] * 4]
    dataset = write_log(episodes)
    log = TabularLog.of(dataset, discount=1.0)
    plain = log.fit().value(log.transitions.policy(always(dataset, 1)))
    assert plain == pytest.approx(0.5)
    assert pooled(dataset, 1) == pytest.approx(0.75)


def test_rewards_are_borrowed_too_and_later_ones_discounted():
    """Action 1 in state 0: four rows that pay 2; action 0: four that pay nothing."""
    episodes = [[(0, action, 2.0 * action), (1, 0, 3.0)] for action in [0, 1] * 4]
    assert pooled(write_log(episodes), 1, discount=0.5) == pytest.approx(
        (4 * 2 + 4 * 1) / 8 + 0.5 * 3
    )


def test_where_a_seen_action_never_ends_what_is_usual_leads_out():
    """Action 1 was seen once and stayed; plain FQE has to call it endless."""
    episodes = [[(0, 1, 0.0), (0, 0, 1.0)]] + [[(0, 0, 1.0)]] * 3
    found = pooled(write_log(episodes), 1)
    # As usual, 1 of 5 rows stays, 4 end and pay 1. Own: stays. v = (v + 4 (.8 + .2 v)) / 5.
    assert found == pytest.approx(1.0)


def test_states_in_which_the_log_never_acted_are_worth_its_mean():
    """Cut after action 1 in state 1, which nobody acted in: γ (mean return of the log)."""
    dataset = write_log(
        [[(0, 1, 0.0)]] * 8 + [[(0, 0, 1.0)]] * 8, final_states=[1] * 8 + [-1] * 8
    )
    assert pooled(dataset, 1, discount=0.5) == pytest.approx(
        (8 * 0.5 * 0.5 + 4 * (0.5 * 0.5 * 0.5 + 0.5)) / 12
    )


def test_with_many_rows_it_is_the_truth():
    graph = ToyGraph()
    rows = graph.mdp().simulate(graph.policy(0.5), episodes=40_000, seed=1)
    dataset = graph.mdp().to_dataset(rows)
    log = TabularLog.of(dataset, discount=0.9)
    for up in (0.1, 0.9):
        found = pooled_value(log.fit(), graph.policy(up)[log.transitions.states])
        assert found == pytest.approx(graph.value(up, 0.9), abs=0.03)


def test_it_ranks_the_policies_of_icu_sepsis_better_than_plain_fqe():
    truth = icu_policies.values()
    order = {"pooled": [], "plain": []}
    for seed in (2_000, 2_001, 2_002):
        log = TabularLog.of(
            load().simulate(1_000, seed, icu_policies.behavior()), discount=1.0
        )
        fitted = log.fit()
        policies = [one[log.transitions.states] for one in icu_policies.policies().values()]
        pooled = [pooled_value(fitted, policy) for policy in policies]
        plain = [fitted.value(policy) for policy in policies]
        order["pooled"].append(spearmanr(pooled, truth)[0])
        order["plain"].append(spearmanr(plain, truth)[0])
    assert np.mean(order["pooled"]) > np.mean(order["plain"]) + 0.03
    assert np.mean(order["pooled"]) > 0.6
