"""PointMaze of OGBench (S. Park et al., 2024, arXiv:2410.20092), in its single-task form.

A point is shifted rather than pushed. Reward -1 until it stands within the goal's region,
where a decision earns 0 and ends the episode. The logs are recorded here as the paper says:
a walker follows the package's shortest paths with noise, and knows nothing of the task.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from stitchrl.dataset import Bounds, Dataset
from stitchrl.rollout import Outcome, Played, play
from stitchrl.zoo import packages
from stitchrl.zoo.bodies import Bodies
from stitchrl.zoo.mazes import Maze, distance

NEEDS = ("gymnasium", "mujoco", "ogbench")
FEATURES, ACTIONS = ("x", "y"), ("x_shift", "y_shift")
MAX_STEPS = 1000
FRAME_SKIP, REACH = 5, 0.2  # Of one decision: simulated steps, and the longest shift.
NOISE = 0.5  # Standard deviation, of the walker's actions.
RADIUS = 1.0  # Of a goal.
SIZE, SEED, SIDE_BY_SIDE = 100_000, 0, 25
FARTHEST = 4  # Cells, between start and goal of an episode of `stitch`.


class OGMaze(Maze):
    """Cells of size 4, with y downward, and the first free row and column at 0."""

    unit: ClassVar[float] = 4.0

    @cached_property
    def centers(self) -> np.ndarray:
        """float64 (cells, 2)"""
        return self.unit * (self.cells[:, ::-1] - 1.0)


MEDIUM = OGMaze(
    (
        "########",
        "#S ##  #",
        "#  #   #",
        "##   ###",
        "#  #   #",
        "# #  # #",
        "#   # G#",
        "########",
    )
)


class Course(NamedTuple):
    """How a log is recorded."""

    steps: int  # Of each walk.
    goes_on: bool  # To another goal, once one is reached.
    farthest: int  # Cells between start and first goal.


NAVIGATE = Course(steps=1000, goes_on=True, farthest=1000)
STITCH = Course(steps=200, goes_on=False, farthest=FARTHEST)


class OGPoint:
    """Copies of OGBench's point without a time limit; starts in the cell of its task."""

    def __init__(self, maze: Maze):
        packages.require(NEEDS, "OGBench")
        self.maze, self._bodies = maze, Bodies(_model(), FRAME_SKIP)
        self._start = [self.maze.rows[row][column] for row, column in maze.cells].index("S")

    def reset(self, episodes: int, rng: np.random.Generator) -> np.ndarray:
        return self.place(self.maze.somewhere(np.full(episodes, self._start), rng))

    def place(self, position: np.ndarray) -> np.ndarray:
        """Start episodes from these positions (n, 2)."""
        self._bodies.reset(position, np.zeros_like(position))
        return position.astype(np.float32)

    def step(self, playing: np.ndarray, action: np.ndarray) -> Outcome:
        succeeded = in_goal(self.maze, self._bodies.positions(playing))
        self._bodies.shift(playing, REACH * action)
        self._bodies.step(playing, np.zeros_like(action))
        seen = self._bodies.positions(playing).astype(np.float32)
        return Outcome(seen, succeeded - 1.0, succeeded)


class Free:
    """The same point without a task: starts anywhere, and nothing ever ends."""

    def __init__(self, point: OGPoint):
        self.point = point

    def reset(self, episodes: int, rng: np.random.Generator) -> np.ndarray:
        maze = self.point.maze
        cell = rng.integers(len(maze.cells), size=episodes)
        return self.point.place(maze.somewhere(cell, rng))

    def step(self, playing: np.ndarray, action: np.ndarray) -> Outcome:
        outcome = self.point.step(playing, action)
        return outcome._replace(terminated=np.zeros(len(playing), bool))


def in_goal(maze: Maze, position: np.ndarray) -> np.ndarray:
    """bool (n,)"""
    return distance(position[:, :2], maze.centers[maze.goal]) <= RADIUS


class Tourists:
    """Walk at full speed to goals that only they know."""

    def __init__(self, maze: Maze, course: Course):
        self.maze, self.course = maze, course

    def start(self, episodes: int, seed: int) -> Any:
        return np.full((episodes, 2), np.nan), np.random.default_rng([seed, 1])

    def act(
        self, memory: Any, observation: np.ndarray, reward: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        """Unit steps toward the next cell, or within it to the goal; noise; bounds."""
        del reward
        goal, rng = memory
        position = observation.astype(np.float64)
        here = self.maze.cell_of(position)
        lacks = np.isnan(goal[:, 0])
        if self.course.goes_on:
            lacks |= distance(position, goal) <= RADIUS
        goal = goal.copy()
        goal[lacks] = self._goals(here[lacks], rng)
        goal_cell = self.maze.cell_of(goal)
        there = self.maze.centers[self.maze.following[here, goal_cell]]
        apart = np.where((here == goal_cell)[:, None], goal, there) - position
        length = distance(apart, np.zeros_like(apart))[:, None]
        action = apart / (length + 1e-6) + NOISE * rng.standard_normal(apart.shape)
        return np.clip(action, -1.0, 1.0).astype(np.float32), (goal, rng)

    def _goals(self, here: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Points in random cells, near enough for this course."""
        near = self.maze.distances[here] <= self.course.farthest
        cell = np.where(near, rng.random(near.shape), -1.0).argmax(axis=1)
        return self.maze.somewhere(cell, rng)


def collect(course: Course) -> Dataset:
    """A log of `SIZE` decisions, as long as MuJoCo computes the same, always the same."""
    walks = play(
        Tourists(MEDIUM, course),
        Free(OGPoint(MEDIUM)),
        episodes=SIZE // course.steps,
        max_steps=course.steps,
        seed=SEED,
    )
    return as_log(MEDIUM, walks)


def as_log(maze: Maze, rows: Played) -> Dataset:
    """Reward the task, and end an episode at each decision that was made in its goal."""
    succeeded = in_goal(maze, rows.observation)
    ends = succeeded | rows.truncated
    final = rows.next_observation[ends].copy()
    final[succeeded[ends]] = np.nan
    return Dataset.create(
        observation=rows.observation,
        feature_names=FEATURES,
        action=rows.action,
        actions=Bounds(ACTIONS, (-1.0, -1.0), (1.0, 1.0)),
        reward=succeeded - 1.0,
        terminated=succeeded,
        truncated=rows.truncated & ~succeeded,
        episode=np.cumsum(np.concatenate([[True], ends[:-1]])) - 1,
        group=rows.episode,
        final_observation=final,
        reward_bounds=(-1.0, 0.0),
        horizon=MAX_STEPS,
    )


def _model() -> Any:
    """The package's own model of the maze, without its environment around it."""
    os.environ.setdefault("MUJOCO_GL", "egl")  # Read when the package is imported.
    module = packages.module("ogbench.locomaze.maze")
    environment = module.make_maze_env("point", "maze", maze_type="medium")
    Path(environment.fullpath).unlink(missing_ok=True)
    return environment.model
