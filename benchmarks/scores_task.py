"""What `scores.py` runs: logs, equal budgets, algorithms, and where settings come from.

Every algorithm gets the same number of updates, the same batch and the same sizes of hidden
layers on a log; its other settings are its preset for the family, or its defaults, but for
CHANGES.
"""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from stitchrl import sources, zoo
from stitchrl.algorithms import find
from stitchrl.candidates import Candidate
from stitchrl.dataset import Dataset
from stitchrl.normalizer import Normalizer
from stitchrl.plan import Plan, members
from stitchrl.presets import Preset, presets_of
from stitchrl.rewards import RewardTransform

MADE = Path(__file__).parents[1] / ".bench" / "zoo"
CHECKPOINTS = 5  # Scored after each fifth of a run; "best" is the best of them.
BATCH = 256
DISCOUNT = 0.99  # Of training everywhere, and of FQE where the process goes on.
FQE_UPDATES = 5_000


CONTINUOUS = "bc filtered_bc rvs awac one_step iql xql cql td3_bc rebrac td3 sac"
# On Hopper, whose layers are wide, the cheaper ones, so that all takes hours; a core would
# take 4 hours for CQL's 100,000 updates on the replay log.
HOPPER = "bc filtered_bc rvs awr iql cql td3_bc rebrac td3"
REPLAY = "bc filtered_bc rvs awr crr iql td3_bc rebrac td3"
DISCRETE = (
    "bc filtered_bc rvs awac crr one_step iql xql cql bcq bcq_iql brac dqn double_dqn"
)


class Log(NamedTuple):
    """One log, who learns from it, and the budget that each gets."""

    name: str  # In the zoo.
    family: str  # Of presets.
    algorithms: str  # Names of who learns.
    updates: int
    width: int  # Of each hidden layer; how many there are is the algorithm's own.
    seeds: int
    episodes: int = 0  # Of each scoring, of at most 1,000 steps; 0: the truth is exact.
    reward: str | None = None  # As all algorithms see it; None: as their presets say.


LOGS = [
    Log("pointmaze-medium", "maze2d", CONTINUOUS, 100_000, 64, 3, 20),
    Log("pointmaze-large", "maze2d", CONTINUOUS, 100_000, 64, 3, 20),
    Log("hopper-medium-zoo-v0", "locomotion", HOPPER, 20_000, 256, 3, 10),
    Log("hopper-replay-zoo-v0", "locomotion", REPLAY, 100_000, 256, 3, 10),
    Log("hopper-expert-zoo-v0", "locomotion", HOPPER, 20_000, 256, 3, 10),
    # A reward of 0 or 1 an episode is too small for temperatures and weights as published.
    Log("icu-sepsis", "none", DISCRETE, 20_000, 64, 5, reward="scale=100"),
]


class Change(NamedTuple):
    """What an algorithm gets on some logs in place of its preset's; README.md says why."""

    hyperparameters: dict[str, Any]
    reward: str | None = None


CHANGES = {  # By what the names of logs begin with.
    ("hopper", "awr"): Change({"returns": "monte_carlo"}),
    ("hopper", "cql"): Change({"action_samples": 4}),
    ("hopper", "crr"): Change({"ensemble": 2}),
    ("pointmaze", "cql"): Change(
        {"action_samples": 4, "actor_learning_rate": 3e-4}, reward="scale=100"
    ),
}


class Setting(NamedTuple):
    """An algorithm on a log, and how it sees the log."""

    algorithm: Any
    normalizer: Normalizer
    reward: RewardTransform
    described: dict[str, Any]


@cache
def load(log: Log) -> Dataset:
    """The log, made once and kept."""
    place = MADE / f"{log.name}.parquet"
    if not place.is_file():
        MADE.mkdir(parents=True, exist_ok=True)
        sources.write_table(zoo.find(log.name).make(), place)
    return sources.load(place)


def setting(log: Log, name: str, dataset: Dataset) -> Setting:
    """What the preset of the family says, with this log's budget and sizes."""
    kind = dataset.spec.action
    preset = presets_of(name).get(log.family, Preset(source="the class's defaults"))
    options = {**preset.hyperparameters, "batch_size": BATCH}
    options["hidden"] = [log.width] * len(find(name, kind)().hidden)
    change = CHANGES.get((log.name.partition("-")[0], name), Change({}))
    options |= change.hyperparameters
    reward = log.reward or change.reward or preset.reward
    plan = Plan(
        log=log.name,
        algorithms={name: {key: [value] for key, value in options.items()}},
        updates=log.updates,
        chunk=log.updates // CHECKPOINTS,
        seeds=1,
    )
    (member,) = members(plan.resolved(dataset.spec), dataset.spec)
    width = dataset.observation.shape[1]
    return Setting(
        algorithm=member.algorithm,
        normalizer=(
            Normalizer.fit(dataset) if preset.normalize else Normalizer.identity(width)
        ),
        reward=RewardTransform.named(reward, dataset),
        described={
            "source": preset.source,
            "reward": reward,
            "normalize": preset.normalize,
            **{field: plain(value) for field, value in vars(member.algorithm).items()},
        },
    )


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def score(log: Log, candidate: Candidate, seed: int) -> float:
    """0 to 100 as the zoo says, of what would be exported."""
    found = zoo.find(log.name).score(
        candidate.policy, act=candidate.act, episodes=log.episodes, seed=1000 + seed
    )
    return found.score


def described() -> list[dict[str, Any]]:
    return [log._asdict() for log in LOGS]
