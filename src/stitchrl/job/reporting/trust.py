"""Section 2: propensities, weights, agreement of methods, disagreement of policies."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from stitchrl.candidates import table
from stitchrl.dataset import Choices
from stitchrl.evaluation.behavior import KnownBehavior
from stitchrl.evaluation.requests import Request
from stitchrl.job.reporting.closeup import closeup
from stitchrl.job.reporting.material import BEHAVIOR, Material
from stitchrl.job.reporting.numbers import estimate, probability_histogram
from stitchrl.ope.base import Interval, Label
from stitchrl.ope.conditions import CALIBRATION, MEAN_WEIGHT, UNSEEN
from stitchrl.ope.divergence import disagreement as apart
from stitchrl.ope.evidence import Evidence
from stitchrl.ope.refusals import FEWEST_GROUPS
from stitchrl.ope.refusals import MEAN_WEIGHT as IMPOSSIBLE_WEIGHT
from stitchrl.policies import Normalized, WithoutRare
from stitchrl.report.schema import (
    Agreement,
    BehaviorModel,
    CalibrationPoint,
    Disagreement,
    Trust,
    TrustSection,
    WeightRow,
)

TWO_SIDED = 1.959964  # Standard errors of a 95 % interval.
MUCH_UNSEEN = 0.1


def trust_section(material: Material) -> TrustSection | None:
    """None if nothing was evaluated."""
    if not material.requests:
        return None
    return TrustSection(
        behavior=behavior_model(material),
        weights=[weight_row(material, name) for name in material.requests],
        agreement=[*agreements(material)],
        disagreement=disagreement(material),
        closeup=closeup(material),
    )


def agreements(material: Material) -> Iterator[Agreement]:
    """Of each policy; "not computed" where what methods rest on was refused."""
    for decided in material.results.verdicts:
        evidence, found = decided.evidence, decided.evidence.agreement
        if found is None:
            continue
        reason = next(one for one in decided.reasons if one.code == "AGREEMENT")
        is_known = reason.passed is not None
        yield Agreement(
            policy=evidence.name,
            word=found.word if is_known else None,
            spread=found.spread if is_known else None,
            sentence=material.say(found.sentence if is_known else reason.sentence),
        )


def weighted_trust(evidence: Evidence) -> Trust:
    """How far weighted estimates may be relied on."""
    size, mean = evidence.effective_size, evidence.mean_weight
    if size is None or mean is None or evidence.groups < FEWEST_GROUPS:
        return Trust.POOR
    is_possible = IMPOSSIBLE_WEIGHT[0] <= mean <= IMPOSSIBLE_WEIGHT[1]
    is_hopeless = evidence.has_few_effective or evidence.has_heavy_tail or evidence.is_far
    if is_hopeless or not is_possible:
        return Trust.POOR
    is_right = MEAN_WEIGHT[0] <= mean <= MEAN_WEIGHT[1]
    is_good = size >= evidence.enough_effective and is_right
    return Trust.GOOD if is_good else Trust.CAUTION


def fitted_trust(evidence: Evidence) -> Trust:
    """How far fitted values may be relied on: as far as the log shows the actions."""
    unseen = evidence.unseen_share
    if evidence.groups < FEWEST_GROUPS:
        return Trust.POOR
    if unseen is None:
        return Trust.CAUTION
    if unseen > MUCH_UNSEEN:
        return Trust.POOR
    return Trust.GOOD if unseen < UNSEEN else Trust.CAUTION


def overall_trust(evidence: Evidence) -> Trust:
    """The worse of both."""
    order = list(Trust)
    return max(weighted_trust(evidence), fitted_trust(evidence), key=order.index)


def weight_row(material: Material, name: str) -> WeightRow:
    """How far one policy is from the log, and what that leaves of the data."""
    evidence, request = material.evidence[name], material.requests[name]
    weights, unseen = material.weights(request), evidence.unseen_share
    mean = None
    if weights is not None:
        half = TWO_SIDED * weights.mean_error
        interval = Interval(
            max(weights.mean - half, 0.0),
            weights.mean + half,
            0.95,
            Label.ASYMPTOTIC,
            "mean ± 1.96 standard errors",
        )
        mean = estimate(weights.mean, interval, evidence.groups)
    return WeightRow(
        policy=name,
        n=evidence.groups,
        ess=evidence.effective_size,
        ess_required=evidence.enough_effective,
        mean_weight=mean,
        largest_share=None if weights is None else min(weights.largest_share, 1.0),
        kl_per_step=_bits_per_step(material, name),
        kl_per_episode=evidence.kl_bits,
        log2_n=evidence.log_bits,
        unseen_before=_unseen_before(material, request),
        unseen=None if unseen is None else _share(unseen),
        trust=overall_trust(evidence),
    )


def _bits_per_step(material: Material, name: str) -> float | None:
    """KL per decision, where the closed form that gave KL per episode gives it too."""
    certification = material.results.judge.certification
    if certification.log is None or material.evidence[name].kl_bits is None:
        return None
    request = material.requests[name]
    policy = table(request.candidate, material.dataset)
    return certification.divergence(policy, request.share).bits_per_step


def _unseen_before(material: Material, request: Request) -> float | None:
    """What was unseen of a softmax policy before its rare actions were cut, by tables."""
    policy, log = request.candidate.policy, material.results.judge.certification.log
    if log is None or not isinstance(policy, Normalized):
        return None
    if not isinstance(policy.policy, WithoutRare):
        return None
    whole = Normalized(policy.policy.policy, policy.normalizer)
    candidate = replace(request.candidate, policy=whole)
    states = log.transitions.policy(table(candidate, material.dataset))
    return _share(material.fitted_log.evaluate(states, request.share).unseen_share)


def behavior_model(material: Material) -> BehaviorModel:
    """Where the probabilities of logged actions come from, and whether they hold."""
    known = material.results.judge.known
    behavior = known.behavior
    return BehaviorModel(
        source="fitted" if behavior.is_fitted else "logged",
        sentence=_origin(material, known),
        ece=estimate(known.calibration_error, n=material.dataset.groups),
        ece_limit=CALIBRATION,
        calibration=_calibration(known),
        propensities=probability_histogram(behavior.propensity)
        if material.is_discrete and _are_probabilities(behavior.propensity)
        else None,
    )


def _origin(material: Material, known: KnownBehavior) -> str:
    if not known.behavior.is_fitted:
        return (
            "The log says how likely each action was when it was taken; these numbers are "
            "used as they are."
        )
    how = "by a network that imitates the log"
    if material.dataset.state_id is not None and material.is_discrete:
        how = "from how often each was taken in each state"
    sentence = (
        "The log does not say how likely its actions were. Their probabilities were "
        f"estimated {how}, those of each episode without that episode; whatever rests on "
        "them is not guaranteed."
    )
    if known.information is not None:
        explained, entropy = known.information.bits_explained, known.information.entropy
        sentence += (
            f" Of {entropy:.2f} bits of uncertainty per decision the model explains "
            f"{explained:.2f}."
        )
    if known.uniformity is not None:
        shares = known.uniformity.shares
        sentence += (
            f" Each tenth of the probability that the model gives should hold 10 % of the "
            f"logged actions; they hold {shares.min():.0%} to {shares.max():.0%}."
        )
    return sentence


def _calibration(known: KnownBehavior) -> list[CalibrationPoint]:
    found = known.reliability
    if found is None:
        return []
    points = zip(found.predicted, found.observed, found.count)
    return [
        CalibrationPoint(predicted=_share(predicted), observed=_share(observed), n=int(n))
        for predicted, observed, n in points
    ]


def disagreement(material: Material) -> Disagreement | None:
    """1 - Σ_a min(p, q), averaged over decisions of the certification split.

    The least share of decisions in which two policies differ; between a policy and the
    behavior, by the logged actions. None with fewer than two policies that can be compared,
    or with continuous actions.
    """
    if not isinstance(material.dataset.actions, Choices):
        return None
    names = [name for name, request in material.requests.items() if request.share == 1]
    if not names:
        return None
    share = np.zeros((len(names) + 1, len(names) + 1))
    for i, name in enumerate(names, start=1):
        candidate = material.requests[name].candidate
        share[0, i] = share[i, 0] = material.departure(candidate).mean()
        for j in range(1, i):
            other = material.requests[names[j - 1]].candidate
            acting = (material.probabilities(one) for one in (candidate, other))
            share[i, j] = share[j, i] = apart(*acting)
    return Disagreement(
        policies=[BEHAVIOR, *names], share=share.tolist(), n=len(material.rows)
    )


def _are_probabilities(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all())


def _share(value: float) -> float:
    """Sums of probabilities exceed 1 by rounding."""
    return float(np.clip(value, 0.0, 1.0))
