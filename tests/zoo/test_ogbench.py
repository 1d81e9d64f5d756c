"""The single task in walks that know nothing of it, on arrays made by hand."""

import numpy as np

from stitchrl.rollout import Played
from stitchrl.zoo import ogbench
from stitchrl.zoo.entry import successes
from stitchrl.zoo.ogbench import MEDIUM, Tourists

GOAL = np.array([20.0, 20.0])
# A walk of five decisions through the region of radius 1, and one of two that misses it.
PLACES = GOAL + np.array([[-3, 0], [-0.9, 0], [0.9, 0], [1.1, 0], [2, 0], [3, 0]])
AWAY = np.array([[0.0, 0], [0.2, 0], [0.4, 0]])


def played() -> Played:
    seen = np.concatenate([PLACES[:-1], AWAY[:-1]]).astype(np.float32)
    following = np.concatenate([PLACES[1:], AWAY[1:]]).astype(np.float32)
    cut = np.array([False] * 4 + [True, False, True])
    return Played(
        observation=seen,
        action=np.zeros((7, 2), np.float32),
        reward=np.zeros(7),
        terminated=np.zeros(7, bool),
        truncated=cut,
        episode=np.array([0] * 5 + [1] * 2),
        next_observation=following,
    )


def test_a_decision_within_the_goal_earns_nothing_less_and_ends_the_episode():
    log = ogbench.as_log(MEDIUM, played())
    assert log.reward.tolist() == [-1, 0, 0, -1, -1, -1, -1]
    assert log.terminated.tolist() == [False, True, True] + [False] * 4
    assert log.lengths.tolist() == [2, 1, 2, 2]
    assert log.truncated.tolist() == [False] * 4 + [True, False, True]


def test_only_cut_walks_have_a_final_observation():
    log = ogbench.as_log(MEDIUM, played())
    assert np.isnan(log.final_observation[:2]).all()
    np.testing.assert_allclose(log.final_observation[2:], [PLACES[-1], AWAY[-1]])


def test_a_walk_is_a_group():
    assert ogbench.as_log(MEDIUM, played()).group.tolist() == [0] * 5 + [1] * 2


def test_success_is_counted_by_episode():
    rows = played()
    rows.terminated[4], rows.truncated[4] = True, False
    assert successes(rows).tolist() == [1, 0]


def test_cells_lie_as_in_ogbench():
    first, goal = MEDIUM.centers[0], MEDIUM.centers[MEDIUM.goal]
    assert first.tolist() == [0, 0] and goal.tolist() == GOAL.tolist()
    spread = MEDIUM.somewhere(np.zeros(2000, int), np.random.default_rng(0))
    assert 0.95 < abs(spread).max() <= 1


def walk(course, steps=3000):
    """Where many tourists are sent from the first cell."""
    tourists = Tourists(MEDIUM, course)
    observation = np.zeros((steps, 2), np.float32)
    action, (goal, _) = tourists.act(
        tourists.start(steps, seed=0), observation, np.zeros(steps)
    )
    return action, MEDIUM.distances[0, MEDIUM.cell_of(goal)]


def test_courses_differ_in_how_far_they_go():
    assert walk(ogbench.STITCH)[1].max() == ogbench.FARTHEST
    assert walk(ogbench.NAVIGATE)[1].max() == MEDIUM.distances[0].max() > 8


def test_only_some_courses_go_on():
    for course in (ogbench.STITCH, ogbench.NAVIGATE):
        tourists = Tourists(MEDIUM, course)
        memory = tourists.start(1, seed=0)
        _, memory = tourists.act(memory, np.zeros((1, 2), np.float32), np.zeros(1))
        arrived = memory[0].astype(np.float32)
        _, later = tourists.act(memory, arrived, np.zeros(1))
        assert (later[0] != memory[0]).any() == course.goes_on
