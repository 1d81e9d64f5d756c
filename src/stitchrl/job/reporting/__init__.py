"""From a finished run to its report: derived numbers, labels and sentences."""

from stitchrl.findings import Severity
from stitchrl.job.reporting.data import data_section
from stitchrl.job.reporting.decide import decide_section
from stitchrl.job.reporting.limits import limits_of
from stitchrl.job.reporting.material import Material
from stitchrl.job.reporting.reproduce import reproduce_section
from stitchrl.job.reporting.training import training_section
from stitchrl.job.reporting.trust import trust_section
from stitchrl.job.reporting.truth import truth_section
from stitchrl.job.results import Results
from stitchrl.report.schema import Estimand, Report

__all__ = ["build"]


def build(results: Results) -> Report:
    """The complete report of a run.

    Numbers are those of the evidence, or counted here from the log and the policies; where
    there is none, the report has null.
    """
    material, plan = Material(results), results.plan
    decide, data = decide_section(material), data_section(material)
    has_errors = any(f.severity is Severity.ERROR for f in results.findings)
    return Report(
        title=plan.title,
        generated=results.date,
        estimand=estimand_of(material),
        forced=plan.force and has_errors,
        certification_uses=results.certification_uses,
        policies=material.policies,
        decide=decide,
        trust=trust_section(material),
        data=data,
        training=training_section(material),
        reproduce=reproduce_section(material, content_hash=data.content_hash),
        truth=truth_section(material, decide.estimates),
        limits=limits_of(material),
    )


def estimand_of(material: Material) -> Estimand:
    """Exactly what number is estimated, in one sentence."""
    results, plan, dataset = material.results, material.plan, material.dataset
    counting = "undiscounted"
    if results.discount < 1:
        counting = f"each decision later counting {results.discount:g} times as much"
    until = "over whole episodes"
    if dataset.truncated.any():
        until = "up to where the log stops"
    horizon = plan.horizon or dataset.horizon
    return Estimand(
        sentence=f"{plan.outcome}: the sum of rewards of an episode, {counting}, {until}, "
        "if all its decisions were made by the policy.",
        discount=results.discount,
        horizon=horizon,
        population=f"{plan.group_name} like the {dataset.groups:,} that verdicts rest on",
        outcome=plan.outcome,
    )
