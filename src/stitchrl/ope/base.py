"""What every estimator answers with: a number, its interval, and what stands behind it."""

from dataclasses import dataclass
from enum import StrEnum


class Label(StrEnum):
    """What an interval rests on."""

    GUARANTEED = "guaranteed"  # Holds at any n, given known propensities and bounds.
    ASYMPTOTIC = "asymptotic"  # Holds as n grows.
    MODEL_BASED = "model-based"  # Holds if a fitted model is right.


class Source(StrEnum):
    """Where a bound comes from."""

    DECLARED = "declared"  # By the owner of the log: true by definition.
    DATA = "data"  # Read off the log: the next episode may exceed it.


@dataclass(frozen=True)
class Interval:
    """Two-sided: each side misses with probability at most (1 - level) / 2."""

    low: float
    high: float
    level: float
    label: Label
    method: str

    def __post_init__(self):
        if not self.low <= self.high:
            raise ValueError(
                f"An interval must rise, but goes from {self.low} to {self.high}."
            )

    @property
    def width(self) -> float:
        return self.high - self.low

    def covers(self, value: float) -> bool:
        """Whether `value` lies inside, ends included."""
        return self.low <= value <= self.high


class Family(StrEnum):
    """Estimators that go wrong for the same reason."""

    DATA = "data"  # The log's own mean: of who made it.
    WEIGHTS = "weights"  # Wrong propensities, few episodes that act alike.
    VALUES = "values"  # Actions that were not tried, states that do not tell all.
    MARGINAL = "marginal"  # Visits that the log does not show.
    MODEL = "model"  # A model of the process that is wrong where it is played.
    COMBINED = "combined"  # Weights and values: right if either is, noisy as both.


@dataclass(frozen=True)
class Estimate:
    """What one estimator says a policy is worth."""

    name: str  # "WIS", "FQE".
    family: Family
    value: float  # NaN where it says nothing.
    interval: Interval | None
    groups: int  # Independent units behind it.


@dataclass(frozen=True)
class Completions:
    """FQE, where unseen actions are worth least, what the behavior is worth, or most."""

    lower: float
    behavior: float  # The point estimate.
    upper: float


def difference(policy: Interval, behavior: Interval) -> Interval:
    """J(π) - J(π_β) from two intervals, by the worst of their ends.

    Needs no independence: if each side of each misses with probability α/2, each side here
    misses with at most α, so two intervals at 95 % give a one-sided test at 5 %. Raises
    `ValueError` if the levels differ.
    """
    if abs(policy.level - behavior.level) > 1e-12:
        raise ValueError(
            f"Both intervals must have one level, but have {policy.level} and "
            f"{behavior.level}. Compute them with the same `level`."
        )
    worst = max((policy.label, behavior.label), key=list(Label).index)
    return Interval(
        policy.low - behavior.high,
        policy.high - behavior.low,
        1 - 2 * (1 - policy.level),
        worst,
        f"{policy.method} minus {behavior.method}",
    )


def corrected_level(candidates: int, error: float = 0.05) -> float:
    """Level of each interval so that all `candidates` one-sided tests share `error`.

    Bonferroni. Raises `ValueError` without a candidate.
    """
    if candidates < 1:
        raise ValueError(f"There must be at least one candidate, but came {candidates}.")
    return 1 - error / candidates
