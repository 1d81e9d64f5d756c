"""Cliff walking (Sutton and Barto, 2018, "Reinforcement Learning", example 6.6).

A grid of 4 x 12. From the lower left corner to the lower right one, -1 a step; between them
lies a cliff, and who steps into it pays 100 and begins again. Along the edge is shortest,
and worth -13; who sometimes slips walks better at a distance.
"""

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.problems.tabular import TabularMDP

ROWS, COLUMNS = 4, 12
STATES, ACTIONS = ROWS * COLUMNS, 4
UP, RIGHT, DOWN, LEFT = range(ACTIONS)
ACTION_LABELS = ("up", "right", "down", "left")
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # Rows, columns.
START, GOAL = STATES - COLUMNS, STATES - 1  # Row after row, from the upper left.
CLIFF = range(START + 1, GOAL)
STEP_COST, FALL_COST = 1.0, 100.0
BEST_VALUE = -13.0  # Undiscounted: up, eleven to the right, down.


def mdp() -> TabularMDP:
    """The process. Nobody is ever in a cell of the cliff: they are terminal, unreached."""
    transition = np.zeros((STATES, ACTIONS, STATES))
    reward = np.full((STATES, ACTIONS), -STEP_COST)
    for state in range(STATES):
        row, column = divmod(state, COLUMNS)
        for action, (down, right) in enumerate(MOVES):
            below = min(max(row + down, 0), ROWS - 1)
            beside = min(max(column + right, 0), COLUMNS - 1)
            reached = below * COLUMNS + beside
            if reached in CLIFF:
                reached, reward[state, action] = START, -FALL_COST
            transition[state, action, reached] = 1
    return TabularMDP.create(
        transition=transition,
        reward=reward,
        start=np.eye(STATES)[START],
        terminal=np.isin(np.arange(STATES), [*CLIFF, GOAL]),
    )


def soft_policy(actions: np.ndarray, exploration: float) -> np.ndarray:
    """(48, 4): these actions, one a state, or any of the four in a share of steps."""
    return (1 - exploration) * np.eye(ACTIONS)[actions] + exploration / ACTIONS


def edge_path() -> np.ndarray:
    """int64 (48,): actions that take the shortest way, along the edge."""
    actions = np.full((ROWS, COLUMNS), RIGHT)
    actions[:-2] = DOWN
    actions[:, -1] = DOWN
    actions[-1, :-1] = UP
    return actions.ravel()


def safe_path() -> np.ndarray:
    """int64 (48,): actions that walk along the upper border."""
    actions = np.full((ROWS, COLUMNS), UP)
    actions[0] = RIGHT
    actions[:, -1] = DOWN
    return actions.ravel()


def log(
    episodes: int, seed: int, *, exploration: float = 0.4, max_steps: int = 200
) -> Dataset:
    """Walks along the upper border with exploration, cut after `max_steps`; one-hot."""
    process = mdp()
    policy = soft_policy(safe_path(), exploration)
    rows = process.simulate(policy, episodes=episodes, seed=seed, max_steps=max_steps)
    return process.to_dataset(
        rows,
        feature_names=tuple(
            f"row {state // COLUMNS}, column {state % COLUMNS}" for state in range(STATES)
        ),
        action_labels=ACTION_LABELS,
        reward_bounds=(-FALL_COST, -STEP_COST),
        horizon=max_steps,
    )
