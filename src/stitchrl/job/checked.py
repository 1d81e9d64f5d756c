"""Whether a log and a plan fit each other, before anything else is done."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from stitchrl.algorithms import find
from stitchrl.dataset import Dataset
from stitchrl.evaluation.judge import estimand_discount
from stitchrl.evaluation.requests import Request
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.job.external import external_request
from stitchrl.needs import left_out, met_by
from stitchrl.plan import Plan
from stitchrl.rewards import RewardTransform
from stitchrl.validation import errors, validate


class Checked(NamedTuple):
    """A log and a plan that fit each other."""

    plan: Plan  # Resolved.
    dataset: Dataset
    findings: tuple[Finding, ...]
    discount: float  # Of the estimand.
    external: tuple[Request, ...]  # Policies that are only evaluated.


def checked(plan: Plan, dataset: Dataset) -> Checked:
    """Validate the log and resolve the plan.

    Raises `DataError` if the log has errors (unless the plan says force), `ValueError` if
    the plan does not fit the log (its reward and sampling among them).
    """
    if plan.horizon is not None:
        dataset = replace(dataset, horizon=plan.horizon)
    findings = validate(dataset)
    _require_no_errors(findings, plan)
    met = met_by(dataset)
    plan = plan.resolved(dataset.spec, met)
    if plan.algorithms:
        findings = [*findings, *left_out(dataset.spec, met)]
        RewardTransform.named(plan.reward, dataset)
        plan.sampling.of(dataset)
    cut = _monte_carlo(plan, dataset)
    _require_no_errors(cut, plan)
    discount = estimand_discount(dataset, plan.discount)
    external = tuple(external_request(name, plan, dataset) for name in plan.policies)
    if not (external or plan.algorithms or has_tabular(plan, dataset)):
        raise nothing_to_evaluate()
    return Checked(plan, dataset, (*findings, *cut), discount, external)


def has_tabular(plan: Plan, dataset: Dataset) -> bool:
    """Whether value iteration is among the candidates."""
    return plan.tabular and dataset.is_tabular


def nothing_to_evaluate() -> ValueError:
    """The error of a run without any candidate."""
    return ValueError(
        "There is nothing to evaluate: no algorithm, no tabular candidate and no external "
        "policy. Name one with --algorithms or --policy."
    )


def _require_no_errors(findings: Sequence[Finding], plan: Plan) -> None:
    wrong = errors(findings)
    if wrong and not plan.force:
        raise DataError(wrong)


def _monte_carlo(plan: Plan, dataset: Dataset) -> tuple[Finding, ...]:
    """Returns are only of the observed part of episodes that were cut."""
    cut = int(dataset.truncated[dataset.last_row].sum())
    names = [
        name
        for name in plan.algorithms or ()
        if "returns" in getattr(find(name, dataset.spec.action), "needs", ())
    ]
    if not (cut and names):
        return ()
    finding = Finding(
        "MC_TRUNCATED",
        Severity.ERROR if plan.strict else Severity.WARNING,
        f"{cut:,} of {dataset.episodes:,} episodes were cut, so that part of their return "
        f"is unknown, and these learn from whole returns: {', '.join(names)}.",
        f"Leave out {', '.join(names)}, or accept that cut episodes count too little.",
        count=cut,
    )
    return (finding,)
