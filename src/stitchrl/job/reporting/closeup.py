"""Every way to look at the one policy that the report is about."""

import numpy as np

from stitchrl.job.reporting.material import Material
from stitchrl.job.reporting.numbers import estimate
from stitchrl.ope.base import Estimate as Found
from stitchrl.ope.clipping import clipped
from stitchrl.ope.distribution import ReturnDistribution
from stitchrl.ope.per_decision import earned_so_far
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import Weights
from stitchrl.report.closeup import ClippingRow, Closeup, Distribution, EstimatorRow

WORST = 0.1  # Share of episodes whose mean is CVaR.
MOST_POINTS = 200  # Of a distribution function.
CAPS = (1.0, 2.0, 5.0, 10.0, 30.0, 100.0)
ORDER = ["IS", "PDIS", "CWPDIS", "WIS", "RIS-WIS", "DR", "WDR", "MAGIC"]
ORDER += ["FQE", "pooled FQE", "DRL"]


def closeup(material: Material) -> Closeup | None:
    """Of the recommended policy, else of the verdict that comes nearest; None without."""
    recommendation = material.results.recommendation
    name = recommendation.name
    if name is None and recommendation.verdict is not None:
        name = recommendation.verdict.evidence.name
    if name not in material.requests:
        return None
    evidence, request = material.evidence[name], material.requests[name]
    found = sorted(evidence.estimates, key=lambda one: ORDER.index(one.name))
    rows = [_row(one) for one in found]
    ratios = material.ratios(request)
    if ratios is None:
        return Closeup(policy=name, n=evidence.groups, estimators=rows)
    dataset, discount = material.dataset, material.results.discount
    weights, steps = Weights.of(dataset, ratios), StepWeights.of(dataset, ratios)
    as_logged = StepWeights.of(dataset, np.zeros(dataset.size))
    earned = earned_so_far(dataset, steps, discount=discount)
    lengths = dataset.lengths
    return Closeup(
        policy=name,
        n=evidence.groups,
        estimators=rows,
        effective_sizes=steps.effective_sizes.tolist(),
        still_going=[int((lengths > t).sum()) for t in range(lengths.max())],
        earned=earned.tolist(),
        logged_earned=earned_so_far(dataset, as_logged, discount=discount).tolist(),
        returns=_distribution(material, weights),
        clipping=_clipping(material, weights),
    )


def _row(found: Found) -> EstimatorRow:
    number = estimate(found.value, found.interval, found.groups)
    return EstimatorRow(estimator=found.name, family=found.family, estimate=number)


def _distribution(material: Material, weights: Weights) -> Distribution | None:
    """None if no episode has weight."""
    certification = material.results.judge.certification
    returns, level = certification.returns, certification.level
    if weights.effective_size == 0:
        return None
    under = ReturnDistribution.of(returns, weights)
    logged = ReturnDistribution.of(returns, Weights(np.zeros(len(returns)), weights.group))
    points = np.unique(returns)
    if len(points) > MOST_POINTS:
        points = np.unique(np.quantile(returns, np.linspace(0, 1, MOST_POINTS)))
    interval = under.cvar_interval(WORST, certification.bounds, level=level)
    worst = estimate(under.cvar(WORST), interval, weights.groups)
    assert worst is not None
    return Distribution(
        points=points.tolist(),
        log=logged.probability_up_to(points).tolist(),
        policy=under.probability_up_to(points).tolist(),
        band=min(under.band(level=level), 1.0),
        worst=WORST,
        log_worst=logged.cvar(WORST),
        policy_worst=worst,
    )


def _clipping(material: Material, weights: Weights) -> list[ClippingRow]:
    """Caps up to the first that clips nothing."""
    certification = material.results.judge.certification
    rows = []
    for cap in CAPS:
        found = clipped(weights, certification.returns, certification.bounds, cap=cap)
        rows.append(
            ClippingRow(
                cap=found.cap,
                value=None if np.isnan(found.value) else found.value,
                clipped_share=found.clipped_share,
                lost=found.lost,
                low=found.low,
                high=found.high,
            )
        )
        if found.clipped_share == 0:
            break
    return rows
