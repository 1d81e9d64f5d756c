"""Every way to look at the one policy that the report is about."""

import math

import numpy as np

from stitchrl.job.reporting.material import Material
from stitchrl.job.reporting.numbers import estimate
from stitchrl.ope.base import Estimate as Found
from stitchrl.ope.clipping import Clipped, clipped
from stitchrl.ope.distribution import ReturnDistribution
from stitchrl.ope.evidence import Evidence
from stitchrl.ope.per_decision import earned_so_far
from stitchrl.ope.slope import slope
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import Weights
from stitchrl.report.closeup import ClippingRow, Closeup, Distribution, EstimatorRow
from stitchrl.report.format import percent

WORST = 0.1  # Share of episodes whose mean is CVaR.
MOST_POINTS = 200  # Of a distribution function.
CAPS = (1.0, 2.0, 5.0, 10.0, 30.0, 100.0, math.inf)
KINDS = {"networks": "an ensemble of networks", "linear-Gaussian": "linear and Gaussian,"}
ORDER = ["IS", "PDIS", "CWPDIS", "WIS", "RIS-WIS", "DR", "WDR", "MAGIC"]
ORDER += ["FQE", "pooled FQE", "DRL", "MB"]


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
    model = _model(material, evidence)
    if ratios is None:
        return Closeup(policy=name, n=evidence.groups, estimators=rows, model=model)
    dataset, discount = material.dataset, material.results.discount
    weights, steps = Weights.of(dataset, ratios), StepWeights.of(dataset, ratios)
    as_logged = StepWeights.of(dataset, np.zeros(dataset.size))
    earned = earned_so_far(dataset, steps, discount=discount)
    lengths = dataset.lengths
    return Closeup(
        policy=name,
        n=evidence.groups,
        estimators=rows,
        model=model,
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


def _model(material: Material, evidence: Evidence) -> str:
    """Empty where there is none."""
    model, say = evidence.model, material.amounts
    if model is None:
        return ""
    said = (
        f"The model (MB) is {KINDS[model.kind]} fitted to the log, in which the policy "
        "is played."
    )
    if model.is_checked:
        said += (
            f" Of {material.behavior} it says {say.value(model.present)}, for "
            f"{say.value(evidence.behavior.value)} in the log."
        )
    if model.outside_share > 0:
        said += (
            f" {percent(model.outside_share, 1)} of the steps played left the range of "
            "what was logged, by their action or by what followed, which was then held at "
            "its edge."
        )
    if model.endless_share > 0:
        said += f" {percent(model.endless_share, 1)} of the episodes played had no end."
    if model.is_heard:
        return said
    return f"{said} It has no vote on whether methods agree: {model.unheard}."


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
    every: list[Clipped] = []
    for cap in CAPS:
        every.append(clipped(weights, certification.returns, certification.bounds, cap=cap))
        if every[-1].clipped_share == 0:
            break
    taken = None
    if weights.effective_size > 0:
        looser = every[::-1]  # From the loosest cap to the strictest.
        found = slope([one.value for one in looser], [one.deviation for one in looser])
        taken = len(every) - 1 - found
    return [
        ClippingRow(
            cap=found.cap,
            value=None if np.isnan(found.value) else found.value,
            clipped_share=found.clipped_share,
            lost=found.lost,
            low=found.low,
            high=found.high,
            is_chosen=number == taken,
        )
        for number, found in enumerate(every)
    ]
