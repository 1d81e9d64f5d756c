"""The columns of a log, by the part they play, with their ranges and gaps."""

import numpy as np

from stitchrl.dataset import Bounds, Dataset
from stitchrl.report.format import count, number, percent
from stitchrl.report.schema import Column

MOST_FEATURES = 100


def columns_of(dataset: Dataset, group_name: str) -> list[Column]:
    """Every column that the log has, in the order of the vocabulary."""
    found = [
        Column(name="episode", role="episode", kind=f"{count(dataset.episodes)} episodes"),
        Column(name="step", role="step", kind=span(dataset.step)),
    ]
    if group_name != "episodes" or dataset.groups < dataset.episodes:
        units = "groups" if group_name == "episodes" else group_name
        kind = f"{count(dataset.groups)} {units}"
        found.insert(0, Column(name="group", role="group", kind=kind))
    if dataset.time is not None:
        found.append(Column(name="time", role="time", kind=span(dataset.time)))
    if dataset.source_id is not None:
        kind = f"{count(len(dataset.source_id))} sources"
        found.append(Column(name="source", role="source", kind=kind))
    if dataset.weight is not None:
        found.append(_numbers("weight", "weight", dataset.weight))
    found += _features(dataset)
    if dataset.state_id is not None:
        seen = len(np.unique(dataset.state_id))
        kind = f"{count(seen)} of {count(max(dataset.state_count, seen))} states"
        found.append(Column(name="state_id", role="state_id", kind=kind))
    found += _actions(dataset)
    found.append(_numbers("reward", "reward", dataset.reward))
    found += [
        _numbers(f"reward.{name}", "further reward", values)
        for name, values in dataset.rewards.items()
    ]
    for name in ("terminated", "truncated"):
        share = getattr(dataset, name)[dataset.last_row].mean()
        kind = f"{percent(float(share))} of episodes"
        found.append(Column(name=name, role=name, kind=kind))
    if dataset.propensity is not None:
        found.append(_numbers("propensity", "propensity", dataset.propensity))
    if dataset.valid_actions is not None:
        mean = number(float(dataset.valid_actions.sum(axis=1).mean()))
        kind = f"{mean} of {dataset.valid_actions.shape[1]} actions on average"
        found.append(Column(name="valid_actions", role="valid_actions", kind=kind))
    return found


def span(values: np.ndarray) -> str:
    """0 to 24; what there is if it is one number or two."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "nothing"
    least, most = known.min(), known.max()
    low, high = number(float(least)), number(float(most))
    if least == most:
        return f"only {low}"
    is_either = ((known == least) | (known == most)).all()
    return f"{low} or {high}" if is_either else f"{low} to {high}"


def _numbers(name: str, role: str, values: np.ndarray, note: str = "") -> Column:
    missing = float(np.isnan(values).mean())
    return Column(
        name=name, role=role, kind=f"number, {span(values)}", missing=missing, note=note
    )


def _features(dataset: Dataset) -> list[Column]:
    names = dataset.feature_names
    shown = [
        _numbers(name, "observation", dataset.observation[:, i])
        for i, name in enumerate(names[:MOST_FEATURES])
    ]
    rest = len(names) - len(shown)
    if rest:
        missing = float(np.isnan(dataset.observation[:, MOST_FEATURES:]).mean())
        shown.append(
            Column(
                name=f"{rest:,} more", role="observation", kind="numbers", missing=missing
            )
        )
    return shown


def _actions(dataset: Dataset) -> list[Column]:
    space = dataset.actions
    if not isinstance(space, Bounds):
        return [Column(name="action", role="action", kind=f"{count(space.count)} choices")]
    return [
        _numbers(
            name,
            "action",
            dataset.action[:, i],
            note=f"bounds {number(space.low[i])} to {number(space.high[i])}",
        )
        for i, name in enumerate(space.names)
    ]
