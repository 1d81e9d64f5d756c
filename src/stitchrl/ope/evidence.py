"""All numbers known about one policy: what a verdict is made from, and nothing else."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, log2

from stitchrl.ope.agreement import Agreement
from stitchrl.ope.base import Completions, Estimate, Interval
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.dynamics import ModelValue
from stitchrl.ope.refusals import FEWEST_EFFECTIVE, HEAVIEST_SHAPE, Refusal

SPARE_BITS = 3.0
ENOUGH_EFFECTIVE = 50.0
ENOUGH_SHARE = 0.05  # Of the groups.


class Kind(StrEnum):
    """What sort of policy it is."""

    BEHAVIOR = "behavior"  # Who made the log.
    POLICY = "policy"  # Learned here; a candidate.
    MIXTURE = "mixture"  # (1 - a) π_β + a π; a candidate.
    EXTERNAL = "external"  # Brought by the user; a candidate.
    CONTROL = "control"  # Evaluated as a warning, never a candidate.


@dataclass(frozen=True)
class Evidence:
    """Numbers of one policy on the certification split; None where there is none."""

    name: str
    kind: Kind
    groups: int  # n: independent episodes.
    behavior: Estimate  # J(π_β).
    bounds: ReturnBounds
    wis: float | None = None
    estimates: tuple[Estimate, ...] = ()  # Of every estimator, WIS and FQE among them.
    fqe: Completions | None = None
    fqe_interval: Interval | None = None  # Of the completion by the behavior.
    model: ModelValue | None = None  # Where models of the process were fitted.
    guaranteed: Interval | None = None  # Of Δ = J(π) - J(π_β).
    asymptotic: Interval | None = None
    effective_size: float | None = None
    mean_weight: float | None = None
    tail_shape: float | None = None  # Pareto's k of the weights; NaN: too few to say.
    kl_bits: float | None = None  # Per episode.
    unseen_share: float | None = None  # Of its decisions: actions the log never shows.
    has_fitted_behavior: bool = False  # Propensities are estimated.
    calibration_error: float | None = None  # Of these; None where it is not known.
    overestimates: bool = False  # Its learner believes far more than FQE finds.
    agreement: Agreement | None = None
    refusals: tuple[Refusal, ...] = ()
    candidates: int = 1  # How many were certified together.
    of: str | None = None  # The policy that a mixture mixes in.
    share: float = 1.0
    part: float = 1.0  # Of the whole log: the episodes that it is judged on.

    @property
    def log_bits(self) -> float:
        """log2 n: how far away the data can see."""
        return log2(self.groups)

    @property
    def is_candidate(self) -> bool:
        return self.kind not in (Kind.CONTROL, Kind.BEHAVIOR)

    @property
    def has_few_effective(self) -> bool:
        """ESS < 10."""
        return self.effective_size is not None and self.effective_size < FEWEST_EFFECTIVE

    @property
    def least_effective(self) -> float:
        """ESS that a deployment needs at any n."""
        return max(ENOUGH_EFFECTIVE, self.bounds.fewest_effective)

    @property
    def enough_effective(self) -> float:
        """ESS that a deployment needs."""
        return max(self.least_effective, ENOUGH_SHARE * self.groups)

    @property
    def lacks_bounds(self) -> bool:
        """Whether WIS has no interval because nobody declared what returns can be."""
        size = self.effective_size
        return size is not None and size < self.bounds.fewest_effective

    @property
    def has_heavy_tail(self) -> bool:
        """Pareto's k of .7 and more."""
        return self.tail_shape is not None and self.tail_shape >= HEAVIEST_SHAPE

    @property
    def is_far(self) -> bool:
        """KL per episode > log2 n + 3 bits."""
        return self.kl_bits is not None and self.kl_bits > self.log_bits + SPARE_BITS

    @property
    def differences(self) -> tuple[Interval, ...]:
        """The intervals of Δ that there are, the guaranteed one first."""
        both = (self.guaranteed, self.asymptotic)
        return tuple(interval for interval in both if interval is not None)

    @property
    def points(self) -> dict[str, float]:
        """The point estimate of each family that knows enough to be asked.

        Of DRL, if so few decisions are thin that it has an interval; of a model, if it is
        heard.
        """
        drl = next((one for one in self.estimates if one.name == "DRL"), None)
        points = {
            "WIS": self.wis,
            "FQE": self.fqe.behavior if self.fqe else None,
            "DRL": drl.value if drl and drl.interval else None,
            "MB": self.model.value if self.model and self.model.is_heard else None,
        }
        return {
            family: value
            for family, value in points.items()
            if value is not None and isfinite(value)
        }
