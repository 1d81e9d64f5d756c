"""Exact values against sums written out by hand, and logs against those values."""

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from stitchrl.problems.tabular import TabularMDP

SAFE, RISKY = 0, 1
HOME, AWAY, LOST, WON = range(4)  # The last two are terminal.


def trip(**changes: Any) -> TabularMDP:
    """From home, safe leads away for -1; away, risky wins 10 with .3 and is lost with .7.

    Away, safe leads home for 0; at home, risky stays for 2. Winning is paid on arrival.
    """
    transition = np.zeros((4, 2, 4))
    reward = np.zeros((4, 2, 4))
    transition[HOME, SAFE, AWAY] = 1
    reward[HOME, SAFE] = -1
    transition[HOME, RISKY, HOME] = 1
    reward[HOME, RISKY] = 2
    transition[AWAY, SAFE, HOME] = 1
    transition[AWAY, RISKY, [LOST, WON]] = [0.7, 0.3]
    reward[AWAY, RISKY, WON] = 10
    transition[[LOST, WON], :, HOME] = 1
    reward[[LOST, WON]] = 99  # Nothing is ever paid after the end.
    arguments: dict[str, Any] = dict(
        transition=transition, reward=reward, start=[1, 0, 0, 0], terminal=[0, 0, 1, 1]
    )
    return TabularMDP.create(**arguments | changes)


HALF = np.full((4, 2), 0.5)
GO = np.array([[1.0, 0], [0, 1], [np.nan, 0], [0, 0]])  # Terminal rows are not read.


def test_values_are_the_sums_written_out():
    mdp = trip()
    assert mdp.value(GO, 0.9) == pytest.approx(-1 + 0.9 * 3, abs=1e-12)
    # h = .5(-1 + γa) + .5(2 + γh), a = .5γh + .5·3.
    expected = np.linalg.solve([[1 - 0.45, -0.45], [-0.45, 1]], [0.5, 1.5])
    values = mdp.state_values(HALF, 0.9)
    np.testing.assert_allclose(values, [*expected, 0, 0], atol=1e-12)
    q = mdp.action_values(HALF, 0.9)
    np.testing.assert_allclose(q[HOME], [-1 + 0.9 * values[AWAY], 2 + 0.9 * values[HOME]])
    np.testing.assert_allclose(q[AWAY], [0.9 * values[HOME], 3])
    np.testing.assert_array_equal(q[[LOST, WON]], 0)


def test_undiscounted_values_and_lengths():
    mdp = trip()
    assert mdp.value(GO, 1.0) == pytest.approx(2, abs=1e-12)
    assert mdp.expected_length(GO) == pytest.approx(2, abs=1e-12)
    # n_home = 1 + .5 n_home + .5 n_away, n_away = .5 n_home: 4 and 2.
    np.testing.assert_allclose(mdp.visits(HALF, 1.0).sum(axis=1), [4, 2, 0, 0])
    assert mdp.expected_length(HALF) == pytest.approx(6, abs=1e-12)
    assert mdp.value(HALF, 1.0) == pytest.approx(4 * 0.5 + 2 * 1.5, abs=1e-12)


def test_a_horizon_cuts_the_sums():
    mdp = trip()
    assert mdp.value(GO, 0.9, horizon=1) == -1
    assert mdp.value(GO, 0.9, horizon=2) == pytest.approx(-1 + 0.9 * 3)
    # Half: .5 at once; then at home with .5 (worth .5) or away with .5 (worth 1.5).
    assert mdp.value(HALF, 0.9, horizon=2) == pytest.approx(0.5 + 0.9 * 1.0)
    np.testing.assert_allclose(mdp.action_values(HALF, 0.9, horizon=1), mdp.reward)
    assert mdp.expected_length(HALF, horizon=3) == pytest.approx(1 + 1 + 0.75)
    visits = mdp.visits(HALF, 0.9, horizon=7)
    assert (visits * mdp.reward).sum() == pytest.approx(mdp.value(HALF, 0.9, horizon=7))


@pytest.mark.parametrize("discount", [0.5, 0.9, 1.0])
def test_visits_reproduce_the_value(discount):
    mdp = trip()
    visits = mdp.visits(HALF, discount)
    assert (visits * mdp.reward).sum() == pytest.approx(
        mdp.value(HALF, discount), abs=1e-12
    )


def test_bits_between_policies():
    mdp = trip()
    assert mdp.kl_bits(GO, HALF) == pytest.approx(2, abs=1e-12)  # Two coins.
    assert mdp.kl_bits(HALF, GO) == np.inf
    assert mdp.kl_bits(HALF, HALF) == 0
    # Four visits of home at log2(.5/.25) and log2(.5/.75), none at away.
    behavior = HALF.copy()
    behavior[HOME] = [0.25, 0.75]
    each = 0.5 * 1 + 0.5 * np.log2(2 / 3)
    assert mdp.kl_bits(HALF, behavior) == pytest.approx(4 * each, abs=1e-12)


def test_the_optimum_depends_on_the_discount():
    mdp = trip()
    policy, q = mdp.optimal(0.5)  # Staying is worth 4, going .5.
    np.testing.assert_array_equal(policy[[HOME, AWAY]], [[0, 1], [0, 1]])
    np.testing.assert_allclose(q[[HOME, AWAY]], [[0.5, 4], [2, 3]], atol=1e-12)
    policy, q = mdp.optimal(0.9)  # Staying is worth 20: return home from away, too.
    np.testing.assert_array_equal(policy[[HOME, AWAY]], [[0, 1], [1, 0]])
    np.testing.assert_allclose(q[[HOME, AWAY]], [[15.2, 20], [18, 3]], atol=1e-9)


def test_the_optimum_keeps_to_valid_actions():
    valid = np.array([[1, 0], [1, 1], [0, 0], [0, 0]], bool)
    mdp = trip(valid_actions=valid)
    policy, q = mdp.optimal(0.9)
    np.testing.assert_array_equal(policy[[HOME, AWAY]], [[1, 0], [0, 1]])
    np.testing.assert_allclose(q[[HOME, AWAY]], [[1.7, -np.inf], [1.53, 3]])


def test_equally_good_actions_go_to_the_first():
    transition = np.zeros((2, 3, 2))
    transition[0, :, 1] = 1
    mdp = TabularMDP.create(
        transition=transition,
        reward=[[0.1 + 0.2, 0.3, 0.3], [0, 0, 0]],
        start=[1, 0],
        terminal=[0, 1],
    )
    np.testing.assert_array_equal(mdp.optimal(1.0)[0][0], [1, 0, 0])


def test_a_policy_that_never_ends_is_refused_without_discount():
    stay = np.array([[0.0, 1], [0, 1], [0, 0], [0, 0]])
    mdp = trip()
    assert mdp.value(stay, 0.9) == pytest.approx(20, abs=1e-12)
    assert mdp.value(stay, 1.0, horizon=7) == 14
    with pytest.raises(
        ValueError, match="From state 0 .* never reaches .* discount below 1"
    ):
        mdp.value(stay, 1.0)
    with pytest.raises(ValueError, match="max_steps"):
        mdp.simulate(stay, episodes=2, seed=0)
    cut = mdp.simulate(stay, episodes=2, seed=0, max_steps=3)
    np.testing.assert_array_equal(cut.truncated, [0, 0, 1] * 2)
    np.testing.assert_array_equal(cut.final_state, [HOME, HOME])


def test_what_is_not_a_policy_is_refused():
    with pytest.raises(ValueError, match="shape"):
        trip().value(HALF[:2], 0.9)
    with pytest.raises(ValueError, match="sum to 1 .* the first sums to 0.9"):
        trip().value(HALF * 0.9, 0.9)
    with pytest.raises(ValueError, match="action 1 in state 0 .* negative"):
        trip().value(np.array([[1.1, -0.1], [1, 0], [0, 0], [0, 0]]), 0.9)
    with pytest.raises(ValueError, match="action 0 in state 1 .* forbidden"):
        trip(valid_actions=[[1, 1], [0, 1], [0, 0], [0, 0]]).value(HALF, 0.9)


def test_arrays_that_are_no_process_are_refused():
    with pytest.raises(ValueError, match="'transition' must sum to 1"):
        trip(transition=np.full((4, 2, 4), 0.2))
    with pytest.raises(ValueError, match="'start' must sum to 1"):
        trip(start=[0.5, 0, 0.5, 0])  # An episode cannot start after its end.
    with pytest.raises(ValueError, match="'start' tells of 3 states"):
        trip(start=[1, 0, 0])


def test_sparse_transitions_are_the_same_and_stay_untouched():
    dense = trip()
    given = dense.transition.tolil()
    given[LOST * 2, HOME] = 1
    given = csr_array(given)
    reward = np.broadcast_to(np.array([0, 0, 0, 10.0]), (4, 2, 4)) - np.array(
        [[1, -2], [0, 0], [0, 0], [0, 0]]
    ).reshape(4, 2, 1)
    sparse = trip(transition=given, reward=reward)
    np.testing.assert_array_equal(sparse.transition.toarray(), dense.transition.toarray())
    assert sparse.value(HALF, 0.9) == pytest.approx(dense.value(HALF, 0.9))
    assert given[LOST * 2, HOME] == 1


def test_float32_policies_are_normalized():
    third = np.full((4, 2), 1 / 3, np.float32)
    third[:, 1] = 2 / 3
    exact = np.full((4, 2), 1 / 3)
    exact[:, 1] = 2 / 3
    assert trip().value(third, 0.9) == pytest.approx(trip().value(exact, 0.9), abs=1e-6)


def test_simulated_rows_fit_together():
    mdp = trip()
    rows = mdp.simulate(HALF, episodes=500, seed=3, max_steps=8)
    starts = np.flatnonzero(rows.step == 0)
    assert len(starts) == 500
    np.testing.assert_array_equal(rows.episode[starts], np.arange(500))
    assert (np.diff(rows.episode) >= 0).all()
    same = np.diff(rows.episode) == 0
    np.testing.assert_array_equal(rows.step[1:][same], rows.step[:-1][same] + 1)
    ends = np.append(~same, True)
    np.testing.assert_array_equal(rows.terminated | rows.truncated, ends)
    assert not (rows.terminated & rows.truncated).any()
    np.testing.assert_array_equal(rows.truncated, (rows.step == 7) & ~rows.terminated)
    following = np.append(rows.state[1:], 0)
    following[ends] = rows.final_state
    leads = mdp.transition.toarray()[rows.state * 2 + rows.action, following]
    assert (leads > 0).all()
    paid = np.array([[-1, 2], [0, 0]])[rows.state, rows.action] + 10 * (following == WON)
    np.testing.assert_array_equal(rows.reward, paid)
    np.testing.assert_array_equal(mdp.terminal[rows.final_state], rows.terminated[ends])
    np.testing.assert_array_equal(rows.propensity, 0.5)


def test_simulated_means_are_the_exact_ones():
    mdp = trip()
    policy = np.array([[0.75, 0.25], [0.1, 0.9], [0, 0], [0, 0]])
    rows = mdp.simulate(policy, episodes=40_000, seed=0)
    returns = np.bincount(rows.episode, rows.reward * 0.9**rows.step)
    error = returns.std() / 200
    assert abs(returns.mean() - mdp.value(policy, 0.9)) < 4 * error
    assert abs(len(rows.step) / 40_000 - mdp.expected_length(policy)) < 0.03
    taken = np.bincount(rows.state * 2 + rows.action, minlength=8).reshape(4, 2) / 40_000
    np.testing.assert_allclose(taken, mdp.visits(policy, 1.0), atol=0.03)
    np.testing.assert_array_equal(rows.propensity, policy[rows.state, rows.action])
    won = (rows.final_state == WON).mean()
    assert abs(won - 0.3) < 4 * np.sqrt(0.21 / 40_000)


def test_noise_is_added_to_rewards():
    rows = trip(reward_noise=0.3).simulate(HALF, episodes=5_000, seed=1)
    quiet = np.array([[-1, 2], [0, np.nan]])[rows.state, rows.action]
    noise = (rows.reward - quiet)[~np.isnan(quiet)]
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(0.3, rel=0.03)


def test_equal_seeds_give_equal_episodes():
    mdp = trip()
    one, same, other = (mdp.simulate(HALF, episodes=50, seed=s) for s in (5, 5, 6))
    for left, right in zip(one, same):
        np.testing.assert_array_equal(left, right)
    assert len(one.state) != len(other.state) or (one.state != other.state).any()


def test_the_log_has_ids_features_and_no_terminal_state():
    valid = np.array([[1, 1], [1, 1], [0, 0], [0, 0]], bool)
    mdp = trip(valid_actions=valid)
    rows = mdp.simulate(HALF, episodes=200, seed=0, max_steps=4)
    log = mdp.to_dataset(rows, action_labels=("safe", "risky"), reward_bounds=(-1.0, 10.0))
    assert log.size == len(rows.state) and log.episodes == 200
    np.testing.assert_array_equal(log.observation.argmax(axis=1), log.state_id)
    np.testing.assert_array_equal(log.state_id, rows.state)
    assert log.state_count == 4
    assert log.feature_names[1] == "state_1"
    assert log.actions.labels == ("safe", "risky")
    np.testing.assert_array_equal(log.propensity, 0.5)
    cut = log.truncated[log.last_row]
    assert 0 < cut.sum() < 200
    np.testing.assert_array_equal(log.final_state_id[~cut], -1)
    assert np.isnan(log.final_observation[~cut]).all()
    np.testing.assert_array_equal(log.final_state_id[cut], rows.final_state[cut])
    np.testing.assert_array_equal(
        log.final_observation[cut].argmax(axis=1), rows.final_state[cut]
    )
    assert log.has_next.all()
    assert log.valid_actions.all() and log.final_valid_actions.all()
    assert log.reward_bounds == (-1.0, 10.0)


def test_the_log_can_show_other_features():
    mdp = trip()
    rows = mdp.simulate(HALF, episodes=20, seed=0)
    features = np.arange(8.0).reshape(4, 2)
    log = mdp.to_dataset(rows, features=features, feature_names=("x", "y"))
    np.testing.assert_array_equal(log.observation, features[rows.state])
    assert log.feature_names == ("x", "y")
    assert log.actions.labels == ("action 0", "action 1")
