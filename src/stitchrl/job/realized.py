"""A policy has run: its own episodes are held against what its run promised."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from stitchrl import artifacts, bundle
from stitchrl.artifacts import ArtifactError
from stitchrl.dataset import Dataset
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.job.directory import REALIZED, is_saved, load_log, read_plan
from stitchrl.job.newness import followed, require_new
from stitchrl.job.promises import closeup_of, named, promises_of, read_promises
from stitchrl.job.reporting.numbers import estimate
from stitchrl.ope import refusals as refuse
from stitchrl.ope.base import Estimate
from stitchrl.ope.bounds import return_bounds
from stitchrl.ope.following import Following
from stitchrl.ope.realized import VAGUE_SHARE, Gap, Kept, calibration, gap_of
from stitchrl.report.format import Values, level, percent
from stitchrl.report.realized import Followed, Promise, Realized, Record, Spread
from stitchrl.report.schema import Report
from stitchrl.validation import errors, validate

LEARNING = {"ONE_ACTION"}  # Errors of logs to learn from, not of those that a policy made.
SAID = {
    Kept.HELD: "the promise held",
    Kept.FELL_SHORT: "it fell short",
    Kept.EXCEEDED: "it exceeded the promise",
    Kept.TOO_FEW: "too few, here or behind the promise, to say whether it held",
}


def realize_job(
    directory: str | Path, log: str | Path, *, policy: str | None = None, date: str = ""
) -> Realized:
    """Hold a log that a policy of a finished run has made against the run's promises.

    The log is read as the run read its own, with the estimand's discount and horizon.
    `policy` is a name of the report; without it, the recommended one, else the best. What
    is found is added to the run's `realized.json`. Raises `ArtifactError` if the run has no
    verdict yet, `ValueError` if its report does not know the policy or says no value of it,
    and `DataError` if the log has errors (unless the plan says force), shares episodes with
    the run's log (REUSE), or has episodes that were cut while no horizon is declared
    (HORIZON): what is seen of them is not what was promised.
    """
    directory = Path(directory)
    plan, report, record = read_plan(directory), read_promises(directory), read(directory)
    name = named(report, policy)
    dataset = replace(load_log(plan, log), horizon=report.estimand.horizon)
    if not plan.force:
        _require_readable(dataset)
    _require_whole(dataset)
    place = directory / "policy"
    exported = bundle.load(place) if place.is_dir() else None
    unknown = require_new(directory, plan, dataset, exported)
    follows, assumed = followed(exported, report.policy(name), dataset)
    gaps = _gaps(promises_of(report, name), dataset, report.estimand.discount)
    promises, spread = [_promise(gap) for gap in gaps], _spread(report, name, dataset)
    doubts = [*_doubts(follows), assumed, unknown, *_limits(gaps, dataset, report)]
    label = report.policy(name).label
    entry = Realized(
        policy=name,
        label=label,
        log=str(Path(log).absolute()),
        content_hash=dataset.content_hash(),
        date=date,
        certification_uses=report.certification_uses,
        decisions=dataset.size,
        episodes=dataset.episodes,
        groups=dataset.groups,
        discount=report.estimand.discount,
        horizon=dataset.horizon,
        promises=promises,
        spread=spread,
        followed=_followed(follows),
        sentence=_sentence(promises, label, f"{dataset.groups:,} {plan.group_name}", report)
        + _of_spread(spread, Values(report)),
        notes=[doubt for doubt in doubts if doubt],
    )
    said = record.plus(entry).model_dump_json(indent=1).encode()
    artifacts.save_sealed(directory, {REALIZED: said})
    return entry


def read(directory: str | Path) -> Record:
    """What was held against a run so far. Raises `ArtifactError` if it was changed."""
    if is_saved(directory, REALIZED):
        return Record.model_validate_json(artifacts.read_sealed(directory, REALIZED))
    place = Path(directory) / REALIZED
    if place.is_file():
        raise ArtifactError(
            f"'{place}' is not sealed: writing it was interrupted, or it was not saved by "
            "stitchrl. Move it away, then hold its logs against the run again."
        )
    return Record()


def _require_readable(dataset: Dataset) -> None:
    """Raise `DataError` if the log has errors other than that a policy always does one."""
    wrong = [one for one in errors(validate(dataset)) if one.code not in LEARNING]
    if wrong:
        raise DataError(wrong)


def _require_whole(dataset: Dataset) -> None:
    """Raise `DataError` if returns are parts of what was promised, or may be."""
    unknown, cut = refuse.no_ends(dataset), int(dataset.truncated.sum())
    if unknown is not None:
        code, message, remedy = unknown.code, unknown.message, unknown.remedy
    elif cut and dataset.horizon is None:
        code = "HORIZON"
        message = (
            f"{cut:,} of {dataset.episodes:,} episodes were cut off before they ended, and "
            "no horizon is declared: what they returned is a part of what was promised."
        )
        remedy = (
            "Wait until they have ended; or have a run promise what episodes return that "
            "are cut, with --horizon."
        )
    else:
        return
    raise DataError([Finding(code, Severity.ERROR, message, remedy, count=cut)])


def _gaps(promises: Sequence[Estimate], dataset: Dataset, discount: float) -> list[Gap]:
    """All at the level of those that have one."""
    levels = [one.interval.level for one in promises if one.interval is not None]
    returns, bounds = dataset.returns(discount), return_bounds(dataset, discount)
    shared = levels[0] if levels else 0.95
    group = dataset.episode_group
    return [gap_of(one, returns, group, bounds, level=shared) for one in promises]


def _promise(gap: Gap) -> Promise:
    promised, realized = gap.promised, gap.realized
    said = estimate(promised.value, promised.interval, promised.groups or None)
    came = estimate(realized.value, realized.interval, realized.groups)
    off = estimate(gap.value, gap.interval, realized.groups)
    assert said is not None and came is not None and off is not None
    return Promise(
        estimator=promised.name, promised=said, realized=came, gap=off, kept=gap.kept
    )


def _spread(report: Report, name: str, dataset: Dataset) -> Spread | None:
    """None where the report predicts no distribution, or does not say at which level."""
    closeup = closeup_of(report, name)
    said = closeup.returns if closeup else None
    too_few = dataset.groups < refuse.FEWEST_GROUPS
    if said is None or said.policy_worst.low is None or too_few:
        return None
    found = calibration(
        np.array(said.points),
        np.array(said.policy),
        dataset.returns(report.estimand.discount),
        dataset.episode_group,
        band=said.band,
        level=said.policy_worst.level,
    )
    return Spread(**asdict(found), fits=found.fits)


def _followed(found: Following | None) -> Followed | None:
    if found is None:
        return None
    return Followed(
        agreement=min(found.agreement, 1.0),
        expected=min(found.expected, 1.0),
        foreign=found.foreign_share,
        is_plausible=found.is_plausible,
    )


def _doubts(found: Following | None) -> list[str]:
    """Where the log does not follow the policy."""
    if found is None or found.is_plausible:
        return []
    said = "This policy did not make this log, or was not always followed."
    if not found.agrees:
        least = "at least " if found.is_mixture else ""
        said += (
            " What was done has a probability under it of "
            f"{percent(found.agreement, 1)} on average, where its own decisions would have "
            f"{least}{percent(found.expected, 1)}."
        )
    if found.is_foreign:
        said += (
            f" In {percent(found.foreign_share, 1)} of the decisions the logged propensity "
            "is not its own."
        )
    return [said]


def _limits(gaps: Sequence[Gap], dataset: Dataset, report: Report) -> list[str]:
    """What else should be known of these numbers."""
    found = []
    for refusal in (
        refuse.too_few(dataset.groups),
        refuse.bounds_broken(
            return_bounds(dataset, report.estimand.discount),
            dataset.returns(report.estimand.discount),
        ),
    ):
        if refusal is not None:
            found.append(f"{refusal.message} {refusal.remedy}")
    if dataset.horizon is not None:
        early = dataset.truncated[dataset.last_row] & (dataset.lengths < dataset.horizon)
        if early.any():
            found.append(
                f"{early.sum():,} of {dataset.episodes:,} episodes were cut before the "
                f"horizon of {dataset.horizon:,} steps: of them a part of the return is "
                "seen."
            )
    if any(gap.promised.interval is None for gap in gaps):
        found.append(
            "Where a promise had no interval, its gap counts the error of the new episodes "
            "alone."
        )
    if report.certification_uses > 1:
        found.append(
            f"The run had used its certification split {report.certification_uses} times: "
            "intervals of promises hold for the first use only."
        )
    return found


def _sentence(promises: Sequence[Promise], label: str, seen: str, report: Report) -> str:
    """The first promise in words, and what became of the others."""
    values, first = Values(report), promises[0]
    by = "the log's mean" if first.estimator == "data" else first.estimator
    said = (
        f"{label}: {by} promised {values.whole(first.promised)}, and {seen} realized "
        f"{values.whole(first.realized)}: {SAID[first.kept]}"
    )
    if first.kept in (Kept.FELL_SHORT, Kept.EXCEEDED):
        low, high = values.gain(first.gap.low), values.gain(first.gap.high)
        said += f", by {values.gain(first.gap.value)} ({low} to {high}, "
        said += f"{level(first.gap.level)})"
    counted = Counter(one.kept for one in promises)
    if len(counted) > 1:
        every = ", ".join(f"{count} {kept}" for kept, count in counted.most_common())
        said += f". Of {len(promises)} estimators: {every}"
    return said + "."


def _of_spread(spread: Spread | None, values: Values) -> str:
    """Whether returns are spread as predicted; empty where nothing was."""
    if spread is None:
        return ""
    if spread.fits and spread.allowed > VAGUE_SHARE:
        return " How returns are spread cannot be compared: too few episodes say it."
    if spread.fits:
        return (
            " How returns are spread does not contradict the prediction: shares differ by "
            f"{percent(spread.distance)} at most, {percent(spread.allowed)} is allowed."
        )
    return (
        f" Returns are spread otherwise than predicted: {percent(spread.realized)} of the "
        f"episodes returned at most {values.value(spread.point)}, for "
        f"{percent(spread.promised)} predicted."
    )
