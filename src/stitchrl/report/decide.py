"""What the first section of a report says: verdicts, estimates, what would change."""

from typing import Literal

from pydantic import Field, model_validator

from stitchrl.ope.base import Label
from stitchrl.report.numbers import (
    Count,
    Estimate,
    Many,
    Part,
    Share,
    Trust,
    Unbounded,
)
from stitchrl.verdict import Decision

# Which lines of the ordered rule lead to which decision.
LINES_OF = {
    Decision.CANNOT_SAY: (1, 2),
    Decision.DO_NOT_DEPLOY: (3,),
    Decision.DEPLOY: (4,),
    Decision.PILOT: (5,),
    Decision.COLLECT_MORE_DATA: (6,),
    Decision.EVALUATED: (),
}


class Reason(Part):
    """One condition of the rule, whether it held, and the number it was held against."""

    code: str
    """Stable, upper case: "ESS_LOW"."""
    passed: bool | None
    """Null where nothing was computed, which the rule treats as not passed."""
    sentence: str
    number: Unbounded | None = None
    threshold: str | None = None
    """In words that follow the number: "at least 200", "between 0.8 and 1.25"."""


class Verdict(Part):
    """The first line of the rule that held for one policy, with its numbers."""

    policy: str
    decision: Decision
    label: Label | None = None
    """What the deciding bound rests on."""
    rule: int | None = Field(default=None, ge=1, le=6)
    """Line of the ordered rule; null for what is evaluated, but no candidate."""
    sentence: str
    """The verdict on this policy in one plain sentence."""
    reasons: Many[Reason] = ()
    remedy: str | None = None
    required_n: Unbounded | None = None
    """Episodes, or groups, in the whole log that would suffice to settle the question."""
    stopping_rule: str | None = None
    estimate: Estimate | None = None
    """The value the decision rests on."""
    difference: Estimate | None = None
    """Value minus the value of the logged policy."""

    @model_validator(mode="after")
    def _follows_the_rule(self) -> "Verdict":
        lines = LINES_OF[self.decision]
        if self.rule not in (lines or (None,)):
            raise ValueError(
                f"{self.policy}: '{self.decision}' follows from line "
                f"{' or '.join(map(str, lines)) or 'null'} of the rule, but rule is "
                f"{self.rule}"
            )
        return self


class Refusal(Part):
    """Why the whole run, or a part of it, could not be evaluated."""

    code: str
    message: str
    remedy: str
    overridden: bool = False
    """The run went on because it was forced."""


class EstimateRow(Part):
    """What one estimator says about one policy."""

    policy: str
    estimator: str
    """"WIS", "FQE", or "data" for the mean return of the log."""
    completion: Literal["lower", "behavior", "upper"] | None = None
    """What FQE assumes of actions the log does not show."""
    estimate: Estimate
    ess: float | None = None
    trust: Trust | None = None
    note: str = ""


class OwnEstimate(Part):
    """What a learner believes its policy is worth: its Q at the start states."""

    policy: str
    estimate: Estimate


class Estimates(Part):
    """All estimates on the certification split, against the logged policy."""

    behavior: Estimate
    """The value of the logged policy, from the returns of the certification split."""
    rows: Many[EstimateRow]
    own: Many[OwnEstimate] = ()


class ActionChange(Part):
    """One action in one group of states: how often, or how much, before and after."""

    action: str
    logged: float
    policy: float


class StateGroup(Part):
    """Decisions in similar states: what the log does there, and what the policy would."""

    name: str
    n: Count
    """Logged decisions in this group."""
    changed: Share | None = None
    """Share of decisions that would be another one."""
    changes: Many[ActionChange]
    """Largest first."""
    difference: Estimate | None = None
    """Expected gain per decision, where known."""
    sentence: str = ""


class WhatWouldChange(Part):
    """The decisions that differ most from the log's, by group of states."""

    policy: str
    quantity: Literal["share", "mean"] = "share"
    """Shares of actions, or means of continuous actions in their own units."""
    changed: Share | None = None
    groups: Many[StateGroup]
    sentences: Many[str] = ()


class Decide(Part):
    """The answer: is there a better policy, how sure are we, how far may we move?"""

    decision: Decision
    """Of the whole report: the recommended policy's, else the best candidate's."""
    headline: str
    """One plain sentence."""
    best: str | None = None
    """The candidate ranked first on the selection split."""
    recommended: str | None = None
    """What to do it with: a policy or a mixture; null if none."""
    margin: float = 0.0
    """Improvement asked for before anything is deployed."""
    refusals: Many[Refusal] = ()
    verdicts: Many[Verdict] = ()
    """Best candidate and its mixtures first, then the others."""
    estimates: Estimates | None = None
    changes: WhatWouldChange | None = None
