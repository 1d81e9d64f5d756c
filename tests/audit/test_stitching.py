"""Episodes that meet and episodes that do not: known shares, known gains."""

import numpy as np
import pytest

from stitchrl.audit.places import Places
from stitchrl.audit.stitching import meetings_of, planned, stitching_of
from stitchrl.dataset import Choices, Dataset


def paths(*walks: tuple[list[int], float], features: bool = False) -> Dataset:
    """Episodes that walk through states by one move each and end with a reward."""
    states = [state for walk, _ in walks for state in walk]
    ends = np.cumsum([len(walk) for walk, _ in walks]) - 1
    reward, terminated = np.zeros(len(states)), np.zeros(len(states), bool)
    reward[ends], terminated[ends] = [found for _, found in walks], True
    following = np.array([*states[1:], 0])
    # What is done tells where one goes: state 4 of the first path offers two moves.
    episode = np.repeat(np.arange(len(walks)), [len(walk) for walk, _ in walks])
    action = np.where(terminated, episode % 2, following % 2)
    ids = np.array(states)
    observation = np.stack([ids, np.zeros_like(ids)], axis=1) * 1.0
    return Dataset.create(
        observation=observation,
        action=action,
        actions=Choices(("even", "odd")),
        reward=reward,
        episode=episode,
        terminated=terminated,
        truncated=np.zeros(len(states), bool),
        state_id=None if features else ids,
        final_state_id=None if features else np.full(len(walks), -1),
    )


def found(dataset: Dataset):
    meetings = meetings_of(dataset, discount=1.0)
    return stitching_of(dataset, Places.of(dataset), meetings, discount=1.0)


CROSSING = (([1, 2, 3, 4, 5], 0.0), ([7, 8, 4, 6, 9], 1.0))


def test_crossing_paths_are_stitched_and_the_gain_is_known():
    """From the first start 1 instead of 0, from the second 1 as before."""
    result = found(paths(*CROSSING))
    assert result.stitchability == 1.0
    assert result.joints == pytest.approx(1 / 5)
    assert result.gains == pytest.approx((0.5, 0.0, 0.0))
    assert result.gain_over_best == pytest.approx(0.5)
    assert result.radius is None and result.compared == 10


def test_paths_that_do_not_meet_cannot_be_stitched():
    result = found(paths(([1, 2, 3], 0.0), ([7, 8, 9], 1.0)))
    assert (result.stitchability, result.joints) == (0, 0)
    assert result.gains == pytest.approx((0, 0, 0)) and abs(result.gain_over_best) < 1e-12


def test_a_single_expert_leaves_nothing_to_win():
    result = found(paths(*[([1, 2, 3, 4], 1.0)] * 6))
    assert result.stitchability == 0
    assert result.gains == pytest.approx((0, 0, 0)) and abs(result.gain_over_best) < 1e-12


def test_rare_luck_is_no_gain_once_it_must_have_been_tried_often():
    """A move tried once, after five other walks, wins by count 1 and not by 5."""
    result = found(paths(*[([1, 2, 3, 4, 5], 0.0)] * 5, ([7, 8, 4, 6, 9], 1.0)))
    assert result.gains[0] == pytest.approx(5 / 6)
    assert result.gains == pytest.approx((5 / 6, -1 / 6, 0))


def test_features_that_are_equal_meet_like_states():
    dataset = paths(*CROSSING, features=True)
    meetings = meetings_of(dataset, discount=1.0)
    result = stitching_of(dataset, Places.of(paths(*CROSSING)), meetings, discount=1.0)
    assert result.radius is not None and result.radius > 0
    assert result.stitchability == 1.0


def test_planning_is_value_iteration_on_the_log():
    dataset = paths(*CROSSING)
    places = Places.of(dataset)
    values = planned(dataset, places, discount=0.9, least_count=1)
    of_state = dict(zip(dataset.state_id, values[places.row]))
    assert of_state[6] == pytest.approx(0.9)
    assert of_state[4] == pytest.approx(0.9**2)
    assert of_state[1] == pytest.approx(0.9**5)
    assert of_state[5] == 0 and of_state[9] == 1
