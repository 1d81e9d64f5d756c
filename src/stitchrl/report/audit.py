"""What the report says of what a log can teach: facts, and a map of where it went."""

from pydantic import model_validator

from stitchrl.report.numbers import Count, Many, Part, Share


class Fact(Part):
    """One line of the audit; without a title it goes on from the one before."""

    title: str
    sentence: str


class Site(Part):
    """A place of the log, as `stitchrl.audit.map` counts it."""

    step: float
    """Mean decision of the episode at which it was visited, from 0."""
    to_go: float
    """Mean return from there on."""
    visits: Count
    tried: Share
    """Of moves: made there at least once."""
    meeting: Share | None = None
    """Of visits of worse episodes: another one went on from there to earn more."""


class Passage(Part):
    """A way from one site to another; sites are counted from 0."""

    start: Count
    end: Count
    count: Count


class LogMap(Part):
    """The busiest places and the ways between them."""

    sites: Many[Site]
    passages: Many[Passage] = ()
    are_clusters: bool = False
    """Of features; else the log names its states."""
    places: Count
    visits_share: Share
    """Of the log's decisions: made at these sites."""

    @model_validator(mode="after")
    def _leads_somewhere(self) -> "LogMap":
        for passage in self.passages:
            if max(passage.start, passage.end) >= len(self.sites):
                raise ValueError(
                    f"a passage leads from {passage.start} to {passage.end}, but there are "
                    f"{len(self.sites)} sites"
                )
        return self


class AuditPanel(Part):
    """What `stitchrl audit` says of this log."""

    facts: Many[Fact]
    map: LogMap | None = None
