"""Whether a log and a plan fit each other, before anything else is done."""

from dataclasses import replace
from typing import NamedTuple

from stitchrl.dataset import Dataset
from stitchrl.evaluation.judge import estimand_discount
from stitchrl.evaluation.requests import Request
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.job.external import external_request
from stitchrl.plan import Plan
from stitchrl.validation import validate


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
    the plan does not fit the log.
    """
    if plan.horizon is not None:
        dataset = replace(dataset, horizon=plan.horizon)
    findings = (*validate(dataset), *_monte_carlo(plan, dataset))
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if errors and not plan.force:
        raise DataError(errors)
    plan = plan.resolved(dataset.spec)
    discount = estimand_discount(dataset, plan.discount)
    external = tuple(external_request(name, plan, dataset) for name in plan.policies)
    if not (external or plan.algorithms or has_tabular(plan, dataset)):
        raise nothing_to_evaluate()
    return Checked(plan, dataset, findings, discount, external)


def has_tabular(plan: Plan, dataset: Dataset) -> bool:
    """Whether value iteration is among the candidates."""
    return plan.tabular and dataset.is_tabular


def nothing_to_evaluate() -> ValueError:
    """The error of a run without any candidate."""
    return ValueError(
        "There is nothing to evaluate: no algorithm, no tabular candidate and no external "
        "policy. Name one with --algorithms or --policy."
    )


def _monte_carlo(plan: Plan, dataset: Dataset) -> list[Finding]:
    """Filtering by return sees only the observed part of episodes that were cut."""
    cut = int(dataset.truncated[dataset.last_row].sum())
    wanted = plan.algorithms is None or "filtered_bc" in plan.algorithms
    if not (cut and wanted):
        return []
    return [
        Finding(
            "MC_TRUNCATED",
            Severity.ERROR if plan.strict else Severity.WARNING,
            f"Filtered cloning ranks episodes by their return, but {cut:,} of "
            f"{dataset.episodes:,} episodes were cut, so that part of theirs is unknown.",
            "Leave out filtered_bc, or accept that cut episodes rank too low.",
            count=cut,
        )
    ]
