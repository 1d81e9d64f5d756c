"""What the third section of a report says: what is in the log."""

from typing import Literal

from pydantic import model_validator

from stitchrl.findings import Severity
from stitchrl.report.audit import AuditPanel
from stitchrl.report.numbers import Count, Histogram, Many, Part, Share


class Column(Part):
    """One column of the log and the part it plays."""

    name: str
    role: str
    """The project's word for it: observation, action, reward, episode, …"""
    kind: str = ""
    """Its type, its unit, its range: whatever describes it best."""
    missing: Share = 0.0
    note: str = ""


class DataFinding(Part):
    """A finding of validation, as counted in the log."""

    code: str
    severity: Severity
    count: Count = 0
    rows: Many[int] = ()
    """The first few, counted from 0."""
    message: str
    remedy: str


class SplitSize(Part):
    """One of the disjoint parts of the log."""

    name: Literal["train", "selection", "certification"]
    groups: Count
    episodes: Count
    rows: Count


class ActionShare(Part):
    """How often one action was taken, and how often the policy would take it."""

    label: str
    count: Count
    share: Share
    policy_share: Share | None = None


class ActionDimension(Part):
    """Use of one continuous action: shares of the log and of the policy in equal bins."""

    name: str
    edges: Many[float]
    share: Many[Share]
    policy_share: Many[Share] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "ActionDimension":
        if len(self.edges) != len(self.share) + 1:
            raise ValueError(
                f"{self.name}: {len(self.share)} shares need {len(self.share) + 1} edges, "
                f"but there are {len(self.edges)}"
            )
        return self


class ActionUse(Part):
    """What is done in the log and what a policy would do in the same states."""

    n: Count
    policy: str | None = None
    """Whose use stands beside the log's."""
    choices: Many[ActionShare] = ()
    """Discrete actions, in the order of their numbers."""
    dimensions: Many[ActionDimension] = ()
    """Continuous actions."""


class DataSection(Part):
    """Source, findings, distributions and splits of the log."""

    source: str
    content_hash: str
    rows: Count
    episodes: Count
    groups: Count
    group_name: str = "episodes"
    """What splits keep together, in the plural: "patients"."""
    columns: Many[Column] = ()
    findings: Many[DataFinding] = ()
    returns: Histogram | None = None
    lengths: Histogram | None = None
    actions: ActionUse | None = None
    audit: AuditPanel | None = None
    """What the log can teach; null if it was not looked at."""
    splits: Many[SplitSize] = ()
    reward_transform: str = "none"
