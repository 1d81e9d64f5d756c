"""The stitching graph on a plane: nearby, not identical, positions meet.

The walk and the paid episodes of `stitchrl.problems.stitching` are lines that cross at s4.
An action is a displacement; who leaves both corridors is in a dead end. Positions are
observed with noise, and nobody takes the same way twice.

All constants were fixed with tables and nearest neighbors
(tests/problems/test_stitching_plane.py), before any learned method was tried on it: value
iteration on cells and headings arrives from more than 9 of 10 starts, and the mean action
of the nearest neighbors, of all episodes or of the paid ones, from fewer than 1 of 20.
"""

from collections.abc import Callable

import numpy as np

from stitchrl.dataset import Bounds, Dataset

PLACES = {
    "s1": (-0.9, -0.9), "s2": (-0.6, -0.6), "s3": (-0.3, -0.3), "s4": (0.0, 0.0),
    "s5": (0.6, 0.6), "s6": (0.3, -0.3), "s7": (-0.6, 0.6), "s8": (-0.3, 0.3),
    "s9": (0.6, -0.6),
}  # fmt: skip
WALK, PRIZE = ("s1", "s2", "s3", "s4", "s5"), ("s7", "s8", "s4", "s6", "s9")
STEP = 0.1  # Displacement by an action of length 1.
ARRIVAL = 0.1  # How near a place counts as there.
CORRIDOR = 0.15  # Half its width.
START = 0.05  # Starts are uniform within ±START of s1 or s7.
JITTER, BLUR = 0.2, 0.02  # Deviations of the behavior's actions and of observations.
HORIZON = 40
DISCOUNT = 0.95
SCALE = 20  # Each episode of the graph's log is this many here.
WALKS, PRIZES, TURNS = 20 * SCALE, 2 * SCALE, 10 * SCALE  # Turns at each of three places.
PAID_SHARE = PRIZES / (WALKS + PRIZES + 3 * TURNS)


def _place(name: str) -> np.ndarray:
    return np.array(PLACES[name])


def _apart(position: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distances (n,) of positions (n, 2) from the line between two points."""
    along = (position - start) @ (end - start) / ((end - start) @ (end - start))
    nearest = start + np.clip(along, 0, 1)[:, None] * (end - start)
    return np.linalg.norm(position - nearest, axis=1)


def outcome(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What arriving at positions (n, 2) pays, and whether it ends the episode."""
    is_paid = np.linalg.norm(position - _place("s9"), axis=1) < ARRIVAL
    is_over = np.linalg.norm(position - _place("s5"), axis=1) < ARRIVAL
    walk = _apart(position, _place(WALK[0]), _place(WALK[-1]))
    prize = _apart(position, _place(PRIZE[0]), _place(PRIZE[-1]))
    is_dead_end = np.minimum(walk, prize) > CORRIDOR
    return is_paid.astype(np.float64), is_paid | is_over | is_dead_end


def log(seed: int) -> Dataset:
    """1,040 episodes: 400 walks, 40 that are paid, 200 turns at each of s1, s2 and s3."""
    rng = np.random.default_rng(seed)
    parts = [_episodes(WALK, WALKS, None, rng), _episodes(PRIZE, PRIZES, None, rng)]
    for place, side in ((1, 1.0), (2, -1.0), (3, 1.0)):
        turn = side * np.array([-1.0, 1.0]) / np.sqrt(2)
        parts.append(_episodes(WALK[:place], TURNS, turn, rng))
    episodes = [episode for part in parts for episode in part]
    rows = np.concatenate([rows for rows, _ in episodes])
    lengths = np.array([len(rows) for rows, _ in episodes])
    is_last = np.isin(np.arange(len(rows)), lengths.cumsum() - 1)
    is_terminal = rows[:, 5] > 0
    return Dataset.create(
        observation=rows[:, :2],
        feature_names=("x", "y"),
        action=rows[:, 2:4],
        actions=Bounds(names=("dx", "dy"), low=(-1.0, -1.0), high=(1.0, 1.0)),
        reward=rows[:, 4],
        terminated=is_terminal,
        truncated=is_last & ~is_terminal,
        final_observation=np.stack([final for _, final in episodes]),
        horizon=HORIZON,
        reward_bounds=(0.0, 1.0),
        return_bounds=(0.0, 1.0),
    )


def _episodes(
    route: tuple[str, ...], count: int, turn: np.ndarray | None, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows (x, y, dx, dy, reward, terminated) and final observation of each episode.

    They head for one place of the route after the other, and past the last one for `turn`.
    """
    places = np.array([PLACES[name] for name in route])
    position = places[0] + rng.uniform(-START, START, (count, 2))
    goal = np.zeros(count, np.int64)
    seen = position + rng.normal(0, BLUR, position.shape)
    is_over = np.zeros(count, bool)
    rows, final = [], np.full((count, 2), np.nan)
    for _ in range(HORIZON):
        following = places[np.minimum(goal, len(places) - 1)] - position
        goal = goal + (np.linalg.norm(following, axis=1) < ARRIVAL)
        ahead = places[np.minimum(goal, len(places) - 1)] - position
        heading = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
        if turn is not None:
            heading[goal >= len(places)] = turn
        action = np.clip(heading + rng.normal(0, JITTER, heading.shape), -1, 1)
        position = position + STEP * action
        reward, ends = outcome(position)
        row = np.column_stack([seen, action, reward, ends])
        rows.append(np.where(is_over[:, None], np.nan, row))
        seen = position + rng.normal(0, BLUR, position.shape)
        is_over = is_over | ends
    final[~is_over] = seen[~is_over]
    episodes = np.stack(rows, axis=1)
    return [(own[~np.isnan(own[:, 0])], last) for own, last in zip(episodes, final)]


def success(
    act: Callable[[np.ndarray], np.ndarray], *, starts: int = 200, seed: int = 0
) -> float:
    """Share of starts near s1 from which s9 is reached.

    `act` gives actions (n, 2) in [-1, 1] for observations (n, 2).
    """
    rng = np.random.default_rng(seed)
    position = _place("s1") + rng.uniform(-START, START, (starts, 2))
    is_over, is_paid = np.zeros(starts, bool), np.zeros(starts, bool)
    for _ in range(HORIZON):
        seen = position + rng.normal(0, BLUR, position.shape)
        moved = position + STEP * np.clip(np.asarray(act(seen), np.float64), -1, 1)
        reward, ends = outcome(moved)
        is_paid |= ~is_over & (reward > 0)
        is_over |= ends
        position = moved
    return float(is_paid.mean())
