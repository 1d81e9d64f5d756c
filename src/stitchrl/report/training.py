"""What the fourth section of a report says: how the policies were learned."""

from typing import Literal

from pydantic import model_validator

from stitchrl.diagnosis import Ailment
from stitchrl.report.numbers import Count, Estimate, Many, Part, Sample


class Curve(Part):
    """One number over training, by update."""

    name: str
    """As the metrics file names it: "critics/td"."""
    kind: Literal["own_estimate", "loss", "held_out"]
    steps: Many[Count]
    values: Many[Sample]

    @model_validator(mode="after")
    def _fits(self) -> "Curve":
        if len(self.steps) != len(self.values):
            raise ValueError(
                f"curve '{self.name}' has {len(self.steps)} steps "
                f"but {len(self.values)} values"
            )
        return self


class Diagnosis(Part):
    """What the curves of one seed say of its training."""

    ailment: Ailment
    updates: Count
    """After which to take it: near the peak of one that overfits, else all of them."""
    sentence: str
    remedy: str
    options: str = ""
    """Of the command line: with them, training ends there. Empty if it did."""


class Member(Part):
    """One seed of one algorithm."""

    seed: int
    curves: Many[Curve] = ()
    stopped: str | None = None
    """Why and at which update it was stopped; null if it ended as planned."""
    diagnosis: Diagnosis | None = None
    """Null where there is no Q, or where curves are too short or not finite."""


class Worth(Part):
    """What a policy is worth by the log, to hold its own estimate against."""

    estimate: Estimate
    source: Literal["FQE", "WIS"]


class HyperParameter(Part):
    """One setting and where it came from."""

    name: str
    value: str
    origin: str = "default"
    """"default", "preset NAME", "user"."""


class AlgorithmTraining(Part):
    """One algorithm with these hyper-parameters: all seeds, and what they cost."""

    name: str
    role: Literal["candidate", "control"] = "candidate"
    policies: Many[str] = ()
    """Policies in this report that came out of it."""
    members: Many[Member]
    worth: Worth | None = None
    updates: Count
    """Per seed."""
    seconds: float | None = None
    updates_per_second: float | None = None
    """Summed over seeds."""
    hyperparameters: Many[HyperParameter] = ()
    note: str = ""
    caution: str = ""
    """How far the diagnoses of its seeds go."""


class TrainingSection(Part):
    """Curves, health and settings of every algorithm."""

    algorithms: Many[AlgorithmTraining]
    sentences: Many[str] = ()
    """What the control shows, in words."""
