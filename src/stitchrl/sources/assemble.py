"""From columns of a file to a `Dataset`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.findings import Finding
from stitchrl.sources.actions import act, valid_actions
from stitchrl.sources.binding import Bound
from stitchrl.sources.columns import Column, identities, length, numbers, whole
from stitchrl.sources.episodes import Rows, arrange
from stitchrl.sources.features import Features, flag_gaps, observe, one_hot_states
from stitchrl.sources.gathering import at, first_differences, stacked
from stitchrl.sources.mapping import Mapping
from stitchrl.sources.refusals import note, refuse, warn


def assemble(bound: Bound, columns: dict[str, Column], path: Path) -> Dataset:
    """The dataset that these columns describe; counts everything it had to decide.

    Raises `DataError` naming file, column and row.
    """
    require_same_length(columns, path)
    mapping = bound.mapping
    rows = arrange(mapping, columns, path)
    size = length(next(iter(columns.values())))
    columns = dict(columns)
    found = act(mapping, columns, rows.decision, path)
    seen = [*mapping.observation, *mapping.next_observation]
    used = [*_names(mapping.action), *_names(mapping.episode)]
    _forget(columns, used, [*seen, *_alone(mapping)])
    states = _states(mapping, columns, rows, size, path)
    observed, final, names, features, notes = _observations(
        mapping, columns, rows, states, path
    )
    _forget(columns, seen, _alone(mapping))
    optional: dict[str, Any] = {}
    if states is not None:
        optional["state_id"] = states[rows.decision]
        final_state = _at(states, rows.final, -1)
        final_state[rows.terminated[rows.last]] = -1
        optional["final_state_id"] = final_state
        optional["state_count"] = mapping.state_count or int(states.max()) + 1
    if isinstance(found.actions, Choices):
        optional |= _valid(mapping, columns, rows, found.actions.sizes, path)
    if mapping.step is not None:
        optional["step"] = whole(
            columns[mapping.step], mapping.step, path, rows=rows.decision
        )
    if mapping.time is not None:
        optional["time"] = numbers(columns[mapping.time], mapping.time, path)[rows.decision]
    if mapping.propensity is not None:
        logged = numbers(columns[mapping.propensity], mapping.propensity, path)
        is_log = mapping.propensity_is == "log_probability"
        with np.errstate(over="ignore"):
            optional["propensity"] = (np.exp(logged) if is_log else logged)[rows.decision]
    if mapping.group is not None:
        group = identities(columns[mapping.group], mapping.group, path)
        optional["group"] = group[rows.decision]
    if mapping.source is not None:
        logger = identities(columns[mapping.source], mapping.source, path)
        optional["source"] = logger[rows.decision]
    if mapping.weight is not None:
        weight = numbers(columns[mapping.weight], mapping.weight, path)
        optional["weight"] = weight[rows.decision]
    assert mapping.reward is not None
    reward, late = _reward(mapping, columns, mapping.reward, rows, path)
    rewards: dict[str, np.ndarray] = {}
    for name, column in mapping.rewards.items():
        rewards[name], more = _reward(mapping, columns, column, rows, path)
        late += more
    dataset = Dataset.create(
        observation=observed,
        feature_names=names,
        final_observation=final,
        action=found.action,
        actions=found.actions,
        reward=reward,
        rewards=rewards,
        terminated=rows.terminated,
        truncated=rows.truncated,
        episode=rows.episode,
        row=rows.decision,
        horizon=mapping.horizon,
        reward_bounds=_pair(mapping.reward_bounds),
        return_bounds=_pair(mapping.return_bounds),
        may_be_missing=_may_be_missing(mapping, features),
        notes=(*bound.notes, *rows.notes, *found.notes, *features.notes, *notes, *late),
        **optional,
    )
    return _named(dataset, rows, mapping)


def _forget(columns: dict[str, Column], names: list[str], later: list[str]) -> None:
    """Let go of columns that have become a part of the dataset."""
    for name in {*names} - {*later}:
        columns.pop(name, None)


def _names(role: str | list[str] | None) -> list[str]:
    return [role] if isinstance(role, str) else role or []


def _alone(mapping: Mapping) -> list[str]:
    """Columns that are neither observations nor actions."""
    roles = "reward step time propensity group source weight state_id".split()
    single = [getattr(mapping, role) for role in roles]
    return [*filter(None, single), *mapping.valid_actions, *mapping.rewards.values()]


def _reward(
    mapping: Mapping, columns: dict[str, Column], name: str, rows: Rows, path: Path
) -> tuple[np.ndarray, list[Finding]]:
    """float64 (size,): of each decision, with what the row after the last one brought.

    Rows that a column marks as final hold padding instead.
    """
    logged = numbers(columns[name], name, path)
    reward = at(logged, rows.decision)
    late = _at(logged, rows.final, 0.0)
    late[np.isnan(late)] = 0.0
    brings = np.flatnonzero(late != 0)
    if mapping.final_rows is not True or not len(brings):
        return reward, []
    reward[rows.last[brings]] += late[brings]
    found = warn(
        "FINAL_REWARD",
        f"Column '{name}' of '{path}' has a reward in rows without a decision: it was "
        "added to that of the decision before.",
        "If every row tells what the decision of the row before brought, move the column "
        "up by one row; else empty it in rows without a decision.",
        rows=rows.final[brings].tolist(),
    )
    return reward, [found]


def require_same_length(columns: dict[str, Column], path: Path) -> None:
    """Raise `DataError` naming every column and its length if they disagree."""
    lengths = {name: length(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        came = ", ".join(f"'{name}' has {count:,}" for name, count in lengths.items())
        raise refuse(
            "LENGTHS",
            f"All columns of '{path}' must have one entry per row, but {came}.",
            "Write every column for every decision.",
        )
    if not sum(lengths.values()):
        raise refuse(
            "EMPTY",
            f"'{path}' has no rows: nothing can be learned or evaluated.",
            "Check the file, and any filter in the query that made it.",
        )


def _named(dataset: Dataset, rows: Rows, mapping: Mapping) -> Dataset:
    """With the names of episodes (and of the groups that are episodes) from the file."""
    names = {"episode_id": rows.episode_id}
    if mapping.group is None:
        names["group_id"] = rows.episode_id
    return replace(dataset, **names)


def _pair(values: list[float] | None) -> tuple[float, float] | None:
    return None if values is None else (float(values[0]), float(values[1]))


def _at(column: np.ndarray, rows: np.ndarray, absent: Any) -> np.ndarray:
    """The column at these rows; `absent` where the row is -1."""
    found = column[rows]
    found[rows < 0] = absent
    return found


def _states(
    mapping: Mapping, columns: dict[str, Column], rows: Rows, size: int, path: Path
) -> np.ndarray | None:
    """int64 (rows of the file,): -1 where nothing is known."""
    if mapping.state_id is None:
        return None
    states = np.full(size, -1)
    column = columns[mapping.state_id]
    states[rows.decision] = whole(column, mapping.state_id, path, rows=rows.decision)
    last = rows.final[rows.final >= 0]
    known = last[np.isfinite(numbers(column, mapping.state_id, path)[last])]
    states[known] = whole(column, mapping.state_id, path, rows=known)
    highest = np.inf if mapping.state_count is None else mapping.state_count - 1
    used = np.concatenate([rows.decision, known])
    wrong = used[(states[used] < 0) | (states[used] > highest)].tolist()
    if wrong:
        raise refuse(
            "STATE_ID",
            f"State ids in column '{mapping.state_id}' of '{path}' must be whole numbers "
            f"from 0 to {highest:g}, but row {wrong[0]:,} has {states[wrong[0]]}.",
            "Correct state_count in the mapping, or number states from 0.",
            rows=wrong,
        )
    return states


def _observations(
    mapping: Mapping,
    columns: dict[str, Column],
    rows: Rows,
    states: np.ndarray | None,
    path: Path,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], Features, list[Finding]]:
    """(size, features), what followed the last decisions (episodes, features), names."""
    if not mapping.observation:
        assert states is not None
        count = mapping.state_count or int(states.max()) + 1
        features = one_hot_states(states, count, path)
    else:
        features = observe(mapping, columns, path, mapping.observation)
    following = None
    if mapping.next_observation:
        following = observe(mapping, columns, path, mapping.next_observation)
    gaps = list(features.gaps | (following.gaps if following else {}))
    if mapping.missing == "flag":
        flag_gaps(features, gaps)
        if following:
            flag_gaps(following, gaps)
    notes = _gap_notes(mapping, features, rows)
    every = list(features.columns.values())
    observed, final = stacked(every, rows.decision), stacked(every, rows.final)
    final[rows.final < 0] = np.nan
    if following:
        after = stacked(list(following.columns.values()), rows.decision)
        if after.shape != observed.shape:
            raise refuse(
                "SHAPE",
                f"Next observations of '{path}' have {after.shape[1]} features, but "
                f"observations have {observed.shape[1]}.",
                "Map columns of the same width.",
            )
        notes += _disagreements(observed, after, rows)
        unknown = np.isnan(final).all(axis=1)
        final[unknown] = after[rows.last][unknown]
    final[rows.terminated[rows.last]] = np.nan
    names = tuple(features.columns)
    features.columns.clear()  # They are in `observed`, and large.
    return observed, final, names, features, notes


def _gap_notes(mapping: Mapping, features: Features, rows: Rows) -> list[Finding]:
    if mapping.missing is None:
        return []
    how = "the mean of the training data"
    if mapping.missing == "flag":
        how += ", and a feature says that it is missing"
    return [
        note(
            "MISSING",
            f"Observation '{name}' has gaps: filled with {how}.",
            rows=rows.decision[gap[rows.decision]].tolist(),
        )
        for name, gap in features.gaps.items()
    ]


def _may_be_missing(mapping: Mapping, features: Features) -> tuple[str, ...]:
    names = list(mapping.may_be_missing)
    if mapping.missing is not None:
        gaps = features.gaps
        names += [name for name, source in features.sources.items() if source in gaps]
    return tuple(dict.fromkeys(names))


def _disagreements(observed: np.ndarray, after: np.ndarray, rows: Rows) -> list[Finding]:
    """Rows within an episode whose next observation is not the next row's observation."""
    inside = np.flatnonzero(rows.episode[1:] == rows.episode[:-1])
    wrong = first_differences(after, observed, inside)
    if not len(wrong):
        return []
    return [
        warn(
            "NEXT_DISAGREES",
            "In some rows the logged next observation is not the observation of the row "
            "that follows in the episode; the latter is used.",
            "Look for episodes that run together: map the column that tells them apart, or "
            "the flag that was set there.",
            rows=rows.decision[wrong].tolist(),
        )
    ]


def _valid(
    mapping: Mapping,
    columns: dict[str, Column],
    rows: Rows,
    sizes: tuple[int, ...],
    path: Path,
) -> dict[str, np.ndarray]:
    found = valid_actions(mapping, columns, sizes, path)
    if found is None:
        return {}
    allowed, known = found
    optional = {"valid_actions": allowed[rows.decision]}
    is_open = (rows.final >= 0) & ~rows.terminated[rows.last]
    has_final = is_open & known[rows.final]
    if has_final.any() or not is_open.any():
        optional["final_valid_actions"] = allowed[rows.final] | ~has_final[:, None]
    return optional
