"""Distances in bits: by hand, and against the exact numbers of ICU-Sepsis."""

import functools

import numpy as np
import pytest
from ope.logs import always, write_log
from scipy.sparse import csr_array

from stitchrl.ope.chain import Chain
from stitchrl.ope.divergence import (
    FLOOR,
    behavior_by_state,
    kl_by_state,
    tabular_divergence,
    weighted_divergence,
)
from stitchrl.ope.empirical_model import Transitions
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.ope.weights import Weights, log_ratio
from stitchrl.problems import icu_sepsis
from stitchrl.problems.exact import Bandit


def by_state(dataset, table=None):
    behavior = Behavior.logged(dataset)
    if table is not None:
        behavior = Behavior(behavior.propensity, is_fitted=False, table=table)
    return behavior_by_state(dataset, Transitions.of(dataset), behavior)


def divergence(dataset, policy, **more):
    model = Transitions.of(dataset).model()
    horizon = int(dataset.lengths.max())
    behavior = by_state(dataset)
    return tabular_divergence(
        model, policy, behavior, groups=dataset.groups, horizon=horizon, **more
    )


def test_kl_of_one_state_by_hand():
    policy = np.array([[1.0, 0.0], [0.5, 0.5]])
    behavior = np.array([[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_allclose(kl_by_state(policy, behavior), [2, 0])
    assert kl_by_state(policy, np.array([[0.0, 1.0], [0.5, 0.5]]))[0] == np.inf


def test_bits_of_the_bandit():
    dataset = Bandit().log(1024, seed=0)
    found = divergence(dataset, np.array([Bandit().target]))
    assert found.bits_per_episode == pytest.approx(0.915963, abs=1e-5)
    assert found.bits_per_step == pytest.approx(found.bits_per_episode)
    assert found.log_bits == 10
    assert found.unsupported_share == 0


def test_bits_add_up_along_episodes():
    """Two fair coins, of which the policy always shows heads: 2 bits, 1 each."""
    dataset = write_log([[(0, 0, 0.0), (1, 0, 0.0)], [(0, 1, 0.0), (1, 1, 0.0)]] * 2000)
    found = divergence(dataset, always(dataset, 0).probabilities[:2])
    assert found.bits_per_episode == pytest.approx(2)
    assert found.bits_per_step == pytest.approx(1)
    half = divergence(dataset, always(dataset, 0).probabilities[:2], share=0.5)
    assert half.bits_per_step == pytest.approx(0.75 * np.log2(1.5) + 0.25 * np.log2(0.5))


def test_the_table_from_logged_propensities():
    """.5 and .3 were logged; the missing .2 is shared by the two others that are valid."""
    valid = np.array([[True, True, True, True, False]] * 3)
    dataset = write_log(
        [[(0, 0, 0.0)], [(0, 1, 0.0)], [(0, 0, 0.0)]],
        actions=5,
        propensity=np.array([0.5, 0.3, 0.5]),
        valid_actions=valid,
    )
    expected = np.array([0.5, 0.3, 0.1, 0.1, FLOOR]) / (1 + FLOOR)
    np.testing.assert_allclose(by_state(dataset)[0], expected, rtol=1e-12)


def test_what_the_log_rules_out_is_unsupported():
    """Propensity 1: the other action has probability 0, which counts as 20 bits."""
    dataset = write_log([[(0, 0, 0.0)]] * 64, propensity=np.ones(64))
    policy = np.array([[0.75, 0.25]])
    found = divergence(dataset, policy)
    assert found.unsupported_share == pytest.approx(0.25)
    expected = 0.75 * np.log2(0.75) + 0.25 * np.log2(0.25 / FLOOR)
    assert found.bits_per_episode == pytest.approx(expected, rel=1e-5)


def test_a_full_table_is_used_where_there_is_one():
    dataset = write_log([[(0, 0, 0.0)], [(1, 0, 0.0)]])
    table = PolicyTable.of_states(dataset, np.array([[0.2, 0.8]] * 4))
    np.testing.assert_allclose(by_state(dataset, table), 2 * [[0.2, 0.8]])


@functools.cache
def icu():
    """The problem, π_β = .8 clinicians + .2 uniform, and an optimal policy."""
    problem = icu_sepsis.load()
    _, q = problem.mdp.optimal(1.0)
    best = np.eye(25)[q.argmax(axis=1)]
    return problem, 0.8 * problem.clinicians + 0.2 / 25, best


def test_icu_sepsis_exactly_from_the_true_tables():
    problem, behavior, optimal = icu()
    mdp = problem.mdp
    published = {0.1: 0.569, 0.2: 1.829, 0.3: 3.606, 0.5: 8.586, 1.0: 33.455}
    for share, bits_published in published.items():
        policy = (1 - share) * behavior + share * optimal
        acting = np.where(mdp.terminal[:, None], 0, policy).ravel()
        first_pair = np.arange(0, 716 * 25 + 1, 25)
        choice = csr_array((acting, np.arange(716 * 25), first_pair), shape=(716, 716 * 25))
        chain = Chain(csr_array(choice @ mdp.transition), 1.0)
        bits = np.where(mdp.terminal, 0.0, kl_by_state(policy, behavior))
        found = mdp.start @ chain.sums(bits)
        assert found == pytest.approx(mdp.kl_bits(policy, behavior), rel=1e-12)
        # Which of equally good actions is the best is decided by rounding.
        assert found == pytest.approx(bits_published, rel=0.05)


def test_icu_sepsis_from_a_log():
    problem, behavior, optimal = icu()
    dataset = problem.simulate(20_000, seed=0, behavior=behavior)
    log = TabularLog.of(dataset, discount=1.0)
    policy = log.transitions.policy(PolicyTable.of_states(dataset, optimal))
    for share, tolerance in (
        (0.1, 0.02),
        (0.2, 0.02),
        (0.3, 0.02),
        (0.5, 0.02),
        (1.0, 0.03),
    ):
        found = divergence(dataset, policy, share=share).bits_per_episode
        mixed = (1 - share) * behavior + share * optimal
        exact = problem.mdp.kl_bits(mixed, behavior)
        assert found == pytest.approx(exact, rel=tolerance)


def test_weighted_bits_where_there_is_no_table():
    dataset = Bandit().log(20_000, seed=1)
    table = PolicyTable.of_states(dataset, np.array([Bandit().target]))
    ratios = log_ratio(table.of_logged_action(dataset), dataset.propensity)
    found = weighted_divergence(Weights.of(dataset, ratios), dataset)
    assert found.bits_per_episode == pytest.approx(0.915963, abs=0.03)
    none = weighted_divergence(
        Weights(np.full(20_000, -np.inf), dataset.episode_group), dataset
    )
    assert none.bits_per_episode == np.inf
