"""Section 4: curves, health and settings of everything that was trained."""

import dataclasses
from typing import Any

import numpy as np

from stitchrl.algorithms import is_control
from stitchrl.candidates import Candidate
from stitchrl.diagnosis import Ailment
from stitchrl.fit import Fitted
from stitchrl.job.diagnoses import options_until
from stitchrl.job.reporting.labels import member_label, typeset
from stitchrl.job.reporting.material import Material
from stitchrl.job.reporting.worth import beliefs, said_worth, worth_of
from stitchrl.job.training import said_aside
from stitchrl.plan import run_lengths
from stitchrl.presets import Preset, presets_of
from stitchrl.report.schema import (
    AlgorithmTraining,
    Curve,
    Diagnosis,
    HyperParameter,
    Member,
    TrainingSection,
)
from stitchrl.value_iteration import TabularPolicy

MOST_POINTS = 60
CAUTION = "Of methods that are not conservative these curves are only a warning."


def training_section(material: Material) -> TrainingSection | None:
    """None if nothing was trained or planned here."""
    by_label: dict[str, list[Fitted]] = {}
    for one in material.results.fitted:
        by_label.setdefault(one.plan.label, []).append(one)
    algorithms = [_algorithm(material, label, of) for label, of in by_label.items()]
    algorithms += [
        _planned(material, candidate)
        for candidate in material.results.candidates
        if isinstance(candidate.policy, TabularPolicy)
    ]
    if not algorithms:
        return None
    return TrainingSection(
        algorithms=algorithms,
        sentences=[
            *beliefs(material),
            *_units(material),
            *_stopped(by_label),
            *said_aside(material.results.set_aside),
        ],
    )


def _algorithm(material: Material, label: str, fitted: list[Fitted]) -> AlgorithmTraining:
    algorithm = fitted[0].plan.algorithm
    candidate = material.candidates.get(label)
    seconds, rate = _speed(material, fitted)
    members = [_member(material, one) for one in fitted]
    return AlgorithmTraining(
        name=member_label(fitted[0].plan),
        role="control" if is_control(algorithm) else "candidate",
        policies=[] if candidate is None else policies_of(material, candidate),
        members=members,
        worth=None if candidate is None else worth_of(material, candidate),
        updates=max(_updates(one) for one in fitted),
        seconds=seconds,
        updates_per_second=rate,
        hyperparameters=_settings(material, fitted[0]),
        note=" ".join(
            filter(
                None, (_chosen(material, fitted, candidate), _source(material, fitted[0]))
            )
        ),
        caution=_caution(algorithm, members),
    )


def policies_of(material: Material, candidate: Candidate) -> list[str]:
    """The policy itself and its mixtures."""
    return [
        policy.name
        for policy in material.policies
        if candidate.name in (policy.name, policy.of)
    ]


def _chosen(material: Material, fitted: list[Fitted], candidate: Candidate | None) -> str:
    """Which seed is evaluated, or why none is."""
    if candidate is None and any(one.stopped is None for one in fitted):
        return "It was set aside: weights ranked it too low for FQE."
    if candidate is None or len(fitted) < 2:
        return ""
    seeds = [one.plan.seed for one in fitted if one.plan.number in candidate.members]
    value = material.results.ranking.get(candidate.name)
    if len(seeds) != 1 or value is None:
        return ""
    said = material.amounts.value(value)
    return f"Seed {seeds[0]} is evaluated: it ranks first where candidates are, {said}."


def _member(material: Material, fitted: Fitted) -> Member:
    """One seed, with its curves. What it believes is moved to the estimand's units."""
    names = dict.fromkeys(name for record in fitted.records for name in record)
    scale, shift = _moves(material, fitted.plan.algorithm)
    curves = []
    for name in names:
        kind = _kind(name)
        if kind is None:
            continue
        points = [(r["step"], r[name]) for r in fitted.records if name in r]
        kept = _thinned(len(points))
        factor, offset = (scale, shift) if kind == "own_estimate" else (1.0, 0.0)
        curves.append(
            Curve(
                name=name,
                kind=kind,
                steps=[int(points[i][0]) for i in kept],
                values=[_moved(points[i][1], factor, offset) for i in kept],
            )
        )
    return Member(
        seed=fitted.plan.seed,
        curves=curves,
        stopped=fitted.stopped,
        diagnosis=_diagnosis(material, fitted),
    )


def _diagnosis(material: Material, fitted: Fitted) -> Diagnosis | None:
    found = material.results.diagnoses.get(fitted.plan.number)
    if found is None:
        return None
    is_whole = found.checkpoint >= _updates(fitted)
    return Diagnosis(
        ailment=found.ailment,
        updates=found.checkpoint,
        sentence=typeset(found.sentence),
        remedy=found.remedy,
        options="" if is_whole else options_until(fitted.plan, found.checkpoint),
    )


def _caution(algorithm: Any, members: list[Member]) -> str:
    """The argument from curves is about conservative methods; a sum of rewards is not."""
    found = {member.diagnosis.ailment for member in members if member.diagnosis}
    is_argued = found - {Ailment.NONE, Ailment.OVERESTIMATION}
    is_conservative = getattr(algorithm, "is_conservative", False)
    return CAUTION if is_argued and not is_conservative else ""


def _kind(name: str) -> Any:
    """Of the numbers in a metrics file: which are drawn, and as what."""
    if name == "own_estimate":
        return name
    if name.endswith("loss"):
        kinds = {"train": "loss", "held_out": "held_out"}
        return kinds.get(name.partition("/")[0])
    return None


def _thinned(points: int) -> np.ndarray:
    """Positions of at most `MOST_POINTS` points, spread evenly; the last one is there."""
    kept = np.linspace(0, points - 1, min(points, MOST_POINTS))
    return np.unique(kept.round().astype(int))


def _moved(value: float | None, scale: float, shift: float) -> float | None:
    return None if value is None else scale * value + shift


def _moves(material: Material, algorithm: Any) -> tuple[float, float]:
    """Scale and shift from the learner's rewards and discount to the estimand's.

    As the judge moves what candidates believe.
    """
    nothing = Candidate(
        "", "policy", "mode", None,
        own_estimate=0.0,
        discount=getattr(algorithm, "discount", None),
        reward=material.reward,
    )  # fmt: skip
    return 1 / material.reward.scale, material.own_estimate(nothing) or 0.0


def _updates(fitted: Fitted) -> int:
    return int(fitted.records[-1]["step"]) if fitted.records else 0


def _speed(material: Material, fitted: list[Fitted]) -> tuple[float | None, float | None]:
    """Seconds, and updates per second of all seeds: members of one program share both."""
    seconds = fitted[0].seconds
    together = [
        one
        for one in material.results.fitted
        if one.seconds == seconds
        and type(one.plan.algorithm) is type(fitted[0].plan.algorithm)
    ]
    if seconds <= 0:
        return None, None
    mine = sum(one.updates for one in fitted)
    all_of_them = sum(one.updates for one in together)
    share = mine / max(all_of_them, 1)
    return seconds * share, all_of_them / seconds


def _source(material: Material, fitted: Fitted) -> str:
    """Where the values of a preset were published."""
    preset = _preset(material, fitted)
    if preset is None:
        return ""
    said = f"Preset {material.plan.preset}, from {preset.source}."
    if preset.updates is not None:
        said += f" There, training took {preset.updates:,} updates."
    return f"{said} {preset.note}".rstrip()


def _preset(material: Material, fitted: Fitted) -> Preset | None:
    family = material.plan.preset
    return None if family is None else presets_of(fitted.plan.name).get(family)


def _settings(material: Material, fitted: Fitted) -> list[HyperParameter]:
    algorithm, options = fitted.plan.algorithm, fitted.plan.options
    preset = _preset(material, fitted)
    published = {} if preset is None else preset.hyperparameters
    found = []
    for field in dataclasses.fields(algorithm):
        value = getattr(algorithm, field.name)
        origin = "default"
        if field.name in options:
            is_preset = options[field.name] == published.get(field.name)
            origin = f"preset {material.plan.preset}" if is_preset else "user"
        elif field.name in run_lengths(type(algorithm), 1):
            origin = "length of the run"
        found.append(HyperParameter(name=field.name, value=_shown(value), origin=origin))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    return str(value)


def _planned(material: Material, candidate: Candidate) -> AlgorithmTraining:
    """The tabular candidate: planned on counts, without updates or seeds."""
    own, worth = material.own_estimate(candidate), worth_of(material, candidate)
    note = "Planned on the counts of the training split, without updates."
    if own is not None:
        note += f" It believes itself to be worth {material.amounts.value(own)}"
        note += "." if worth is None else f"; it is worth {said_worth(material, worth)}."
    settings = [] if candidate.discount is None else [candidate.discount]
    return AlgorithmTraining(
        name=material.candidate_labels[candidate.name],
        policies=policies_of(material, candidate),
        members=[],
        worth=worth,
        updates=0,
        hyperparameters=[
            HyperParameter(name="discount", value=_shown(value)) for value in settings
        ],
        note=note,
    )


def _units(material: Material) -> list[str]:
    """What learning saw, if that is not what the log says."""
    found, reward, plan = [], material.reward, material.plan
    if (reward.scale, reward.shift) != (1, 0):
        found.append(
            f"Learning saw {reward}; everything is judged in the log's own rewards, and "
            "what learners believe was moved back to them"
            + (
                ", which is exact only as far as their episodes are as long as the log's."
                if reward.shift
                else "."
            )
        )
    if plan.n_steps > 1 and plan.algorithms:
        found.append(
            f"Values were learned from sums of {plan.n_steps} rewards. In "
            "between, the actions are the log's, not the policy's."
        )
    return found


def _stopped(by_label: dict[str, list[Fitted]]) -> list[str]:
    found = []
    for fitted in by_label.values():
        lost = [one for one in fitted if one.stopped is not None]
        label = member_label(fitted[0].plan)
        if lost:
            found.append(
                f"{len(lost)} of {len(fitted)} seeds of {label} stopped because "
                "their numbers were not finite; they were not evaluated."
            )
    return found
