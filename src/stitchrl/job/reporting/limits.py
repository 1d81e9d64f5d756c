"""What a report cannot show, as it applies to the run."""

from stitchrl.job.reporting.labels import lower_first
from stitchrl.job.reporting.material import Material
from stitchrl.ope.base import Source
from stitchrl.report.format import percent


def limits_of(material: Material) -> list[str]:
    """One sentence each, for whoever is about to act on the report."""
    results, dataset = material.results, material.dataset
    units = material.plan.group_name
    found = [
        "Whether the log holds all reasons for its decisions: hidden ones (confounding) "
        "cannot be seen in it.",
        f"Whether future {units} will be like those in the log, and the process the same.",
        f"Anything but the reward: the {lower_first(material.plan.outcome)} is all that is "
        "compared.",
    ]
    cut = float(dataset.truncated[dataset.last_row].mean())
    if cut > 0:
        found.append(
            f"What follows after the log stops: {percent(cut)} of episodes were cut off, "
            "so that weighted estimates and the mean of the log count only up to there."
        )
    evidence = next(iter(material.evidence.values()), None)
    if evidence is not None and evidence.bounds.source is Source.DATA:
        found.append(
            "Returns beyond the smallest and largest in the log: no bounds were declared, "
            "so that no interval is guaranteed."
        )
    if material.requests and results.judge.known.behavior.is_fitted:
        found.append(
            "Whether the estimated probabilities of logged actions are right: calibration "
            "finds only errors that average out over many decisions."
        )
    if dataset.groups < dataset.episodes:
        found.append(
            f"More than {dataset.groups:,} independent groups can show: several episodes "
            "of one count as one."
        )
    if results.certification_uses > 1:
        found.append(
            f"What a fresh sample would: the certification split has been looked at "
            f"{results.certification_uses} times, so that its intervals are too narrow."
        )
    uncertified = len(results.requests) - results.certified
    if uncertified > 0:
        found.append(
            f"Verdicts on policies that were not certified ({uncertified}): they are only "
            "estimated, for comparison."
        )
    return found
