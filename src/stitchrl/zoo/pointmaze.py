"""PointMaze of gymnasium-robotics: a ball is pushed through a maze.

Walkers record it while they run errands that nobody mentions in the log. A learner is to
stay at one place that they only passed through, and must join their ways to get there.
"""

from pathlib import Path

import numpy as np

from stitchrl.dataset import Bounds, Dataset
from stitchrl.rollout import Environments, Outcome, Played, play
from stitchrl.zoo import packages
from stitchrl.zoo.bodies import Bodies
from stitchrl.zoo.mazes import Maze, distance
from stitchrl.zoo.walkers import Walkers

NEEDS = ("gymnasium", "gymnasium-robotics", "mujoco")
FEATURES, ACTIONS = ("x", "y", "x_velocity", "y_velocity"), ("x_force", "y_force")
MAX_STEPS = 1000  # Of an evaluation.
NOISE = 0.5  # Standard deviation, of the walkers' actions.
SUCCESS = 0.45  # From an errand's goal, to get another one: as in gymnasium-robotics.
RADIUS = 0.5  # Of the region that earns reward: as in D4RL's maze2d.
FASTEST = 5.0
WALKERS, SEED = 10, 0


class PointMaze:
    """Copies of PointMaze without a time limit; starts anywhere but in the goal's cell.

    Reward 1 for each step that ends in the region around the fixed goal.
    """

    def __init__(self, maze: Maze):
        packages.require(NEEDS, "PointMaze")
        self.maze, self._bodies = maze, Bodies(_model(maze), frame_skip=1)

    def reset(self, episodes: int, rng: np.random.Generator) -> np.ndarray:
        cells = np.delete(np.arange(len(self.maze.cells)), self.maze.goal)
        position = self.maze.somewhere(rng.choice(cells, size=episodes), rng)
        return self.place(position, np.zeros((episodes, 2)))

    def place(self, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Start episodes from these positions (n, 2) and velocities (n, 2)."""
        self._bodies.reset(position, velocity)
        return np.concatenate([position, velocity], axis=1).astype(np.float32)

    def step(self, playing: np.ndarray, action: np.ndarray) -> Outcome:
        self._bodies.limit_velocity(playing, FASTEST)
        self._bodies.step(playing, np.clip(action, -1.0, 1.0))
        position = self._bodies.positions(playing)
        seen = np.concatenate([position, self._bodies.velocities(playing)], axis=1)
        observation = seen.astype(np.float32)
        reward = in_region(self.maze, observation)
        return Outcome(observation, reward, np.zeros(len(playing), bool))


class Errands:
    """PointMaze with a goal in sight, and another one as soon as it is reached.

    Two more features: where the goal is. If `is_fixed`, it is always the maze's own.
    """

    def __init__(self, place: Environments, maze: Maze, *, is_fixed: bool = False):
        self.place, self.maze, self.is_fixed = place, maze, is_fixed

    def reset(self, episodes: int, rng: np.random.Generator) -> np.ndarray:
        observation = self.place.reset(episodes, rng)
        fixed = self.maze.centers[self.maze.goal].astype(np.float32)
        self._rng, self._goal = rng, np.tile(fixed, (episodes, 1))
        playing = np.arange(episodes)
        if not self.is_fixed:
            self._send(playing, observation)
        return np.concatenate([observation, self._goal], axis=1)

    def step(self, playing: np.ndarray, action: np.ndarray) -> Outcome:
        outcome = self.place.step(playing, action)
        arrived = distance(outcome.observation[:, :2], self._goal[playing]) <= SUCCESS
        if not self.is_fixed:
            self._send(playing[arrived], outcome.observation[arrived])
        observation = np.concatenate([outcome.observation, self._goal[playing]], axis=1)
        return outcome._replace(observation=observation)

    def _send(self, walkers: np.ndarray, observation: np.ndarray) -> None:
        """Draw goals for these walkers until each is away from where it stands."""
        position = observation[:, :2]
        while len(walkers):
            cell = self._rng.integers(len(self.maze.cells), size=len(walkers))
            goal = self.maze.somewhere(cell, self._rng).astype(np.float32)
            self._goal[walkers] = goal
            near = distance(position, goal) <= SUCCESS
            walkers, position = walkers[near], position[near]


def in_region(maze: Maze, observation: np.ndarray) -> np.ndarray:
    """float64 (n,): 1 within the region around the maze's goal, else 0."""
    center = maze.centers[maze.goal]
    return (distance(observation[:, :2], center) <= RADIUS).astype(np.float64)


def collect(maze: Maze, size: int) -> Dataset:
    """A log of `size` decisions by walkers on errands.

    The same on every machine on which MuJoCo computes the same.
    """
    errands = Errands(PointMaze(maze), maze)
    rows = play(
        Walkers(maze, NOISE),
        errands,
        episodes=WALKERS,
        max_steps=size // WALKERS,
        seed=SEED,
    )
    return as_log(maze, rows)


def as_log(maze: Maze, rows: Played) -> Dataset:
    """Hide the errands: cut where they ended, reward the fixed region, drop the goals."""
    goal, next_goal = rows.observation[:, 4:], rows.next_observation[:, 4:]
    is_cut = rows.truncated | (goal != next_goal).any(axis=1)
    is_first = np.concatenate([[True], is_cut[:-1]])
    return Dataset.create(
        observation=rows.observation[:, :4],
        feature_names=FEATURES,
        action=rows.action,
        actions=Bounds(ACTIONS, (-1.0, -1.0), (1.0, 1.0)),
        reward=in_region(maze, rows.next_observation),
        terminated=np.zeros(rows.steps, bool),
        truncated=is_cut,
        episode=np.cumsum(is_first) - 1,
        final_observation=rows.next_observation[is_cut, :4],
        reward_bounds=(0.0, 1.0),
    )


def _model(maze: Maze):
    """The package's own model of a maze, without its environment around it."""
    maze_map = [[int(sign == "#") for sign in line] for line in maze.rows]
    module = packages.module("gymnasium_robotics.envs.maze.point_maze")
    environment = module.PointMazeEnv(maze_map=maze_map)
    Path(environment.tmp_xml_file_path).unlink(missing_ok=True)
    return environment.point_env.model
