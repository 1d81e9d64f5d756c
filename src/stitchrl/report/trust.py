"""What the second section of a report says: why its numbers may be believed."""

from typing import Literal

from pydantic import model_validator

from stitchrl.ope.agreement import Word
from stitchrl.report.closeup import Closeup
from stitchrl.report.numbers import (
    Count,
    Estimate,
    Histogram,
    Many,
    Part,
    Share,
    Trust,
    Unbounded,
)


class CalibrationPoint(Part):
    """Of `n` logged actions given probability `predicted`, a share `observed` was taken."""

    predicted: Share
    observed: Share
    n: Count
    low: Share | None = None
    high: Share | None = None


class BehaviorModel(Part):
    """Where the probabilities of logged actions come from, and how far they hold."""

    source: Literal["logged", "fitted"]
    sentence: str
    ece: Estimate | None = None
    """Expected calibration error."""
    ece_limit: float = 0.05
    calibration: Many[CalibrationPoint] = ()
    propensities: Histogram | None = None


class WeightRow(Part):
    """How far one policy is from the log, and what that leaves of the data."""

    policy: str
    n: Count
    ess: float | None = None
    """Episodes that effectively speak about this policy."""
    ess_required: float | None = None
    mean_weight: Estimate | None = None
    """1 if the probabilities are right and the tail is light."""
    largest_share: Share | None = None
    """Share of all weight on one episode."""
    kl_per_step: Unbounded | None = None
    """Bits."""
    kl_per_episode: Unbounded | None = None
    """Bits."""
    log2_n: float
    """Bits the data has."""
    unseen_before: Share | None = None
    """Share of the policy's actions the log does not show, before small ones were cut."""
    unseen: Share | None = None
    """The same for the policy as certified."""
    trust: Trust


class Agreement(Part):
    """Whether methods say the same about one policy."""

    policy: str
    word: Word | None = None
    """Null where they were not asked."""
    spread: Unbounded | None = None
    """Distance of the families over the range of returns."""
    sentence: str


class Disagreement(Part):
    """`share[i][j]` of certification rows on which two policies act differently."""

    policies: Many[str]
    share: Many[Many[Share]]
    n: Count

    @model_validator(mode="after")
    def _is_square(self) -> "Disagreement":
        size = len(self.policies)
        if len(self.share) != size or any(len(row) != size for row in self.share):
            raise ValueError(
                f"disagreement of {size} policies needs {size} x {size} shares"
            )
        return self


class TrustSection(Part):
    """Propensities, weights, agreement of methods."""

    behavior: BehaviorModel | None = None
    weights: Many[WeightRow] = ()
    agreement: Many[Agreement] = ()
    disagreement: Disagreement | None = None
    closeup: Closeup | None = None
