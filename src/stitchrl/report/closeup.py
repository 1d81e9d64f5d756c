"""What the report shows of the one policy that it is about: many ways to look at it."""

from pydantic import model_validator

from stitchrl.ope.base import Family
from stitchrl.report.numbers import Count, Estimate, Many, Part, Sample, Share, Unbounded


class EstimatorRow(Part):
    """What one estimator says."""

    estimator: str
    family: Family
    """Estimators of one family go wrong for the same reason."""
    estimate: Estimate | None = None
    """None where it says nothing."""


class Distribution(Part):
    """Shares of episodes that return at most so much, in the log and under the policy."""

    points: Many[float]
    log: Many[Share]
    policy: Many[Share]
    band: Share
    """Half the width of a band around the policy's, at all points at once."""
    worst: Share
    """Which share of episodes is meant by the worst ones."""
    log_worst: float
    """Their mean return in the log."""
    policy_worst: Estimate
    """Their mean return under the policy: CVaR."""

    @model_validator(mode="after")
    def _is_aligned(self) -> "Distribution":
        sizes = {len(self.points), len(self.log), len(self.policy)}
        if len(sizes) > 1:
            raise ValueError("points, log and policy must be equally long")
        return self


class ClippingRow(Part):
    """The same estimate with weights above `cap` counted as `cap`."""

    cap: Unbounded
    """Infinite: none."""
    value: float | None = None
    clipped_share: Share
    """Of episodes."""
    lost: Share
    """Of what the policy does: not looked at."""
    low: float
    high: float
    is_chosen: bool = False
    """By SLOPE: the strongest cap whose bias does not show."""


class Closeup(Part):
    """Of one policy: the recommended one, or the one nearest to it."""

    policy: str
    n: Count
    estimators: Many[EstimatorRow] = ()
    model: str = ""
    """What the model of the process is, and whether it knows what the log knows."""
    effective_sizes: Many[float] = ()
    """Episodes that effectively speak about it after 1, 2, … decisions."""
    still_going: Many[Count] = ()
    """Episodes that have not ended before each of these decisions."""
    earned: Many[Sample] = ()
    """Estimated return of its first 1, 2, … decisions (CWPDIS)."""
    logged_earned: Many[float] = ()
    """The same in the log."""
    returns: Distribution | None = None
    clipping: Many[ClippingRow] = ()
