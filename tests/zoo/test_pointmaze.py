"""What becomes of the walkers' errands in the log, on arrays made by hand."""

import numpy as np

from stitchrl.rollout import Outcome, Played, play
from stitchrl.validation import validate
from stitchrl.zoo.mazes import UMAZE
from stitchrl.zoo.pointmaze import Errands, as_log, in_region
from stitchrl.zoo.uniform import Uniform
from stitchrl.zoo.walkers import Walkers

CENTER = UMAZE.centers[UMAZE.goal]


def played() -> Played:
    """Two walkers, four steps each; the first gets another goal after its second step."""
    positions = np.array([[0, 1], [-0.6, 1], [-1, 1], [-1.4, 1], [-1, 1.6]], np.float32)
    walks, following = [], []
    for goals in ([0, 0, 1, 1, 1], [2, 2, 2, 2, 2]):
        goal = np.array([[g, -g] for g in goals], np.float32)
        speed = np.zeros((5, 2), np.float32)
        seen = np.concatenate([positions, speed, goal], axis=1)
        walks.append(seen[:-1])
        following.append(seen[1:])
    ends = np.tile([False, False, False, True], 2)
    return Played(
        observation=np.concatenate(walks),
        action=np.zeros((8, 2), np.float32),
        reward=np.zeros(8),
        terminated=np.zeros(8, bool),
        truncated=ends,
        episode=np.repeat([0, 1], 4),
        next_observation=np.concatenate(following),
    )


def test_episodes_are_cut_where_a_goal_changed_and_nowhere_else():
    log = as_log(UMAZE, played())
    assert log.lengths.tolist() == [2, 2, 4]
    assert not log.terminated.any() and log.truncated[log.last_row].all()
    assert log.truncated.sum() == 3
    np.testing.assert_allclose(
        log.final_observation[:, :2], np.array([[-1, 1], [-1, 1.6], [-1, 1.6]]), atol=1e-6
    )


def test_goals_are_not_in_the_log():
    log = as_log(UMAZE, played())
    assert log.feature_names == ("x", "y", "x_velocity", "y_velocity")
    assert np.array_equal(log.observation, played().observation[:, :4])


def test_arriving_in_the_region_is_rewarded_whoever_went_where():
    log = as_log(UMAZE, played())
    assert log.reward.tolist() == [1, 1, 1, 0] * 2
    assert not [finding for finding in validate(log) if finding.severity == "error"]


def test_the_region_is_round_and_closed():
    aside = np.array([[0.5, 0], [0.36, 0.36], [0, -0.5001], [0, 0]])
    seen = (CENTER + aside).astype(np.float32)
    assert in_region(UMAZE, seen).tolist() == [1, 0, 0, 1]


def test_walkers_push_toward_the_next_cell_and_brake():
    walkers = Walkers(UMAZE, noise=0.0)
    bottom_left, goal = np.array([-1.0, -1.0]), np.array([-1.0, 1.0])
    observation = np.concatenate([bottom_left, [0.3, 0.2], goal])[None].astype(np.float32)
    memory = walkers.start(1, seed=0)
    action, memory = walkers.act(memory, observation, np.zeros(1))
    assert UMAZE.cells[memory.waypoint[0]].tolist() == [3, 2]
    # 10 · (0, -1) - (-1, -1) minus the velocity, clipped.
    np.testing.assert_allclose(action, [[1.0, -0.2]], rtol=1e-6)


def test_walkers_turn_at_waypoints_and_end_at_the_goal_itself():
    walkers, memory = Walkers(UMAZE, noise=0.0), None
    memory = walkers.start(1, seed=0)
    goal = np.array([-1.1, 0.9])
    headings = []
    for x, y in [(1, 1), (0.2, 1), (0.05, 1), (-1, 1), (-1.1, 0.9)]:
        observation = np.array([[x, y, 0, 0, *goal]], np.float32)
        action, memory = walkers.act(memory, observation, np.zeros(1))
        headings.append(UMAZE.cells[memory.waypoint[0]].tolist())
    # The middle of the corridor is the waypoint until the walker is near it.
    assert headings == [[1, 2], [1, 2], [1, 1], [1, 1], [1, 1]]
    np.testing.assert_allclose(action, 0, atol=1e-5)


def test_noise_has_the_deviation_that_it_is_said_to_have():
    walkers = Walkers(UMAZE, noise=0.25)
    observation = np.tile(np.float32([-1, 1, 0, 0, -1, 1]), (4000, 1))
    action, _ = walkers.act(walkers.start(4000, seed=3), observation, np.zeros(4000))
    assert abs(action.std() - 0.25) < 0.01 and abs(action.mean()) < 0.01


class Teleport:
    """A maze in which every step leads to where it is told: stands in for MuJoCo."""

    def __init__(self):
        self.rng = np.random.default_rng(5)

    def reset(self, episodes, rng):
        self.seen = np.zeros((episodes, 4), np.float32)
        return self.seen.copy()

    def step(self, playing, action):
        cell = self.rng.integers(len(UMAZE.cells), size=len(playing))
        self.seen[playing, :2] = UMAZE.centers[cell]
        none = np.zeros(len(playing))
        return Outcome(self.seen[playing].copy(), none, none.astype(bool))


def test_errands_change_exactly_on_arrival_and_never_to_where_one_stands():
    rows = play(Uniform(2), Errands(Teleport(), UMAZE), episodes=3, max_steps=60, seed=0)
    goal, next_goal = rows.observation[:, 4:], rows.next_observation[:, 4:]
    place = rows.next_observation[:, :2]
    arrived = np.linalg.norm(place - goal, axis=1) <= 0.45
    assert ((goal != next_goal).any(axis=1) == arrived).all()
    assert 5 < arrived.sum() < 100
    assert (np.linalg.norm(place - next_goal, axis=1) > 0.45).all()


def test_a_fixed_errand_stays():
    rows = play(
        Uniform(2),
        Errands(Teleport(), UMAZE, is_fixed=True),
        episodes=2,
        max_steps=30,
        seed=0,
    )
    assert (rows.observation[:, 4:] == CENTER).all()
