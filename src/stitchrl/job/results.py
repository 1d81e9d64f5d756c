"""Everything a finished run knows: what reports, tables and bundles are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stitchrl.candidates import Candidate
from stitchrl.dataset import Dataset
from stitchrl.diagnosis import Diagnosis
from stitchrl.evaluation.judge import Judge
from stitchrl.evaluation.requests import Request
from stitchrl.findings import Finding
from stitchrl.fit import Fitted
from stitchrl.ope.refusals import Refusal
from stitchrl.plan import Plan
from stitchrl.splits import Splits
from stitchrl.verdict import Recommendation, Verdict


@dataclass(frozen=True)
class Truth:
    """Exact values, where the process that made the log is known."""

    values: Mapping[str, float]  # Of every request and candidate, and of "behavior".
    optimum: float
    method: str  # How they were computed.
    units: str = ""  # What the numbers of features are, where they are no measurements.


@dataclass(frozen=True, eq=False)
class Results:
    """A finished run. `verdicts[i]` is about `requests[i]`."""

    plan: Plan  # Resolved.
    directory: Path
    dataset: Dataset
    findings: Sequence[Finding]
    splits: Splits | None  # None: nothing was trained, all of the log certifies.
    discount: float  # Of the estimand.
    fitted: Sequence[Fitted]  # Every member.
    candidates: Sequence[Candidate]  # Best of the seeds of each; controls too.
    ranking: Mapping[str, float]  # Values on the selection split, by candidate name.
    best: Candidate | None  # First in that ranking; its mixtures are certified.
    judge: Judge
    requests: Sequence[Request]  # Certified ones first, then those only evaluated.
    certified: int  # How many of them were certified.
    verdicts: Sequence[Verdict]
    recommendation: Recommendation
    refusals: Sequence[Refusal]  # Of the whole run, not of one policy.
    machine: Mapping[str, Any]  # As `devices.describe` says.
    phases: Mapping[str, float]  # Wall seconds of each part.
    commands: Sequence[tuple[str, str]]  # (purpose, line) that repeat the run.
    certification_uses: int = 1
    date: str = ""
    truth: Truth | None = None
    diagnoses: Mapping[int, Diagnosis] = field(default_factory=dict)  # As of `Trained`.
    set_aside: int = 0  # As of `Trained`.

    @property
    def certification(self) -> Dataset:
        """What the verdicts rest on."""
        return self.judge.dataset
