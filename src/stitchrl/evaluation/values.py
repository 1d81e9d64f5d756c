"""What the value family (FQE) says of policies, in one form for tables and networks."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stitchrl.candidates import Candidate
from stitchrl.ope.base import Interval
from stitchrl.ope.divergence import Divergence


class Request(NamedTuple):
    """A candidate, followed at a share of the decisions; else the log's way."""

    candidate: Candidate
    share: float = 1.0


@dataclass(frozen=True)
class Values:
    """One request, evaluated."""

    lower: float  # What the log never shows is worth the least possible.
    value: float  # … what the log's own way is worth there: the point estimate.
    upper: float  # … the most possible.
    unseen: float | None  # Share of the policy's decisions that the log does not show.
    interval: Interval | None = None  # Of the point estimate.
    divergence: Divergence | None = None  # Bits between the policy and the log.


class ValueFamily(Protocol):
    """FQE on one split of one log."""

    def rank(self, requests: list[Request]) -> list[float]:
        """Point estimates, cross-fitted in two folds: for selection."""
        ...

    def evaluate(self, requests: list[Request], *, level: float) -> list[Values]:
        """All that the family can say: for certification."""
        ...
