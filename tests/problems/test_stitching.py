"""What arithmetic on the stitching graph's counts says, before anything is learned."""

import numpy as np
import pytest

from stitchrl.problems.stitching import (
    BEST_VALUE,
    DISCOUNT,
    PAID_SHARE,
    S1,
    S3,
    S4,
    S9,
    SETTINGS,
    STATES,
    counts,
    log,
    mdp,
    reaches,
)

AHEAD = np.array([0, 1, 2, 1, 0, 2, 0, 2, 0])  # s1 to s9, at s4 to s6.


def test_the_log_is_as_defined():
    dataset = log()
    assert dataset.episodes == 52 and dataset.size == 20 * 4 + 2 * 4 + 10 * (1 + 2 + 3)
    assert (dataset.observation == np.eye(9)[dataset.state_id]).all()
    assert dataset.terminated[dataset.last_row].all() and not dataset.truncated.any()
    assert sorted(dataset.returns()) == [0] * 50 + [1] * 2
    at_start = dataset.state_id[dataset.first_row] == S1
    assert at_start.sum() == 50 and dataset.returns()[at_start].max() == 0
    for state in range(S1, S3 + 1):
        assert (counts()[state] > 0).sum() == 2  # Ahead and into a dead end.
    assert sorted(counts()[S4]) == [0, 2, 20]
    assert np.round(PAID_SHARE * 52) == 2
    shares = counts() / counts().sum(axis=1, keepdims=True).clip(1)
    expected = shares[dataset.state_id, dataset.action]
    np.testing.assert_allclose(dataset.propensity, expected)


def test_logged_moves_are_those_of_the_process():
    dataset, process = log(), mdp()
    entry = dataset.state_id * process.actions + dataset.action
    reached = process.transition.toarray().argmax(axis=1)[entry]
    goes_on = ~dataset.terminated
    np.testing.assert_array_equal(reached[goes_on], dataset.next_state_id[goes_on])
    assert process.terminal[reached[dataset.terminated]].all()
    np.testing.assert_array_equal(dataset.reward, reached == S9)


def test_only_one_way_reaches_and_it_is_worth_the_best():
    process = mdp()
    ways = np.stack(np.meshgrid(*[range(3)] * 5, indexing="ij"), -1).reshape(-1, 5)
    actions = np.tile(AHEAD, (len(ways), 1))
    actions[:, [0, 1, 2, 3, 5]] = ways
    reaching = [action for action in actions if reaches(action)]
    assert len(reaching) == 1 and (reaching[0] == AHEAD).all()
    for action in actions[::7]:
        policy = np.eye(3)[np.append(action, 0)]
        value = process.value(policy, DISCOUNT)
        assert value == pytest.approx(BEST_VALUE * reaches(action), abs=1e-12)
    best, _ = process.optimal(DISCOUNT)
    assert reaches(best.argmax(axis=1))


class Table:
    """What the counts allow: deterministic moves, and the value of what follows."""

    def __init__(self):
        dataset, self.count = log(), counts()
        self.seen = self.count > 0
        self.reward, self.following = np.zeros((9, 3)), np.full((9, 3), STATES)
        entry = dataset.state_id, dataset.action
        self.reward[entry] = dataset.reward
        self.following[entry] = dataset.next_state_id % (STATES + 1)  # -1: worth nothing.

    def targets(self, values: np.ndarray) -> np.ndarray:
        return self.reward + DISCOUNT * np.append(values, 0.0)[self.following]


def expectile(q: np.ndarray, weight: np.ndarray, share: float) -> float:
    """The root of Σ w |share - 1(q < v)| (q - v), by bisection."""
    low, high = q.min(), q.max()
    for _ in range(60):
        middle = (low + high) / 2
        slope = (weight * np.where(q > middle, share, 1 - share) * (q - middle)).sum()
        low, high = (middle, high) if slope > 0 else (low, middle)
    return low


def test_imitation_follows_the_majority_and_a_filter_knows_nothing():
    table = Table()
    assert not reaches(table.count.argmax(axis=1))
    dataset = log()
    kept = dataset.returns()[dataset.episode] == 1
    assert not np.isin(dataset.state_id[kept], range(S1, S3 + 1)).any()
    # Of 27 policies that are arbitrary in s1 to s3, and right elsewhere, one reaches.
    ways = np.stack(np.meshgrid(*[range(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    assert sum(reaches(np.append(way, AHEAD[3:])) for way in ways) == 1


def test_values_of_what_was_tried_reach():
    table, values = Table(), np.zeros(STATES)
    for _ in range(9):
        q = np.where(table.seen, table.targets(values), -np.inf)
        values = np.where(table.seen.any(axis=1), q.max(axis=1), 0.0)
    assert reaches(q.argmax(axis=1)) and values[S1] == pytest.approx(BEST_VALUE)


def test_implicit_q_learning_reaches_with_a_margin():
    share, sharpness = SETTINGS["iql"].values()
    table, values = Table(), np.zeros(STATES)
    for _ in range(9):
        q = table.targets(values)
        for state in np.flatnonzero(table.seen.any(axis=1)):
            one = table.seen[state]
            values[state] = expectile(q[state, one], table.count[state, one], share)
    weight = table.count * np.exp(sharpness * (q - values[:, None])).clip(0, 100)
    assert reaches(weight.argmax(axis=1))
    for state in range(S1, S4 + 1):
        second, first = np.sort(weight[state])[-2:]
        assert first > 50 * second


def test_one_step_of_improvement_reaches_with_a_margin():
    """π ∝ β exp(Q^β / α), the best of E Q - α KL(π || β)."""
    table, values = Table(), np.zeros(STATES)
    share = table.count / table.count.sum(axis=1, keepdims=True).clip(1)
    for _ in range(9):
        q = table.targets(values)
        values = (share * q).sum(axis=1)
    weight = share * np.exp(q / SETTINGS["one_step"]["kl_weight"])
    assert reaches(weight.argmax(axis=1))
    for state in range(S1, S4 + 1):
        second, first = np.sort(weight[state])[-2:]
        assert first > 2.5 * second


def test_the_return_that_is_asked_for_is_that_of_the_paid_episodes():
    """Per step that remains, counted from the longest episode."""
    dataset = log()
    left = dataset.lengths.max() - dataset.step_in_episode
    pace = np.sort(dataset.returns()[dataset.episode] / left)
    asked = pace[round(SETTINGS["rvs"]["target_quantile"] * (dataset.size - 1))]
    at_crossing = (dataset.state_id == S4) & (dataset.returns()[dataset.episode] == 1)
    assert (asked == 1 / left[at_crossing]).all()


def test_conservative_q_learning_reaches_with_a_margin():
    table, q = Table(), np.zeros((STATES, 3))
    share = table.count / table.count.sum(axis=1, keepdims=True).clip(1)
    for _ in range(20_000):  # Descent on its loss, with the unseen states left alone.
        softmax = np.exp(q) / np.exp(q).sum(axis=1, keepdims=True)
        slope = 2 * share * (q - table.targets(q.max(axis=1)))
        slope += SETTINGS["cql"]["conservative_weight"] * (softmax - share)
        q -= 0.1 * slope * (share.sum(axis=1, keepdims=True) > 0)
    assert reaches(q.argmax(axis=1))
    for state in range(S1, S4 + 1):
        second, first = np.sort(q[state])[-2:]
        assert first > second + 0.4


def test_constraints_leave_the_rare_way_open_below_a_tenth():
    rare, usual = np.sort(counts()[S4])[1:]
    assert 2 * SETTINGS["bcq"]["threshold"] == pytest.approx(rare / usual)
