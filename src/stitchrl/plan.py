"""What a run will do: resolved before anything is trained, and written beside results."""

import dataclasses
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stitchrl.algorithms import USUAL, find
from stitchrl.grids import Grid, Option, points, require_draws, typed_grid
from stitchrl.needs import NEEDS, require_met, served
from stitchrl.presets import Preset, chosen
from stitchrl.rewards import parsed
from stitchrl.sampling import Sampling
from stitchrl.spaces import Spec

MIXTURE_SHARES = (0.1, 0.2, 0.3, 0.5)


class Plan(BaseModel):
    """Every choice of a run; the same plan on the same log and machine repeats it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log: str  # Where the log was read from.
    mapping: dict[str, Any] | None = None  # The mapping itself; None: native names.
    title: str = "Offline evaluation"
    outcome: str = "Expected return"  # What the value is called on axes.
    group_name: str = "episodes"  # What splits keep together, in the plural.
    behavior_name: str = "Present behavior"  # Who made the log.
    truth: Literal["icu_sepsis"] | None = None  # The known process that made the log.
    algorithms: dict[str, Grid] | None = None  # Name -> grid; None: usual ones, {}: none.
    draws: int | None = Field(default=None, ge=1)  # Points drawn of each grid; None: all.
    preset: str | None = None  # A family of published hyper-parameters: see `presets`.
    tabular: bool = True  # Value iteration, where observations have discrete ids.
    policies: tuple[str, ...] = ()  # External ones: "uniform", "column", a bundle's path.
    seeds: int = Field(default=2, ge=1)
    updates: int = Field(default=20_000, ge=2)
    chunk: int = Field(default=1_000, ge=2)
    # As learning sees the log: `rewards.RewardTransform.named`, and whether observations
    # are scaled. None: as the preset says, else raw and scaled.
    reward: str | None = None
    normalize: bool | None = None
    n_steps: int = Field(default=1, ge=1)  # Rewards summed before a bootstrap.
    sampling: Sampling = Sampling()  # Which rows learning draws more often.
    seed: int = 0  # Of splits, members (seed, seed + 1, ...), probes and estimators.
    discount: float | None = Field(default=None, gt=0, le=1)  # Of the estimand.
    horizon: int | None = Field(default=None, ge=1)
    margin: float = Field(default=0.0, ge=0)  # By how much a policy must beat the log.
    fit_behavior: bool = True  # Where no propensities are logged; else refuse (NO_PROP).
    fqe_updates: int = Field(default=8_000, ge=2)
    keep: int | None = Field(default=None, ge=1)  # Best by WIS, for FQE to rank; None: all.
    strict: bool = False  # Refuse Monte-Carlo returns of truncated episodes.
    force: bool = False  # Go on in spite of errors in the log, with a banner.

    @field_validator("reward")
    @classmethod
    def _is_known(cls, reward: str | None) -> str | None:
        if reward is not None:
            parsed(reward)
        return reward

    def resolved(self, spec: Spec, met: Collection[str] = tuple(NEEDS)) -> "Plan":
        """The plan with its algorithms named and checked against the log, presets applied.

        `met` is what the log has of what algorithms need (`needs.met_by`). Raises
        `ValueError` naming what fits, or the field that does not exist.
        """
        wanted = self.algorithms
        if wanted is None:
            wanted = {name: {} for name in served(USUAL[type(spec.action)], spec, met)}
        if self.updates % self.chunk:
            raise ValueError(
                f"The plan's {self.updates:,} updates must be a multiple of its chunk of "
                f"{self.chunk:,}, so that a resumed run equals an uninterrupted one."
            )
        grids = {
            name: typed_grid(name, grid, find(name, spec.action))
            for name, grid in wanted.items()
        }
        for name, grid in grids.items():
            require_met(name, spec, met)
            require_draws(name, grid, self.draws)
        found = {} if self.preset is None else chosen(self.preset, [*grids])
        for name, preset in found.items():
            published = {key: [value] for key, value in preset.hyperparameters.items()}
            cls = find(name, spec.action)
            if strange := {*published} - {field.name for field in dataclasses.fields(cls)}:
                raise ValueError(
                    f"Preset '{self.preset}' of '{name}' is for other actions than this "
                    f"log's: it sets {min(strange)}, which {cls.__name__} does not have. "
                    "Leave --preset out."
                )
            grid = typed_grid(name, published, cls)
            grids[name] = grid | grids[name]
        seen = {
            "reward": self._seen("reward", found, "raw"),
            "normalize": self._seen("normalize", found, True),
        }
        return self.model_copy(update={"algorithms": grids, **seen})

    def _seen(self, what: str, found: dict[str, Preset], default: Any) -> Any:
        """As asked, else as the presets say, if they agree."""
        if (asked := getattr(self, what)) is not None:
            return asked
        values = {name: getattr(preset, what) for name, preset in found.items()}
        if len(set(values.values())) > 1:
            wishes = ", ".join(f"{name} {value}" for name, value in values.items())
            raise ValueError(
                f"Preset '{self.preset}': all algorithms of a run see the same log, but "
                f"the published settings of '{what}' differ: {wishes}. Say which "
                f"(--{what}), or train them in runs of their own."
            )
        return next(iter(values.values()), default)


class MemberPlan(NamedTuple):
    """One run of one algorithm."""

    number: int  # Its directory: members/000.
    name: str  # In the registry.
    algorithm: Any
    seed: int
    options: dict[str, Option]  # Where it departs from the class's defaults.
    varied: tuple[str, ...] = ()  # Those of them that differ within this run.

    @property
    def label(self) -> str:
        """The algorithm, and what tells it from others of its name in this run."""
        told = ", ".join(f"{name} {self.options[name]}" for name in self.varied)
        return f"{self.name} ({told})" if told else self.name


def members(plan: Plan, spec: Spec) -> list[MemberPlan]:
    """Every algorithm, point of its grid and seed of a resolved plan."""
    assert plan.algorithms is not None
    found: list[MemberPlan] = []
    for name, grid in plan.algorithms.items():
        cls = find(name, spec.action)
        every = points(name, grid, draws=plan.draws, seed=plan.seed)
        varied = tuple(key for key in grid if len({str(one[key]) for one in every}) > 1)
        for options in every:
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in options.items()
            }
            values = run_lengths(cls, plan.updates) | values
            for offset in range(plan.seeds):
                algorithm, seed = cls(**values), plan.seed + offset
                number = len(found)
                found.append(MemberPlan(number, name, algorithm, seed, options, varied))
    return found


def run_lengths(cls: type, updates: int) -> dict[str, float]:
    """The hyper-parameters that count updates, for a run of so many.

    A learning rate falls until its end; what the authors do in the first updates takes its
    share of a shorter run. A class's own defaults are of the authors' runs, and
    `stitchrl.train` takes them as they are: in Python say `CQL(**run_lengths(CQL, 2_000))`.
    """
    fields = {field.name for field in dataclasses.fields(cls)}
    found = {"total_updates": float(updates)} if "total_updates" in fields else {}
    for key, share in getattr(cls, "shares_of_run", {}).items():
        found[key] = min(share * updates, getattr(cls, key))
    return found
