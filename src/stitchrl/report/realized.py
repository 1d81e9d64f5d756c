"""`realized.json`: what a run promised of a policy, beside what came once it was used."""

from typing import Literal

from stitchrl.ope.realized import Kept
from stitchrl.report.numbers import Count, Estimate, Many, Part, Share


class Promise(Part):
    """What one estimator promised, and what became of it."""

    estimator: str
    promised: Estimate
    realized: Estimate
    gap: Estimate
    """Realized less promised."""
    kept: Kept


class Spread(Part):
    """How returns were said to be spread, and how they are."""

    distance: Share
    """Largest difference between the two shares of episodes that return at most so much."""
    allowed: Share
    """What both bands allow together."""
    level: Share
    point: float
    """The return at which they differ most."""
    promised: Share
    realized: Share
    fits: bool


class Followed(Part):
    """Whether the policy can have made the log."""

    agreement: Share
    """How likely it makes what was done, on average."""
    expected: Share
    """How likely it makes what it does itself; of a mixture, at least."""
    foreign: Share | None = None
    """Share of decisions whose logged propensity is not the policy's."""
    is_plausible: bool


class Realized(Part):
    """One log that a policy made, held against the promises of a run."""

    policy: str
    label: str
    """What people read."""
    log: str
    content_hash: str
    date: str
    certification_uses: Count
    """Of the report that promised."""
    decisions: Count
    episodes: Count
    groups: Count
    discount: Share
    horizon: int | None = None
    promises: Many[Promise]
    """Those with an interval first, of these WIS."""
    spread: Spread | None = None
    followed: Followed | None = None
    """Null where it could not be looked at: then it is assumed."""
    sentence: str
    notes: Many[str] = ()
    """What is assumed, and what speaks against it."""


class Record(Part):
    """All logs that were held against one run, the oldest first."""

    version: Literal[1] = 1
    entries: Many[Realized] = ()

    def plus(self, entry: Realized) -> "Record":
        """With this entry last, instead of one about the same log and policy."""
        others = (
            one
            for one in self.entries
            if (one.content_hash, one.policy) != (entry.content_hash, entry.policy)
        )
        return Record(entries=(*others, entry))
