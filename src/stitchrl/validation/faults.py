"""Errors: what would make learning from a log, or judging a policy by it, wrong."""

from collections.abc import Callable, Iterator

import numpy as np

from stitchrl.dataset import MAX_ACTIONS, PROPENSITY_ROUNDING, Bounds, Choices, Dataset
from stitchrl.findings import Finding, Severity, at_rows


def _error(code: str, message: str, remedy: str, wrong: np.ndarray) -> Iterator[Finding]:
    """One error about the rows where `wrong`; none if there are none."""
    rows = np.flatnonzero(wrong).tolist()
    if rows:
        yield at_rows(code, Severity.ERROR, message, remedy, rows=rows)


def _of_log(code: str, message: str, remedy: str) -> Finding:
    """An error about the log as a whole."""
    return Finding(code, Severity.ERROR, message, remedy)


def _range(values: np.ndarray) -> str:
    """The smallest and largest finite value, in words."""
    finite = values[np.isfinite(values)]
    return f"{finite.min():.6g} to {finite.max():.6g}" if len(finite) else "nothing"


def nonfinite(dataset: Dataset) -> Iterator[Finding]:
    """Rewards, propensities and actions that are not numbers."""
    columns = {"reward": dataset.reward}
    columns |= {f"reward.{name}": column for name, column in dataset.rewards.items()}
    if dataset.propensity is not None:
        columns["propensity"] = dataset.propensity
    if dataset.weight is not None:
        columns["weight"] = dataset.weight
    if isinstance(dataset.actions, Bounds):
        for index, name in enumerate(dataset.actions.names):
            columns[f"action.{name}"] = dataset.action[:, index]
    for name, column in columns.items():
        yield from _error(
            "NONFINITE",
            f"'{name}' must be a finite number in every row, but is missing, NaN or "
            f"infinite in {np.count_nonzero(~np.isfinite(column)):,} of {dataset.size:,}.",
            "Repair these rows, or remove their whole episodes so that no step is skipped.",
            ~np.isfinite(column),
        )


def weights(dataset: Dataset) -> Iterator[Finding]:
    """Weights of rows by which nothing can be drawn."""
    weight = dataset.weight
    if weight is None:
        return
    yield from _error(
        "WEIGHT_NEGATIVE",
        "The weight of a row says how often it is learned from: it cannot be negative, but "
        f"the smallest is {np.nanmin(weight):.4g}.",
        "Write 0 where a row is to be left out.",
        weight < 0,
    )
    if (weight == 0).all():
        yield _of_log(
            "WEIGHT_ZERO",
            f"All {dataset.size:,} rows have the weight 0: nothing could be learned from.",
            "Take weight out of the mapping, or correct the column.",
        )


def nonfinite_features(dataset: Dataset) -> Iterator[Finding]:
    """Observations that are not numbers where the log does not declare them missing."""
    remedy = (
        'Fill the values, or write missing = "mean" (or "flag") in the mapping, which is '
        "counted in the report; infinite values must be repaired."
    )
    unknown = np.isnan(dataset.final_observation).all(axis=1)
    for index, name in enumerate(dataset.feature_names):
        column, final = dataset.observation[:, index], dataset.final_observation[:, index]
        may_be_missing = name in dataset.may_be_missing
        wrong = np.isinf(column) if may_be_missing else ~np.isfinite(column)
        wrong_final = np.isinf(final) if may_be_missing else ~np.isfinite(final) & ~unknown
        yield from _error(
            "NONFINITE",
            f"Observation '{name}' must be a finite number in every row, but is missing, "
            f"NaN or infinite in {np.count_nonzero(wrong):,} of {dataset.size:,}.",
            remedy,
            wrong,
        )
        if wrong_final.any():
            episode = dataset.episode_id[wrong_final][0]
            yield _of_log(
                "NONFINITE",
                f"Observation '{name}' after the last decision must be a finite number, "
                f"but is not in {np.count_nonzero(wrong_final):,} episodes, first in "
                f"'{episode}'.",
                remedy,
            )


def discrete_actions(dataset: Dataset) -> Iterator[Finding]:
    """Actions that are not in the declared set, or not valid where they were taken."""
    if not isinstance(dataset.actions, Choices):
        return
    count = dataset.actions.count
    if count > MAX_ACTIONS:
        yield _of_log(
            "TOO_MANY_ACTIONS",
            f"At most {MAX_ACTIONS:,} discrete actions can be learned, but there are "
            f"{count:,}.",
            "Group rare actions, or describe actions by several continuous columns.",
        )
    outside = (dataset.action < 0) | (dataset.action >= count)
    yield from _error(
        "ACTION_SET",
        f"Actions must be among the {count:,} declared, numbered 0 to {count - 1:,}, but "
        f"range from {_range(dataset.action)}.",
        "Add the missing actions to action_labels, or remove these episodes.",
        outside,
    )
    taken = np.unique(dataset.action)
    if len(taken) == 1 and dataset.size > 1 and not outside.any():
        yield _of_log(
            "ONE_ACTION",
            f"At least two actions must occur, but '{dataset.actions.labels[taken[0]]}' "
            f"was taken in all {dataset.size:,} rows: nothing to learn or compare.",
            "Map the column in which decisions differ, or log rows with other decisions.",
        )
    valid = dataset.valid_actions
    if valid is None:
        return
    if valid.shape != (dataset.size, count):
        yield _of_log(
            "LENGTHS",
            f"'valid_actions' must have shape {(dataset.size, count)}, one column for each "
            f"action, but has {valid.shape}.",
            "Write one column for each action, in the order of action_labels.",
        )
        return
    empty = np.asarray(valid.sum(axis=1) == 0)
    yield from _error(
        "NO_VALID_ACTION",
        "At least one action must be valid in every row, but in some rows none is.",
        "Mark the logged action as valid, or remove these episodes.",
        empty,
    )
    within = np.where(outside, 0, dataset.action)
    wrong = ~(valid[np.arange(dataset.size), within] | outside | empty)
    labels = dataset.actions.labels
    label, order = labels[within[wrong.argmax()]], ", ".join(labels[:10])
    more = ", ..." if len(labels) > 10 else ""
    yield from _error(
        "ACTION_NOT_VALID",
        f"The logged action must be one of the valid actions, but '{label}' (and perhaps "
        "others) was logged where valid_actions excludes it.",
        "Correct valid_actions: an action that was taken was possible. Flags were read in "
        f"the order {order}{more}; action_labels can say another.",
        wrong,
    )


def continuous_actions(dataset: Dataset) -> Iterator[Finding]:
    """Actions outside the bounds that learning scales them by."""
    bounds = dataset.actions
    if not isinstance(bounds, Bounds):
        return
    for index, name in enumerate(bounds.names):
        low, high = bounds.low[index], bounds.high[index]
        if not low < high:
            yield _of_log(
                "ACTION_BOUNDS",
                f"Action '{name}' must have low < high, but has [{low:g}, {high:g}].",
                "Set action_low and action_high in the mapping, or leave the column out.",
            )
            continue
        column = dataset.action[:, index]
        yield from _error(
            "ACTION_BOUNDS",
            f"Action '{name}' must lie in [{low:g}, {high:g}], but ranges from "
            f"{_range(column)}.",
            "Set action_low and action_high in the mapping to the limits of what can be "
            "done.",
            (column < np.float32(low)) | (column > np.float32(high)),
        )


def propensities(dataset: Dataset) -> Iterator[Finding]:
    """Propensities that cannot be the probability of what happened."""
    propensity = dataset.propensity
    if propensity is None or not np.isfinite(propensity).any():
        return
    if np.nanmax(propensity) <= 0 and np.nanmin(propensity) < 0:
        yield _of_log(
            "PROPENSITY_LOG",
            "Propensities must be probabilities, but all are ≤ 0 "
            f"({_range(propensity)}): they look like log-probabilities.",
            'Write propensity_is = "log_probability" in the mapping.',
        )
        return
    yield from _error(
        "PROPENSITY_NOT_POSITIVE",
        "The propensity of an action that was taken must be > 0, but the smallest is "
        f"{np.nanmin(propensity):.4g}.",
        "Log the probability of the action taken, before rounding: zero says that it "
        "could not have happened.",
        propensity <= 0,
    )
    if isinstance(dataset.actions, Choices):
        yield from _error(
            "PROPENSITY_ABOVE_ONE",
            "The probability of a discrete action must be ≤ 1, but the largest is "
            f"{np.nanmax(propensity):.6g}.",
            "Check that the column is a probability: no percentage, score or inverse "
            "weight.",
            propensity > 1 + PROPENSITY_ROUNDING,
        )


def order(dataset: Dataset) -> Iterator[Finding]:
    """Rows of an episode that are out of order, doubled, or of several groups."""
    inside = ~dataset.episode_end[:-1]
    rise = np.diff(dataset.step)
    yield from _error(
        "STEP_ORDER",
        "Steps must rise within an episode, but some are smaller than the one before.",
        "Write sort = true in the mapping, or sort the log by episode and step.",
        np.concatenate([[False], inside & (rise < 0)]),
    )
    yield from _error(
        "STEP_DUPLICATE",
        "A step may occur only once in an episode, but some repeat the one before.",
        "Remove duplicates (a join often doubles rows), or map as episode the column that "
        "tells visits apart.",
        np.concatenate([[False], inside & (rise == 0)]),
    )
    yield from _error(
        "GROUP_SPLIT",
        "All rows of an episode must belong to one group, but in some it changes.",
        "Map as group what stays the same: the patient, the user, the robot.",
        np.concatenate([[False], inside & (np.diff(dataset.group) != 0)]),
    )


def ends(dataset: Dataset) -> Iterator[Finding]:
    """Episodes that end in their middle, or do not end."""
    flagged, last = dataset.terminated | dataset.truncated, dataset.episode_end
    if not flagged.any():
        yield _of_log(
            "NO_END",
            "Every episode must end with terminated or truncated, but no row of the log "
            "has either.",
            "Map the column that tells. Where the last row of each episode is its end, "
            'write terminated = "last_row" (it was over) or truncated = "last_row" (the '
            "log stops there).",
        )
        return
    yield from _error(
        "END_INSIDE",
        "Only the last row of an episode may be terminated or truncated, but rows follow.",
        "If something new starts there, give it its own episode; if not, clear the flag.",
        flagged & ~last,
    )
    yield from _error(
        "EPISODE_OPEN",
        "The last row of every episode must be terminated or truncated, but "
        f"{np.count_nonzero(last & ~flagged):,} of {dataset.episodes:,} episodes stop "
        "without either.",
        'Write truncated = "last_row" in the mapping if the log was cut there.',
        last & ~flagged,
    )


def declarations(dataset: Dataset) -> Iterator[Finding]:
    """Data outside the bounds that guarantees are computed from."""
    if dataset.reward_bounds is not None:
        low, high = dataset.reward_bounds
        yield from _error(
            "REWARD_BOUNDS",
            f"Rewards must lie in the declared [{low:g}, {high:g}], but range from "
            f"{_range(dataset.reward)}.",
            "Correct reward_bounds in the mapping: guarantees are computed from it.",
            (dataset.reward < low) | (dataset.reward > high),
        )
    if dataset.return_bounds is not None:
        low, high = dataset.return_bounds
        with np.errstate(invalid="ignore"):
            returns = dataset.returns()
        starts = np.zeros(dataset.size, bool)
        starts[dataset.first_row] = (returns < low) | (returns > high)
        yield from _error(
            "RETURN_BOUNDS",
            f"Returns of episodes must lie in the declared [{low:g}, {high:g}], but range "
            f"from {_range(returns)}.",
            "Correct return_bounds in the mapping: guarantees are computed from it.",
            starts,
        )
    if dataset.horizon is not None:
        yield from _error(
            "HORIZON_EXCEEDED",
            f"No episode may be longer than the declared horizon of {dataset.horizon:,} "
            f"steps, but the longest has {dataset.lengths.max():,}.",
            "Correct horizon in the mapping.",
            dataset.step_in_episode >= dataset.horizon,
        )


FAULTS: tuple[Callable[[Dataset], Iterator[Finding]], ...] = (
    nonfinite,
    nonfinite_features,
    discrete_actions,
    continuous_actions,
    propensities,
    order,
    ends,
    declarations,
    weights,
)
