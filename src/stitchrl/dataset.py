"""A log of decisions: one row per decision, with one vocabulary of columns.

Rows of an episode are contiguous and in time order. Everything here is NumPy on the host;
what training sees is made from it by `experience.py`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from stitchrl.choices import Choices
from stitchrl.columns import (
    in_order_of_appearance,
    require_same_length,
    require_shape,
    whole_numbers,
)
from stitchrl.findings import Finding
from stitchrl.spaces import Continuous, Discrete, Spec

MAX_ACTIONS = 10_000
PROPENSITY_ROUNDING = 1e-9  # How far above 1 a probability may be written.


@dataclass(frozen=True)
class Bounds:
    """Continuous actions: column `names[i]` lies in [low[i], high[i]], in its own units."""

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def stretch(self) -> float:
        """How much larger a volume of actions is in the log's units than in [-1, 1]."""
        return float(np.prod((np.asarray(self.high) - np.asarray(self.low)) / 2))

    def to_unit(self, action: np.ndarray) -> np.ndarray:
        """From the log's units to [-1, 1]."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return 2 * (np.asarray(action) - low) / (high - low) - 1

    def from_unit(self, action: np.ndarray) -> np.ndarray:
        """From [-1, 1] back to the log's units."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return low + (np.asarray(action) + 1) / 2 * (high - low)


@dataclass(frozen=True)
class Dataset:
    """Logged experience of `size` decisions in `episodes` episodes.

    Build it with `Dataset.create`, which checks shapes; whether the values make sense is
    what `stitchrl.validation.validate` tells.
    """

    observation: np.ndarray  # float32 (size, features)
    feature_names: tuple[str, ...]
    action: np.ndarray  # int32 (size,) for `Choices`; float32 (size, dims) for `Bounds`.
    actions: Choices | Bounds
    reward: np.ndarray  # float64 (size,), raw: never transformed here.
    terminated: np.ndarray  # bool (size,): the process ended here, nothing follows.
    truncated: np.ndarray  # bool (size,): it went on, but we stopped watching.
    episode: np.ndarray  # int64 (size,): 0, 1, …, in order of appearance.
    step: np.ndarray  # int64 (size,): as logged, else counted from 0 in each episode.
    group: np.ndarray  # int64 (size,): patient, user, robot; what splits keep together.
    episode_id: np.ndarray  # (episodes,): the name of each episode in the source.
    group_id: np.ndarray  # (groups,): likewise.
    final_observation: np.ndarray  # float32 (episodes, features): NaN where there is none.
    row: np.ndarray  # int64 (size,): where each decision stands in the source.
    time: np.ndarray | None = None  # float64 (size,)
    propensity: np.ndarray | None = None  # float64 (size,): of the logged action.
    valid_actions: np.ndarray | None = None  # bool (size, count)
    final_valid_actions: np.ndarray | None = None  # bool (episodes, count)
    source: np.ndarray | None = None  # int64 (size,): who logged it, among `source_id`.
    source_id: np.ndarray | None = None  # (sources,): policy, site or demonstrator.
    weight: np.ndarray | None = None  # float64 (size,): how much learning counts each row.
    state_id: np.ndarray | None = None  # int64 (size,): a discrete name of the observation.
    final_state_id: np.ndarray | None = None  # int64 (episodes,): -1 where there is none.
    state_count: int = 0  # How many state ids there can be.
    rewards: Mapping[str, np.ndarray] = field(default_factory=dict)  # `reward.NAME`.
    reward_bounds: tuple[float, float] | None = None  # Declared, never read off the data.
    return_bounds: tuple[float, float] | None = None  # Declared, of a whole episode.
    horizon: int | None = None  # Declared longest episode, in steps.
    may_be_missing: tuple[str, ...] = ()  # Features in which NaN means "not measured".
    notes: tuple[Finding, ...] = ()  # What the reader counted, sorted or assumed.

    @classmethod
    def create(
        cls,
        *,
        observation: Any,
        action: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        actions: Choices | Bounds,
        episode: Any = None,
        step: Any = None,
        group: Any = None,
        source: Any = None,
        final_observation: Any = None,
        feature_names: tuple[str, ...] | None = None,
        **others: Any,
    ) -> "Dataset":
        """Build a dataset from columns of equal length.

        `episode`, `group` and `source` may be any labels (numbers, strings); rows of one
        episode must be contiguous. Without `episode`, every end flag closes one. Without
        `group`, each episode is its own. `final_observation` has one row per episode, NaN
        where unknown. Raises `DataError` naming the column if lengths or shapes disagree.
        """
        observation = np.asarray(observation, np.float32)
        if observation.ndim == 1:
            observation = observation[:, None]
        size, width = observation.shape
        is_discrete = isinstance(actions, Choices)
        action = whole_numbers(action) if is_discrete else np.asarray(action, np.float32)
        if not is_discrete and action.ndim == 1:
            action = action[:, None]
        columns = {
            "observation": observation,
            "action": action,
            "reward": np.asarray(reward, np.float64),
            "terminated": np.asarray(terminated, bool),
            "truncated": np.asarray(truncated, bool),
        }
        for name, dtype in _OPTIONAL.items():
            if others.get(name) is not None:
                columns[name] = np.asarray(others.pop(name), dtype)
        rewards = {
            name: np.asarray(value, np.float64)
            for name, value in dict(others.pop("rewards", {})).items()
        }
        named = columns | {f"reward.{name}": value for name, value in rewards.items()}
        if episode is not None:
            named["episode"] = np.asarray(episode)
        if step is not None:
            named["step"] = np.asarray(step, np.int64)
        if group is not None:
            named["group"] = np.asarray(group)
        if source is not None:
            named["source"] = np.asarray(source)
        require_same_length(named, size)

        ends = columns["terminated"] | columns["truncated"]
        if episode is None:
            starts = np.concatenate([[True], ends[:-1]])
            index = np.cumsum(starts) - 1
            episode_id = np.arange(index[-1] + 1)
        else:
            index, episode_id = in_order_of_appearance(named["episode"], ends)
        first = np.flatnonzero(np.concatenate([[True], index[1:] != index[:-1]]))
        counted = np.arange(size) - first[index]
        if group is None:
            group_index, group_id = index, episode_id
        else:
            group_id, group_index = np.unique(named["group"], return_inverse=True)
        episodes = len(episode_id)
        if final_observation is None:
            final_observation = np.full((episodes, width), np.nan, np.float32)
        final_observation = np.asarray(final_observation, np.float32)
        if final_observation.ndim == 1:
            final_observation = final_observation[:, None]
        require_shape("final_observation", final_observation, (episodes, width))
        require_shape("action", action, (size,) if is_discrete else (size, actions.size))
        if source is not None:
            others["source_id"], codes = np.unique(named["source"], return_inverse=True)
            columns["source"] = codes.astype(np.int64)
        columns.setdefault("row", np.arange(size))
        for name, dtype in _OPTIONAL_FINAL.items():
            if others.get(name) is not None:
                others[name] = np.asarray(others[name], dtype)
        if feature_names is None:
            feature_names = tuple(f"x{i}" for i in range(width))
        return cls(
            **columns,
            actions=actions,
            feature_names=feature_names,
            episode=np.asarray(index, np.int64),
            episode_id=episode_id,
            step=np.asarray(named.get("step", counted), np.int64),
            group=np.asarray(group_index, np.int64),
            group_id=group_id,
            final_observation=final_observation,
            rewards=rewards,
            **others,
        )

    @property
    def size(self) -> int:
        """Decisions."""
        return len(self.reward)

    @property
    def episodes(self) -> int:
        return len(self.episode_id)

    @property
    def groups(self) -> int:
        return len(self.group_id)

    @property
    def spec(self) -> Spec:
        """What networks need to know: actions as learning sees them, in [-1, 1]."""
        width = self.observation.shape[1]
        if isinstance(self.actions, Choices):
            return Spec(width, Discrete(self.actions.count))
        return Spec(width, Continuous(self.actions.size))

    @property
    def is_tabular(self) -> bool:
        """Whether states and actions are discrete, so that closed forms apply."""
        return self.state_id is not None and isinstance(self.actions, Choices)

    @property
    def episode_end(self) -> np.ndarray:
        """bool (size,): the last row of each episode."""
        return np.append(self.episode[1:] != self.episode[:-1], True)

    @cached_property
    def first_row(self) -> np.ndarray:
        """int64 (episodes,): where each episode starts."""
        return np.flatnonzero(np.append(True, self.episode[1:] != self.episode[:-1]))

    @cached_property
    def last_row(self) -> np.ndarray:
        """int64 (episodes,): where each episode ends."""
        return np.flatnonzero(self.episode_end)

    @cached_property
    def lengths(self) -> np.ndarray:
        """int64 (episodes,): decisions in each episode."""
        return self.last_row - self.first_row + 1

    @property
    def step_in_episode(self) -> np.ndarray:
        """int64 (size,): 0 at the first decision of each episode, whatever `step` says."""
        return np.arange(self.size) - self.first_row[self.episode]

    @property
    def episode_group(self) -> np.ndarray:
        """int64 (episodes,): the group each episode belongs to."""
        return self.group[self.first_row]

    def returns(self, discount: float = 1.0) -> np.ndarray:
        """float64 (episodes,): Σ γ^t r_t of each episode, t counted from its first row."""
        weighted = self.reward * discount**self.step_in_episode
        return np.add.reduceat(weighted, self.first_row)

    def next_column(self, column: np.ndarray, final: np.ndarray) -> np.ndarray:
        """What `column` is one row later, and `final` after the last row of an episode."""
        following = np.concatenate([column[1:], column[-1:]])
        following[self.last_row] = final
        return following

    @property
    def next_observation(self) -> np.ndarray:
        """float32 (size, features): NaN where nothing follows or nobody knows what did."""
        return self.next_column(self.observation, self.final_observation)

    @property
    def next_state_id(self) -> np.ndarray:
        """int64 (size,): -1 where nothing follows or nobody knows what did."""
        assert self.state_id is not None and self.final_state_id is not None
        return self.next_column(self.state_id, self.final_state_id)

    @property
    def has_next(self) -> np.ndarray:
        """bool (size,): terminated, or followed by a known observation."""
        is_known = np.asarray(~np.isnan(self.final_observation).all(axis=1))
        return self.terminated | ~self.episode_end | is_known[self.episode]

    def take_episodes(self, chosen: np.ndarray) -> "Dataset":
        """The dataset of these episodes: a boolean mask, or indices in rising order."""
        chosen = np.asarray(chosen)
        if chosen.dtype != bool:
            chosen = np.isin(np.arange(self.episodes), chosen)
        rows = chosen[self.episode]
        renumbered = np.cumsum(chosen) - 1
        kept_groups, group = np.unique(self.group[rows], return_inverse=True)
        changed: dict[str, Any] = {
            "episode": renumbered[self.episode[rows]],
            "group": group,
            "group_id": self.group_id[kept_groups],
            "rewards": {name: value[rows] for name, value in self.rewards.items()},
        }
        for name in _PER_ROW:
            value = getattr(self, name)
            changed[name] = None if value is None else value[rows]
        for name in _PER_EPISODE:
            value = getattr(self, name)
            changed[name] = None if value is None else value[chosen]
        return replace(self, **changed)

    def content_hash(self) -> str:
        """SHA-256 of every column and declaration: equal exactly for equal logs."""
        digest = hashlib.sha256()
        for entry in fields(self):
            if entry.name in ("notes", "row"):
                continue
            value = getattr(self, entry.name)
            if value is None and entry.name in _LATER:  # Hashes of older logs stay theirs.
                continue
            parts = value.items() if isinstance(value, Mapping) else [("", value)]
            for name, part in parts:
                digest.update(f"{entry.name}.{name}=".encode())
                if isinstance(part, np.ndarray):
                    digest.update(f"{part.dtype.str}{part.shape}".encode())
                    plain = part.astype(str) if part.dtype == object else part
                    digest.update(np.ascontiguousarray(plain).tobytes())
                else:
                    digest.update(repr(part).encode())
        return digest.hexdigest()


_OPTIONAL = {
    "time": np.float64,
    "propensity": np.float64,
    "valid_actions": bool,
    "weight": np.float64,
    "state_id": np.int64,
    "row": np.int64,
}
_OPTIONAL_FINAL = {"final_state_id": np.int64, "final_valid_actions": bool}
_PER_ROW = (
    "observation action reward terminated truncated step time propensity "
    "valid_actions source weight state_id row"
).split()
_LATER = ("source", "source_id", "weight")
_PER_EPISODE = ("episode_id final_observation final_valid_actions final_state_id").split()
