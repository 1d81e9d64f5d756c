"""What the zoo says about each of its data sets, and what it checks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.rollout import ACTORS, Act, Environments, Mapped, Played, Players, play
from stitchrl.zoo import packages


@dataclass(frozen=True)
class Scale:
    """Which value scores 0, which 100, and what these are."""

    unit: str  # Of values: what a return counts.
    zero: float
    hundred: float
    zero_is: str
    hundred_is: str

    def score(self, value: float) -> float:
        return 100 * (value - self.zero) / (self.hundred - self.zero)


class Value(NamedTuple):
    """What a policy is worth, in the units of the log's returns."""

    mean: float
    standard_error: float  # 0 where the value is exact.
    episodes: int  # That were played to find out: 0 where the value is exact.
    steps: int  # Taken in the environment.


@runtime_checkable
class Truth(Protocol):
    """Knows what any policy is worth."""

    def value(self, policy: Any, *, act: Act, episodes: int, seed: int) -> Value:
        """Of a policy that reads observations as the log holds them."""
        ...

    def trial(self, policy: Any, *, act: Act, seed: int) -> Value:
        """What one episode brings."""
        ...


def returns(rows: Played) -> np.ndarray:
    """What each episode earned, undiscounted."""
    return rows.returns


def successes(rows: Played) -> np.ndarray:
    """1 where an episode was ended by reaching the goal, 0 where it was cut."""
    return np.bincount(rows.episode, rows.terminated)


@dataclass(frozen=True)
class ByRollout:
    """Values are means over episodes that are played, of whatever `measure` says."""

    environments: Callable[[], Environments]
    max_steps: int
    measure: Callable[[Played], np.ndarray] = returns  # float64 (episodes,)

    def value(self, policy: Any, *, act: Act, episodes: int, seed: int) -> Value:
        """Of a policy from training: compiled once for all that have its structure."""
        return self.of_players(Mapped(ACTORS[act](policy)), episodes=episodes, seed=seed)

    def trial(self, policy: Any, *, act: Act, seed: int) -> Value:
        """What one episode brings."""
        return self.value(policy, act=act, episodes=1, seed=seed)

    def of_players(self, players: Players, *, episodes: int, seed: int) -> Value:
        """Of whoever acts in NumPy."""
        rows = play(
            players,
            self.environments(),
            episodes=episodes,
            max_steps=self.max_steps,
            seed=seed,
        )
        values = self.measure(rows)
        spread = float(values.std(ddof=1)) if episodes > 1 else float("nan")
        return Value(float(values.mean()), spread / episodes**0.5, episodes, rows.steps)


class Score(NamedTuple):
    """A value on the scale of a data set."""

    score: float
    standard_error: float  # Of the score.
    value: Value


@dataclass(frozen=True)
class Entry:
    """A data set that the zoo can make, and what policies are worth where it comes from."""

    name: str
    recipe: int  # Counted up whenever `build` makes other rows.
    rows: int
    features: int  # Of each observation.
    actions: str  # "25 discrete", "2 continuous": compared with logs.
    about: str
    source: str  # Whose simulator, whose recipe, under which license.
    needs: tuple[str, ...]  # Packages, of the versions in `packages.PINNED`.
    scale: Scale
    sha256: str  # `Dataset.content_hash` of what `build` makes.
    build: Callable[[], Dataset]
    truth: Truth

    def make(self) -> Dataset:
        """Make the log.

        Raises `RuntimeError` if packages are missing, or if they, or this machine, made
        another log than the one whose hash is known.
        """
        packages.require(self.needs, f"'{self.name}'")
        log = self.build()
        found = log.content_hash()
        if found != self.sha256:
            raise RuntimeError(
                f"'{self.name}' came out different: its content must hash to "
                f"{self.sha256[:12]}, but hashes to {found[:12]}. Made with "
                f"{packages.described(self.needs)}. Nothing was written. "
                f"{packages.REMEDY}"
            )
        return log

    def require_alike(self, log: Dataset) -> None:
        """Raise `ValueError` if policies that read this log cannot act here."""
        actions = log.actions
        is_discrete = isinstance(actions, Choices)
        words = f"{actions.count} discrete" if is_discrete else f"{actions.size} continuous"
        found = log.observation.shape[1], words
        if found != (self.features, self.actions):
            raise ValueError(
                f"'{self.name}' has {self.features} features and {self.actions} actions, "
                f"this log {found[0]} and {words}: no policy of one can be tried in the "
                "other. Name the data set that the log is from ('stitchrl zoo list'), or "
                "choose by the log alone, without trials."
            )

    def trial(self, policy: Any, *, act: Act, seed: int = 0) -> Value:
        """Play one episode: its return, in the units of the log, and its steps."""
        packages.require(self.needs, f"'{self.name}'")
        return self.truth.trial(policy, act=act, seed=seed)

    def score(
        self, policy: Any, *, act: Act = "mode", episodes: int = 10, seed: int = 0
    ) -> Score:
        """What a policy is worth: it reads the log's observations, acts in [-1, 1].

        Where the value is exact, `episodes` and `seed` change nothing.
        """
        packages.require(self.needs, f"'{self.name}'")
        value = self.truth.value(policy, act=act, episodes=episodes, seed=seed)
        per_unit = 100 / (self.scale.hundred - self.scale.zero)
        return Score(
            self.scale.score(value.mean), abs(per_unit) * value.standard_error, value
        )
