"""Who walks through mazes: a controller that follows waypoints.

As D4RL's maze2d was recorded (J. Fu et al., 2020, arXiv:2004.07219, and its script
generate_maze2d_datasets.py): a PD controller is sent along shortest paths, noise is added.
"""

from typing import NamedTuple

import numpy as np

from stitchrl.zoo.mazes import Maze, distance

GAIN, DAMPING = 10.0, -1.0
REACHED = 0.1  # From a waypoint, to turn to the next one.


class Memory(NamedTuple):
    """Where each walker is going."""

    goal: np.ndarray  # float64 (n, 2): not a number before the first decision.
    waypoint: np.ndarray  # int64 (n,): the cell that it heads for.
    rng: np.random.Generator


class Walkers:
    """Walk to the goals that they see, the last two of six features."""

    def __init__(self, maze: Maze, noise: float):
        self.maze, self.noise = maze, noise

    def start(self, episodes: int, seed: int) -> Memory:
        goal, waypoint = np.full((episodes, 2), np.nan), np.zeros(episodes, np.int64)
        return Memory(goal, waypoint, np.random.default_rng([seed, 1]))

    def act(
        self, memory: Memory, observation: np.ndarray, reward: np.ndarray
    ) -> tuple[np.ndarray, Memory]:
        """PD control toward the next waypoint, Gaussian noise, bounds, in this order."""
        del reward
        position, velocity, goal = np.split(observation.astype(np.float64), 3, axis=1)
        goal_cell = self.maze.cell_of(goal)
        is_new = (goal != memory.goal).any(axis=1)
        here = np.where(is_new, self.maze.cell_of(position), memory.waypoint)
        is_past = is_new | (distance(position, self.maze.centers[here]) < REACHED)
        waypoint = np.where(is_past, self.maze.following[here, goal_cell], here)
        is_final = waypoint == goal_cell
        heading = np.where(is_final[:, None], goal, self.maze.centers[waypoint])
        action = GAIN * (heading - position) + DAMPING * velocity
        action = action + self.noise * memory.rng.standard_normal(action.shape)
        action = np.clip(action, -1.0, 1.0).astype(np.float32)
        return action, Memory(goal, waypoint, memory.rng)
