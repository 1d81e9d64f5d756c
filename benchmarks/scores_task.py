"""What `scores.py` runs: logs, budgets, algorithms and their settings. Equal for all."""

from typing import Any, NamedTuple

CHECKPOINTS = 5  # Scored after each fifth of a run; "best" is the best of them.
DISCOUNT = 0.99
FQE_UPDATES = 5_000


class Log(NamedTuple):
    """One log and the budget that every algorithm gets on it."""

    name: str  # In the zoo.
    family: str  # Of presets.
    updates: int
    hidden: tuple[int, ...]
    seeds: int
    episodes: int  # Of each scoring: rollouts of at most 1,000 steps.
    more: dict[str, dict[str, Any]]  # Settings of some algorithms, beyond presets.


FEW_SAMPLES = {"cql": {"action_samples": 4}}
LOGS = [
    Log("pointmaze-medium", "maze2d", 30_000, (64, 64), 3, 20, {}),
    Log("pointmaze-large", "maze2d", 30_000, (64, 64), 3, 20, {}),
    Log("hopper-medium-zoo-v0", "locomotion", 20_000, (256, 256), 3, 10, FEW_SAMPLES),
    Log("hopper-replay-zoo-v0", "locomotion", 20_000, (256, 256), 3, 10, FEW_SAMPLES),
    Log("hopper-expert-zoo-v0", "locomotion", 20_000, (256, 256), 3, 10, FEW_SAMPLES),
    Log("icu-sepsis", "none", 20_000, (64, 64), 5, 0, {}),
]
CONTINUOUS = [
    "bc",
    "filtered_bc",
    "rvs",
    "awac",
    "one_step",
    "iql",
    "xql",
    "cql",
    "td3_bc",
    "rebrac",
    "td3",
    "sac",
]
DISCRETE = [
    "bc",
    "filtered_bc",
    "awac",
    "crr",
    "one_step",
    "iql",
    "xql",
    "cql",
    "bcq",
    "bcq_iql",
    "brac",
    "dqn",
    "double_dqn",
]
