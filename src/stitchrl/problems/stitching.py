"""Two walks that cross: only by stitching them does the start lead to the reward.

Nine states s1 to s9. One kind of episode walks s1-s2-s3-s4-s5 for nothing, another
s7-s8-s4-s6-s9 and is paid 1 on reaching s9; no episode goes from s1 to s9. A method that
learns values knows at s4 what the second kind found there; a method that imitates whole
episodes follows the majority, or knows nothing of s1 to s3.

Counts, settings and budgets were fixed by arithmetic on the log's counts
(tests/problems/test_stitching.py), before any learned method was tried on it.
"""

from typing import Any, NamedTuple

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.problems.tabular import TabularMDP

S1, S2, S3, S4, S5, S6, S7, S8, S9, DEAD_END = range(10)
STATES, ACTIONS = 9, 3  # Of those that are observed: nobody sees a dead end.
FEATURES = np.eye(STATES)
DISCOUNT = 0.9


class Move(NamedTuple):
    """What an action of the log does; every other action is a dead end."""

    state: int
    action: int
    reached: int


# A step ahead is another number in each of s1, s2 and s3, so that no habit leads through.
WALK = (Move(S1, 0, S2), Move(S2, 1, S3), Move(S3, 2, S4), Move(S4, 0, S5))
PRIZE = (Move(S7, 0, S8), Move(S8, 2, S4), Move(S4, 1, S6), Move(S6, 2, S9))
TURNS = (Move(S1, 1, DEAD_END), Move(S2, 2, DEAD_END), Move(S3, 0, DEAD_END))
EPISODES = (
    (20, WALK),
    (2, PRIZE),
    *((10, (*WALK[:before], turn)) for before, turn in enumerate(TURNS)),
)
# Of the episodes, those that were paid.
PAID_SHARE = 2 / sum(count for count, _ in EPISODES)
BEST_VALUE = DISCOUNT**4  # From s1: paid on the fifth step.

# By registered name: what tables need in order to take the rare way at s4 with a margin;
# of the filter, to keep the paid episodes and no other; of RvS-R, to ask at s4 for the
# return that the paid episodes still had before them there.
SETTINGS: dict[str, dict[str, float]] = {
    "iql": {"expectile": 0.9, "inverse_temperature": 10.0},
    "cql": {"conservative_weight": 0.1},
    "bcq": {"threshold": 0.05},
    "one_step": {"kl_weight": 0.2},
    "filtered_bc": {"best_share": PAID_SHARE},
    "rvs": {"target_quantile": 0.985},
}
# A value moves one step back in about 1 / target_rate updates; there are five.
STEPS = 3_000
SMALL: dict[str, Any] = {
    "discount": DISCOUNT,
    "target_rate": 0.02,
    "learning_rate": 1e-3,
    "total_updates": float(STEPS),
    "batch_size": 64,
    "hidden": (32, 32),
}


def mdp() -> TabularMDP:
    """The process from s1, with the dead end as a tenth state; s5 and s9 end it too."""
    transition = np.zeros((STATES + 1, ACTIONS, STATES + 1))
    transition[:, :, DEAD_END] = 1
    for move in (*WALK, *PRIZE):
        transition[move.state, move.action] = np.eye(STATES + 1)[move.reached]
    return TabularMDP.create(
        transition=transition,
        reward=(np.arange(STATES + 1) == S9)[None, None],
        start=np.eye(STATES + 1)[S1],
        terminal=np.isin(np.arange(STATES + 1), [S5, S9, DEAD_END]),
    )


def counts() -> np.ndarray:
    """int64 (9, 3): how often the log shows each action in each state."""
    found = np.zeros((STATES, ACTIONS), np.int64)
    for count, moves in EPISODES:
        for move in moves:
            found[move.state, move.action] += count
    return found


def log() -> Dataset:
    """52 episodes; propensities are the shares of the log itself."""
    episodes = [moves for count, moves in EPISODES for _ in range(count)]
    rows = [move for moves in episodes for move in moves]
    state, action, reached = np.array(rows).T
    lengths = np.array([len(moves) for moves in episodes])
    shown = counts()
    return Dataset.create(
        observation=FEATURES[state],
        feature_names=tuple(f"s{number + 1}" for number in range(STATES)),
        action=action,
        actions=Choices(tuple(f"way {number + 1}" for number in range(ACTIONS))),
        reward=reached == S9,
        terminated=np.isin(np.arange(len(rows)), lengths.cumsum() - 1),
        truncated=np.zeros(len(rows), bool),
        propensity=shown[state, action] / shown[state].sum(axis=1),
        state_id=state,
        final_state_id=np.full(len(episodes), -1),
        state_count=STATES,
        reward_bounds=(0.0, 1.0),
        return_bounds=(0.0, 1.0),
    )


def reaches(action: np.ndarray) -> bool:
    """Whether these actions, one for each of the nine states, lead from s1 to s9."""
    ways = {(move.state, move.action): move.reached for move in (*WALK, *PRIZE)}
    state = S1
    while state not in (S5, S9, DEAD_END):  # No way leads back.
        state = ways.get((state, int(action[state])), DEAD_END)
    return state == S9
