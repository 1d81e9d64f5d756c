"""The crossing on a plane, and what tables and nearest neighbors make of its log."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from stitchrl.dataset import Dataset
from stitchrl.problems.stitching import SETTINGS
from stitchrl.problems.stitching_plane import (
    CORRIDOR,
    DISCOUNT,
    HORIZON,
    PAID_SHARE,
    PLACES,
    STEP,
    log,
    outcome,
    success,
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return log(seed=0)


def test_the_log_is_as_defined(dataset: Dataset):
    returns = dataset.returns()
    assert dataset.episodes == 1040 and dataset.lengths.max() <= HORIZON
    assert dataset.terminated[dataset.last_row].mean() > 0.99
    assert returns[400:440].mean() > 0.95 and returns[:400].max() == 0
    assert returns[440:].max() == 0 and PAID_SHARE == pytest.approx(40 / 1040)
    first = dataset.observation[dataset.first_row]
    assert np.abs(first[:400] - PLACES["s1"]).max() < 0.15
    assert np.abs(first[400:440] - PLACES["s7"]).max() < 0.15
    again = log(seed=0)
    np.testing.assert_array_equal(dataset.observation, again.observation)


def test_actions_move_what_is_observed(dataset: Dataset):
    inside = ~dataset.terminated
    moved = dataset.next_observation[inside] - dataset.observation[inside]
    error = moved - STEP * dataset.action[inside]
    assert error.std() == pytest.approx(0.02 * np.sqrt(2), rel=0.05)


def test_outcomes():
    middle = np.array([PLACES["s4"], PLACES["s9"], PLACES["s5"], (0.0, 2.1 * CORRIDOR)])
    reward, ends = outcome(middle)
    assert reward.tolist() == [0, 1, 0, 0] and ends.tolist() == [False, True, True, True]


def head_for(*route: str):
    """A policy that knows the way: each place once it is past the one before."""

    def act(seen: np.ndarray) -> np.ndarray:
        is_past = seen.sum(axis=1) > -0.1
        goal = np.where(is_past[:, None], PLACES[route[1]], PLACES[route[0]])
        ahead = goal - seen
        return ahead / np.linalg.norm(ahead, axis=1, keepdims=True)

    return act


def test_who_knows_the_way_arrives():
    assert success(head_for("s4", "s9")) == 1
    assert success(head_for("s4", "s5")) == 0
    assert success(lambda seen: np.tile([1.0, -1.0], (len(seen), 1))) == 0


def neighbors(dataset: Dataset, rows: np.ndarray):
    """The mean action of the ten nearest of these rows."""
    tree, action = cKDTree(dataset.observation[rows]), dataset.action[rows]
    return lambda seen: action[tree.query(seen, 10)[1]].mean(axis=1)


def test_imitation_does_not_arrive(dataset: Dataset):
    is_paid = dataset.returns()[dataset.episode] == 1
    assert success(neighbors(dataset, np.ones(dataset.size, bool))) < 0.05
    assert success(neighbors(dataset, is_paid)) == 0


CELLS, HEADINGS, CELL, LEAST = 24, 8, 0.1, 3


def cell(seen: np.ndarray) -> np.ndarray:
    across, up = np.clip((seen + CELLS * CELL / 2) // CELL, 0, CELLS - 1).astype(int).T
    return across * CELLS + up


def test_a_table_of_values_arrives(dataset: Dataset):
    angle = np.arctan2(dataset.action[:, 1], dataset.action[:, 0])
    heading = np.round(angle / (2 * np.pi / HEADINGS)).astype(int) % HEADINGS
    pair = cell(dataset.observation) * HEADINGS + heading
    following = cell(np.nan_to_num(dataset.next_observation))
    size = CELLS**2 * HEADINGS
    count = np.bincount(pair, minlength=size)
    value = np.zeros(CELLS**2)
    for _ in range(200):
        target = dataset.reward + DISCOUNT * np.where(
            dataset.terminated, 0.0, value[following]
        )
        mean = np.bincount(pair, target, minlength=size) / np.maximum(count, 1)
        q = np.where(count >= LEAST, mean, -1.0).reshape(-1, HEADINGS)
        value = q.max(axis=1).clip(0)
    columns = [np.bincount(pair, column, minlength=size) for column in dataset.action.T]
    action = np.column_stack(columns) / np.maximum(count, 1)[:, None]

    def act(seen: np.ndarray) -> np.ndarray:
        place = cell(seen)
        return action[place * HEADINGS + q[place].argmax(axis=1)]

    assert success(act) > 0.9


def expectiles(q: np.ndarray, share: float) -> np.ndarray:
    """Of each row of q (n, k), by repeated weighing."""
    found = q.mean(axis=1)
    for _ in range(10):
        weight = np.where(q > found[:, None], share, 1 - share)
        found = (weight * q).sum(axis=1) / weight.sum(axis=1)
    return found


def test_weighed_neighbors_turn_if_weights_are_sharp(dataset: Dataset):
    """Implicit Q-learning without networks, of 20 neighbors each."""
    share, around = SETTINGS["iql"]["expectile"], 20
    tree = cKDTree(dataset.observation)
    near = tree.query(dataset.observation, around)[1]
    following = tree.query(np.nan_to_num(dataset.next_observation), around)[1]
    value = np.zeros(dataset.size)
    for _ in range(60):
        later = np.where(dataset.terminated, 0.0, value[following].mean(axis=1))
        q = dataset.reward + DISCOUNT * later
        value = expectiles(q[near], share)

    def arrive(sharpness: float) -> float:
        def act(seen: np.ndarray) -> np.ndarray:
            rows = tree.query(seen, around)[1]
            weight = np.exp(sharpness * (q - value)[rows]).clip(max=100)[:, :, None]
            return (weight * dataset.action[rows]).sum(axis=1) / weight.sum(axis=1)

        return success(act)

    assert arrive(30.0) > 0.8
    assert arrive(3.0) < 0.2
