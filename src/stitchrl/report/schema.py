"""`report.json`: everything a report says. The pipeline fills it, the HTML shows it."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from stitchrl.ope.agreement import Word
from stitchrl.ope.base import Label
from stitchrl.ope.evidence import Kind
from stitchrl.report.data import (
    ActionDimension,
    ActionShare,
    ActionUse,
    Column,
    DataFinding,
    DataSection,
    SplitSize,
)
from stitchrl.report.decide import (
    ActionChange,
    Decide,
    Decision,
    EstimateRow,
    Estimates,
    OwnEstimate,
    Reason,
    Refusal,
    StateGroup,
    Verdict,
    WhatWouldChange,
)
from stitchrl.report.numbers import (
    Estimate,
    Histogram,
    Many,
    Part,
    Share,
    Trust,
)
from stitchrl.report.training import (
    AlgorithmTraining,
    Curve,
    Diagnosis,
    HyperParameter,
    Member,
    TrainingSection,
    Worth,
)
from stitchrl.report.trust import (
    Agreement,
    BehaviorModel,
    CalibrationPoint,
    Disagreement,
    TrustSection,
    WeightRow,
)

__all__ = [
    "ActionChange",
    "ActionDimension",
    "ActionShare",
    "ActionUse",
    "Agreement",
    "AlgorithmTraining",
    "BehaviorModel",
    "CalibrationPoint",
    "Column",
    "Command",
    "Curve",
    "DataFinding",
    "DataSection",
    "Decide",
    "Decision",
    "Diagnosis",
    "Disagreement",
    "Estimand",
    "Estimate",
    "EstimateRow",
    "Estimates",
    "ExactValue",
    "Histogram",
    "HyperParameter",
    "Kind",
    "Label",
    "Member",
    "Named",
    "OwnEstimate",
    "Phase",
    "Policy",
    "Reason",
    "Refusal",
    "Report",
    "ReproduceSection",
    "SplitSize",
    "StateGroup",
    "TrainingSection",
    "Trust",
    "TrustSection",
    "TruthSection",
    "Verdict",
    "WeightRow",
    "WhatWouldChange",
    "Word",
    "Worth",
    "json_schema",
]


class Policy(Part):
    """One policy of the report; everything else refers to it by `name`."""

    name: str
    label: str
    """What people read: "IQL", "30 % IQL, 70 % clinicians"."""
    kind: Kind
    certified: Literal["mode", "sample"] | None = None
    """What was evaluated is what is exported: its most likely action, or a draw."""
    share: Share | None = None
    """a of a mixture."""
    of: str | None = None
    """The policy mixed in."""
    description: str = ""


class Estimand(Part):
    """Exactly what number is estimated."""

    sentence: str
    discount: Share
    horizon: int | None = None
    population: str
    outcome: str = "Expected return"
    """Name of the number on axes: "Probability of survival"."""


class Command(Part):
    """A line that repeats a part of the run."""

    purpose: str
    line: str


class Named(Part):
    """A version or a hash."""

    name: str
    value: str


class Phase(Part):
    """Wall time of one part of the run."""

    name: str
    seconds: float


class ReproduceSection(Part):
    """What is needed to get the same bytes again."""

    commands: Many[Command] = ()
    versions: Many[Named] = ()
    hashes: Many[Named] = ()
    machine: str = ""
    threads: int | None = None
    devices: Many[str] = ()
    seeds: Many[Named] = ()
    phases: Many[Phase] = ()


class ExactValue(Part):
    """What one policy is worth, known exactly because the process is known."""

    policy: str
    value: float
    own: float | None = None
    """What its learner believes."""


class TruthSection(Part):
    """Only where the process is known. A real user has no such section."""

    values: Many[ExactValue]
    optimum: float | None = None
    method: str = ""
    """How the exact values were computed."""
    sentences: Many[str] = ()


class Report(Part):
    """All of `report.json`. Raises `ValidationError` naming the field."""

    version: Literal[1] = 1
    title: str
    generated: str
    """A date, given by the caller so that equal input gives equal bytes."""
    estimand: Estimand
    forced: bool = False
    """Refusals were overridden: shown as a banner."""
    certification_uses: int = Field(default=1, ge=0)
    """How often this certification split has been looked at; 1 is honest."""
    policies: Many[Policy]
    decide: Decide
    trust: TrustSection | None = None
    data: DataSection
    training: TrainingSection | None = None
    reproduce: ReproduceSection
    truth: TruthSection | None = None
    limits: Many[str] = ()
    """What this report does not show."""

    def policy(self, name: str) -> Policy:
        """The policy of this name. Raises `KeyError` if there is none."""
        return {policy.name: policy for policy in self.policies}[name]

    @property
    def behavior_label(self) -> str:
        """What people call the logged policy."""
        labels = [p.label for p in self.policies if p.kind is Kind.BEHAVIOR]
        return labels[0] if labels else "The logged policy"

    @model_validator(mode="after")
    def _names_known_policies(self) -> "Report":
        kinds = {policy.name: policy.kind for policy in self.policies}
        if len(kinds) < len(self.policies):
            raise ValueError("two policies have the same name; names must differ")
        for where, name in _references(self):
            if name not in kinds:
                raise ValueError(
                    f"{where} names policy '{name}', which is not in `policies`: "
                    f"{', '.join(kinds)}"
                )
        for verdict in self.decide.verdicts:
            is_candidate = kinds[verdict.policy] not in (Kind.CONTROL, Kind.BEHAVIOR)
            if is_candidate == (verdict.decision is Decision.EVALUATED):
                raise ValueError(
                    f"'{verdict.policy}' is of kind '{kinds[verdict.policy]}', so its "
                    f"decision cannot be '{verdict.decision}': controls and the behavior "
                    "are 'evaluated', candidates get one of the other decisions"
                )
        return self


def _references(report: Report) -> Iterator[tuple[str, str]]:
    decide, trust, training = report.decide, report.trust, report.training
    rows: list[tuple[str, Any]] = [("decide.verdicts", decide.verdicts)]
    names = [("decide.best", decide.best), ("decide.recommended", decide.recommended)]
    names += [("policies.of", policy.of) for policy in report.policies]
    if decide.estimates:
        rows += [("decide.estimates.rows", decide.estimates.rows)]
        rows += [("decide.estimates.own", decide.estimates.own)]
    if decide.changes:
        rows += [("decide.changes", [decide.changes])]
    if trust:
        rows += [("trust.weights", trust.weights), ("trust.agreement", trust.agreement)]
        if trust.disagreement:
            names += [("trust.disagreement", n) for n in trust.disagreement.policies]
        if trust.closeup:
            names += [("trust.closeup", trust.closeup.policy)]
    if report.data.actions:
        names += [("data.actions.policy", report.data.actions.policy)]
    if training:
        for algorithm in training.algorithms:
            names += [("training.algorithms.policies", n) for n in algorithm.policies]
    if report.truth:
        rows += [("truth.values", report.truth.values)]
    for where, parts in rows:
        names += [(where, part.policy) for part in parts]
    return ((where, name) for where, name in names if name is not None)


def json_schema() -> str:
    """The JSON Schema of `report.json`, as committed beside this file."""
    schema = Report.model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
