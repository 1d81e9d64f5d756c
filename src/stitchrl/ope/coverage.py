"""How often intervals contain the truth, where the truth is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy

from stitchrl.ope.base import Interval, Label
from stitchrl.ope.certification import Certification
from stitchrl.ope.gains import gains
from stitchrl.ope.intervals import betting, clopper_pearson
from stitchrl.ope.policy_table import DensityTable, PolicyTable


@dataclass(frozen=True)
class Coverage:
    """Of one kind of interval over many simulated logs."""

    covered: int
    offered: int  # Logs on which there was an interval, for none was refused.
    logs: int
    width: float  # Median; NaN if none was offered.
    label: Label | None = None  # That all of them carry; None: several, or none at all.

    @property
    def rate(self) -> float:
        """Of those offered; NaN if none was."""
        return self.covered / self.offered if self.offered else float("nan")

    @property
    def interval(self) -> Interval:
        """Of the rate, at 95 %."""
        return clopper_pearson(self.rate, float(self.offered), level=0.95)

    def p_value(self, low: float, high: float = 1.0) -> float:
        """P(so few | `low`) or P(so many | `high`), whichever is smaller."""
        below = scipy.stats.binom.cdf(self.covered, self.offered, low)
        above = scipy.stats.binom.sf(self.covered - 1, self.offered, high)
        return float(min(below, above))


def measure(
    draw: Callable[[int], Mapping[str, Interval | None]],
    *,
    truth: Mapping[str, float],
    logs: int,
    seed: int,
) -> dict[str, Coverage]:
    """Draw intervals, by name as their truths, from `logs` logs, seeded `seed` and on.

    None is an interval that was not offered.
    """
    drawn = [draw(seed + number) for number in range(logs)]
    result = {}
    for name in drawn[0]:
        offered = [found for one in drawn if (found := one[name]) is not None]
        covered = sum(interval.covers(truth[name]) for interval in offered)
        widths = [interval.width for interval in offered]
        width = float(np.median(widths)) if widths else float("nan")
        labels = {interval.label for interval in offered}
        label = labels.pop() if len(labels) == 1 else None
        result[name] = Coverage(covered, len(offered), logs, width, label)
    return result


def value_intervals(
    certification: Certification, policy: PolicyTable | DensityTable, share: float = 1.0
) -> dict[str, Interval | None]:
    """Intervals in closed form for J of (1 - a) π_β + a π, a = `share`, by estimator.

    As a report offers them: WIS is None after HEAVY, MEANW and ESS_LOW, DRL where models
    are too thin.
    """
    weights = certification.weights(policy, share)
    estimates = {one.name: one for one in certification.estimates(policy, share)}
    found = {name: estimates[name].interval for name in ("WIS", "DRL") if name in estimates}
    if any(certification.refusals_of(weights)):
        found["WIS"] = None
    found["betting"] = betting(
        weights,
        certification.returns,
        certification.bounds,
        level=certification.level,
        propensities_known=not certification.behavior.is_fitted,
    )
    return found


def gain_intervals(
    certification: Certification, policy: PolicyTable | DensityTable, share: float = 1.0
) -> dict[str, Interval | None]:
    """Paired intervals for Δ, at the level of those for J, and as a report offers them."""
    weights = certification.weights(policy, share)
    guaranteed, asymptotic = gains(
        weights,
        certification.returns,
        certification.bounds,
        of_policy=None,
        present=None,
        is_known=True,
        level=certification.level,
    )
    is_refused = any(certification.refusals_of(weights))
    return {"gain": None if is_refused else asymptotic, "guaranteed gain": guaranteed}
