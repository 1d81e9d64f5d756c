"""Write a `Dataset` as one Parquet table in our vocabulary, with page checksums."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stitchrl.artifacts import save_file
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.sources import actions, features
from stitchrl.sources.tables import METADATA


def write_table(dataset: Dataset, path: str | Path) -> None:
    """Write a log that `load(path)` reads back with the same `content_hash`.

    One row per decision, and after an episode whose last observation is known one more
    with an empty action. The declarations (labels, bounds, horizon) stand in the file's
    metadata as a mapping. The file appears under its name only when it is complete.
    """
    path = Path(path)
    names, columns = _names(dataset), _columns(dataset)
    table = pa.table(columns)
    entries = {name: value for name, value in names.items() if value not in (None, [], {})}
    table = table.replace_schema_metadata({METADATA: json.dumps(entries).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    save_file(path, buffer.getvalue())


def _has_own_groups(dataset: Dataset) -> bool:
    same = np.array_equal(dataset.group, dataset.episode)
    return not (same and np.array_equal(dataset.group_id, dataset.episode_id))


def _observation_names(dataset: Dataset) -> list[str]:
    return [f"{features.CANONICAL}{name}" for name in dataset.feature_names]


def _names(dataset: Dataset) -> dict[str, Any]:
    """The mapping of the table that `_columns` makes."""
    bounds = dataset.actions if isinstance(dataset.actions, Bounds) else None
    names: dict[str, Any] = {
        "episode": "episode",
        "step": "step",
        "group": "group" if _has_own_groups(dataset) else None,
        "time": None if dataset.time is None else "time",
        "source": None if dataset.source is None else "source",
        "weight": None if dataset.weight is None else "weight",
        "observation": _observation_names(dataset),
        "reward": "reward",
        "rewards": {name: f"reward.{name}" for name in dataset.rewards},
        "terminated": "terminated",
        "truncated": "truncated",
        "propensity": None if dataset.propensity is None else "propensity",
        "state_id": None if dataset.state_id is None else "state_id",
        "state_count": dataset.state_count or None,
        "final_rows": True,
        "horizon": dataset.horizon,
        "reward_bounds": _listed(dataset.reward_bounds),
        "return_bounds": _listed(dataset.return_bounds),
        "may_be_missing": list(dataset.may_be_missing),
    }
    if isinstance(dataset.actions, Choices) and dataset.actions.parts:
        labels = zip(_part_names(dataset.actions), map(list, dataset.actions.parts))
        names["actions"] = _part_names(dataset.actions)
        names["action_labels"] = dict(labels)
        names["valid_actions"] = _valid_names(dataset)
    elif bounds is None:
        names["action"] = "action"
        names["action_labels"] = list(getattr(dataset.actions, "labels", ()))
        names["valid_actions"] = _valid_names(dataset)
    else:
        names["action"] = [f"{actions.CANONICAL}{name}" for name in bounds.names]
        names["action_low"], names["action_high"] = list(bounds.low), list(bounds.high)
    return names


def _part_names(choices: Choices) -> list[str]:
    return [f"{actions.CANONICAL}{name}" for name in choices.names]


def _listed(bounds: tuple[float, float] | None) -> list[float] | None:
    return None if bounds is None else [float(bound) for bound in bounds]


def _columns(dataset: Dataset) -> dict[str, pa.Array]:
    known = ~np.isnan(dataset.final_observation).all(axis=1)
    if dataset.final_state_id is not None:
        known |= dataset.final_state_id >= 0
    has_final = known & ~dataset.terminated[dataset.last_row]
    # Where each row of the table comes from: a decision, or what followed an episode.
    source = np.concatenate([np.arange(dataset.size), dataset.last_row[has_final]])
    is_final = np.arange(len(source)) >= dataset.size
    order = np.lexsort([is_final, source])
    source, is_final = source[order], is_final[order]
    episode = dataset.episode[source]

    def shared(column: np.ndarray) -> pa.Array:
        return pa.array(column)

    def of_decisions(column: np.ndarray) -> pa.Array:
        return pa.array(column[source], mask=is_final)

    def with_final(column: np.ndarray, final: np.ndarray) -> pa.Array:
        return pa.array(np.where(is_final, final[episode], column[source]))

    columns = {
        "episode": shared(_plain(dataset.episode_id)[episode]),
        "step": shared(dataset.step[source] + is_final),
    }
    if _has_own_groups(dataset):
        columns["group"] = shared(_plain(dataset.group_id)[dataset.group[source]])
    if dataset.source is not None and dataset.source_id is not None:
        columns["source"] = shared(_plain(dataset.source_id)[dataset.source[source]])
    for index, name in enumerate(_observation_names(dataset)):
        columns[name] = with_final(
            dataset.observation[:, index], dataset.final_observation[:, index]
        )
    if isinstance(dataset.actions, Bounds):
        for index, name in enumerate(dataset.actions.names):
            columns[f"{actions.CANONICAL}{name}"] = of_decisions(dataset.action[:, index])
    elif dataset.actions.parts:
        numbers = dataset.actions.split(dataset.action)
        for index, name in enumerate(_part_names(dataset.actions)):
            labels = np.array(dataset.actions.parts[index])
            columns[name] = of_decisions(labels[numbers[:, index]])
    else:
        labels = np.array(dataset.actions.labels)
        columns["action"] = of_decisions(labels[dataset.action])
    columns["reward"] = of_decisions(dataset.reward)
    for name, column in dataset.rewards.items():
        columns[f"reward.{name}"] = of_decisions(column)
    for name in ("terminated", "truncated", "time", "weight", "propensity"):
        column = getattr(dataset, name)
        if column is not None:
            columns[name] = of_decisions(column)
    if dataset.state_id is not None:
        final = dataset.final_state_id
        if final is None:
            final = np.full(dataset.episodes, -1)
        numbered = np.where(is_final, final[episode], dataset.state_id[source])
        columns["state_id"] = pa.array(numbered, mask=numbered < 0)
    return columns | _valid_columns(dataset, source, is_final)


def _plain(ids: np.ndarray) -> np.ndarray:
    return ids.astype(str) if ids.dtype == object else ids


def _valid_names(dataset: Dataset) -> list[str]:
    if dataset.valid_actions is None or isinstance(dataset.actions, Bounds):
        return []
    return [f"valid_actions.{label}" for label in dataset.actions.labels]


def _valid_columns(
    dataset: Dataset, source: np.ndarray, is_final: np.ndarray
) -> dict[str, pa.Array]:
    """Whether each action was possible; empty in final rows where nobody knows."""
    if dataset.valid_actions is None:
        return {}
    allowed, final = dataset.valid_actions[source], dataset.final_valid_actions
    if final is not None:
        allowed = np.where(is_final[:, None], final[dataset.episode[source]], allowed)
    unknown = is_final if final is None else None
    return {
        name: pa.array(allowed[:, index], mask=unknown)
        for index, name in enumerate(_valid_names(dataset))
    }
