"""Ways of acting and breaks, planted and not."""

import numpy as np
import pytest

from stitchrl.audit.behavior import behavior_of, change_in
from stitchrl.audit.places import Places
from stitchrl.dataset import Choices, Dataset


def acted(ways: list[np.ndarray], kind: np.ndarray, *, length: int = 20, **more) -> Dataset:
    """Groups of one episode; that of kind k acts by ways[k] (states, moves)."""
    rng = np.random.default_rng(0)
    groups, states = len(kind), len(ways[0])
    size = groups * length
    state = rng.integers(states, size=size)
    of_row = np.stack(ways)[np.repeat(kind, length), state]
    action = (rng.random((size, 1)) > np.cumsum(of_row, axis=1)).sum(axis=1)
    ends = np.arange(size) % length == length - 1
    return Dataset.create(
        observation=np.zeros((size, 1)),
        action=np.minimum(action, of_row.shape[1] - 1),
        actions=Choices(tuple("abc"[: of_row.shape[1]])),
        reward=np.where(ends, rng.normal(size=size), 0.0),
        terminated=ends,
        truncated=np.zeros(size, bool),
        state_id=state,
        final_state_id=np.full(groups, -1),
        **more,
    )


ONE = np.array([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]])
OTHER = np.array([[0.2, 0.8], [0.7, 0.3], [0.1, 0.9]])


def found(dataset: Dataset):
    return behavior_of(dataset, Places.of(dataset))


def test_two_ways_are_told_apart():
    kind = (np.arange(300) % 3 == 0).astype(int)
    result = found(acted([ONE, OTHER], kind))
    assert result.ways == 2
    assert result.shares == pytest.approx((2 / 3, 1 / 3), abs=0.05)
    assert not result.acting.is_sure


def test_one_way_is_one_way():
    for states in (ONE, np.full((3, 2), 0.5), np.eye(2)[[0, 1, 0]]):
        assert found(acted([states], np.zeros(200, int))).ways == 1


def test_bits_that_the_place_explains():
    """1 bit where it says all; none where it says nothing."""
    sure = found(acted([np.eye(2)[[0, 1, 0]]], np.zeros(200, int)))
    assert sure.explained == pytest.approx(sure.entropy, abs=0.01)
    blind = found(acted([np.full((3, 2), 0.5)], np.zeros(200, int)))
    assert blind.explained == pytest.approx(0, abs=0.01)
    assert blind.entropy == pytest.approx(1, abs=0.01)


def test_a_change_of_behavior_is_found_where_it_was():
    kind = (np.arange(300) >= 200).astype(int)
    result = found(acted([ONE, OTHER], kind))
    assert result.acting.is_sure and abs(result.acting.at - 200) < 25
    assert result.acting.after > result.acting.before
    assert not result.returns.is_sure and not result.is_timed


def test_the_time_column_orders_the_log():
    kind = np.arange(300) % 2
    time = np.repeat(np.where(kind == 1, 1_000, 0) + np.arange(300), 20).astype(float)
    result = found(acted([ONE, OTHER], kind, time=time))
    assert result.is_timed and result.acting.is_sure


def test_a_break_in_numbers():
    rng = np.random.default_rng(1)
    values = np.concatenate([np.zeros(60), np.ones(40)]) + 0.3 * rng.normal(size=100)
    result = change_in(values, rng)
    assert result.p == 0.001 and abs(result.at - 60) <= 2
    assert result.before == pytest.approx(0, abs=0.15)
    assert result.after == pytest.approx(1, abs=0.15)


def test_no_break_is_claimed_more_often_than_said():
    rng = np.random.default_rng(2)
    claimed = sum(change_in(rng.normal(size=60), rng).p < 0.05 for _ in range(200))
    assert claimed < 0.05 * 200 + 3 * np.sqrt(200 * 0.05 * 0.95)


@pytest.mark.parametrize("values", [np.ones(5), np.array([3.0]), np.zeros(4)])
def test_what_does_not_vary_does_not_break(values):
    assert change_in(values, np.random.default_rng(0)).p == 1.0
