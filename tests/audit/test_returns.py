"""Returns, places and coverage of logs that can be counted by hand."""

import numpy as np
import pytest

from stitchrl.audit.coverage import coverage_of
from stitchrl.audit.places import Places
from stitchrl.audit.returns import TWO_MODES, returns_of
from stitchrl.dataset import Bounds, Choices, Dataset


def log(returns: np.ndarray, *, length: int = 2, **more) -> Dataset:
    """Episodes of equal length that are rewarded at their end."""
    size = len(returns) * length
    reward, ends = np.zeros(size), np.zeros(size, bool)
    reward[length - 1 :: length], ends[length - 1 :: length] = returns, True
    columns = {
        "observation": np.zeros((size, 1)),
        "action": np.zeros(size, int),
        "actions": Choices(("a", "b")),
        "reward": reward,
        "terminated": ends,
        "truncated": np.zeros(size, bool),
    }
    return Dataset.create(**(columns | more))


def test_returns_by_hand():
    found = returns_of(log(np.array([0.0, 0.0, 1.0, 1.0])))
    assert (found.mean, found.smallest, found.largest) == (0.5, 0, 1)
    error = np.sqrt(4 / 3 * 4 * 0.25) / 4
    assert found.half_width == pytest.approx(3.182446 * error, rel=1e-6)
    assert found.quantiles == pytest.approx((0, 0, 0.5, 1, 1))
    assert (found.zero_share, found.rewarded_share) == (0.5, 0.25)
    assert (found.expert_episodes, found.expert_rows, found.cut_share) == (0.5, 0.5, 0)
    assert found.bimodality == pytest.approx(1.0) and found.has_signal


def test_one_or_two_kinds_of_episodes():
    rng = np.random.default_rng(0)
    one = returns_of(log(rng.normal(size=2_000)))
    two = returns_of(log(rng.normal(size=2_000) + 8 * (np.arange(2_000) % 4 == 0)))
    assert one.bimodality < TWO_MODES < two.bimodality
    assert two.expert_episodes == pytest.approx(0.15, abs=0.1)


def test_nothing_to_learn_from():
    found = returns_of(log(np.ones(5)))
    assert not found.has_signal and found.bimodality == 0 and found.expert_episodes == 1


def test_a_single_group_has_no_interval():
    assert returns_of(log(np.ones(2), group=np.zeros(4))).half_width is None


def test_places_are_states_where_the_log_names_them():
    ids = np.array([5, 7, 5, 9])
    found = Places.of(log(np.zeros(2), state_id=ids, final_state_id=np.array([-1, -1])))
    assert found.row.tolist() == [0, 1, 0, 2] and found.count == 3
    assert found.following.tolist() == [1, -1, 2, -1]
    assert not found.are_clusters


def test_clusters_find_what_is_apart():
    rng = np.random.default_rng(1)
    centers = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]])
    kind = rng.integers(3, size=400)
    action = np.where(kind == 0, -0.9, 0.9)[:, None] + 0.01 * rng.normal(size=(400, 1))
    dataset = log(
        np.zeros(200),
        observation=centers[kind] + rng.normal(size=(400, 2)),
        action=action,
        actions=Bounds(("force",), (-1.0,), (1.0,)),
    )
    found = Places.of(dataset)
    assert found.are_clusters and 3 <= found.count <= 21
    for place in range(found.count):
        assert len(np.unique(kind[found.row == place])) <= 1
    for move in range(found.moves):
        assert len(np.unique(action[found.move == move] > 0)) == 1
    again = Places.of(dataset)
    assert np.array_equal(found.row, again.row) and np.array_equal(found.move, again.move)


def test_what_follows_a_cut_is_known_or_not():
    final = np.array([[3.0], [np.nan]])
    dataset = log(
        np.zeros(2),
        observation=np.array([[1.0], [2.0], [1.0], [2.0]]),
        final_observation=final,
        terminated=np.zeros(4, bool),
        truncated=np.array([False, True, False, True]),
    )
    found = Places.of(dataset)
    assert found.following[0] == found.row[1] and found.following[3] == -2
    assert found.following[1] >= 0


def test_coverage_by_hand():
    """Two places, visited three times and once; the first with two moves."""
    dataset = log(
        np.zeros(2),
        state_id=np.array([0, 0, 0, 1]),
        final_state_id=np.array([-1, -1]),
        action=np.array([0, 1, 0, 1]),
    )
    found = coverage_of(Places.of(dataset))
    assert (found.places, found.moves) == (2, 2)
    bits = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert found.effective_places == pytest.approx(2**bits)
    assert found.busiest_share == 0.75
    assert (found.tried_share, found.often_share) == (0.75, 0)
    within = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    assert found.entropy == pytest.approx(0.75 * within)
    assert found.rarest_share == 0.5
