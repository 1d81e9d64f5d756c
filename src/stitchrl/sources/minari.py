"""Minari folders, read natively: HDF5 or Arrow storage, T + 1 observations for T actions.

Nothing that the metadata names is imported or run.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from stitchrl.sources.columns import NONE, Column, Source
from stitchrl.sources.d4rl import dataset_names
from stitchrl.sources.npz import as_column
from stitchrl.sources.refusals import reading, refuse

OF_DECISIONS = ("actions", "rewards", "terminations", "truncations")
MAIN_FILE, METADATA = "main_data.hdf5", "metadata.json"
Episode = dict[str, np.ndarray]  # Arrays by name; T + 1 or T rows each.


def open_minari(path: Path) -> Source:
    """A Minari folder, or the folder 'data' in it."""
    folder = path / "data" if (path / "data").is_dir() else path
    if not (folder / METADATA).exists() and not (folder / MAIN_FILE).exists():
        raise refuse(
            "WRONG_FORMAT",
            f"'{path}' is a folder, but not one of Minari's: '{folder / METADATA}' and "
            f"'{folder / MAIN_FILE}' are both missing.",
            "Give one file, or a Minari dataset folder.",
        )
    metadata = _metadata(folder)
    is_hdf5 = metadata.get("data_format", "hdf5") == "hdf5"
    if not is_hdf5 and metadata["data_format"] != "arrow":
        raise refuse(
            "WRONG_FORMAT",
            f"'{path}' stores its episodes as '{metadata['data_format']}': only 'hdf5' and "
            "'arrow' are read.",
            "Convert it with Minari.",
        )
    episodes = _hdf5_episodes(folder / MAIN_FILE) if is_hdf5 else _arrow_episodes(folder)
    with reading(path, "Minari"):
        first = next(episodes(None), None)
    if first is None:
        raise refuse(
            "EMPTY", f"'{path}' has no episodes.", "Check how the dataset was collected."
        )

    def read(
        wanted: list[str], as_text: frozenset[str], coarse: frozenset[str] = NONE
    ) -> dict[str, Column]:
        with reading(path, "Minari"):
            return _joined(episodes(wanted), wanted, metadata, path)

    names = ("episode", "is_final", *(name for name in first if name != "episode"))
    facts = _facts(metadata, folder)
    convention: dict[str, Any] = {"preset": "minari"}
    if "state_count" in facts:
        convention |= {"observation": [], "state_id": "observations"}
    return Source(path, names, read, convention, facts)


def _metadata(folder: Path) -> dict[str, Any]:
    file = folder / METADATA
    if not file.exists():  # Minari before 0.5.
        return {}
    with reading(file, "JSON"):
        metadata = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(metadata, dict):
        raise refuse(
            "UNREADABLE", f"'{file}' must hold a JSON object.", "Copy the dataset again."
        )
    return metadata


def _facts(metadata: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the spaces in the metadata say about actions and states."""
    facts: dict[str, Any] = {}
    with reading(folder / METADATA, "Minari's metadata"):
        action = _space(metadata.get("action_space"))
        if action.get("type") == "Discrete":
            start, count = int(action.get("start", 0)), int(action["n"])
            facts["action_labels"] = [str(start + index) for index in range(count)]
        if action.get("type") == "Box":
            for side in ("low", "high"):
                limits = np.asarray(action[side], np.float64).reshape(-1)
                limits = np.broadcast_to(limits, int(np.prod(action["shape"])))
                if np.isfinite(limits).all():
                    facts[f"action_{side}"] = limits.tolist()
        observation = _space(metadata.get("observation_space"))
        if observation.get("type") == "Discrete":
            facts["state_count"] = int(observation["n"]) + int(observation.get("start", 0))
    return facts


def _space(described: Any) -> dict[str, Any]:
    space = json.loads(described) if isinstance(described, str) else described
    return space if isinstance(space, dict) else {}


def _hdf5_episodes(file: Path) -> Callable[[list[str] | None], Iterator[Episode]]:
    """Groups episode_0, episode_1, …, each with an attribute `id`."""

    def episodes(wanted: list[str] | None) -> Iterator[Episode]:
        with h5py.File(file, "r") as opened:
            arrays: dict[str, list[str]] = {}
            for name in dataset_names(opened, file):
                group, _, array = name.partition("/")
                arrays.setdefault(group, []).append(array)
            for name in sorted(arrays, key=lambda name: int(name.rpartition("_")[2])):
                group = opened[name]
                assert isinstance(group, h5py.Group)
                number = int(np.asarray(group.attrs.get("id", name.rpartition("_")[2])))
                yield {"episode": np.array(number)} | {
                    array: np.asarray(group[array])
                    for array in arrays[name]
                    if wanted is None or array in wanted
                }

    return episodes


def _arrow_episodes(folder: Path) -> Callable[[list[str] | None], Iterator[Episode]]:
    """Folders 0, 1, …, each with .arrow files, in which all columns have T + 1 rows."""

    def episodes(wanted: list[str] | None) -> Iterator[Episode]:
        numbered = (part for part in folder.iterdir() if part.name.isdigit())
        for part in sorted(numbered, key=lambda part: int(part.name)):
            tables = []
            for file in sorted(part.glob("*.arrow")):
                with pa.memory_map(str(file)) as mapped, pa.ipc.open_file(mapped) as opened:
                    table = opened.read_all()
                table.validate(full=True)
                tables.append(table)
            columns = _flat(pa.concat_tables(tables))
            yield {"episode": np.array(int(part.name))} | {
                name: array[:-1] if name.partition("/")[0] in OF_DECISIONS else array
                for name, array in columns.items()
                if wanted is None or name in wanted
            }

    return episodes


def _flat(table: pa.Table) -> dict[str, np.ndarray]:
    """Structs become columns 'outer/inner', lists (T + 1, width); text is left out."""
    found: dict[str, np.ndarray] = {}
    for name, column in zip(table.column_names, table.columns):
        array = column.combine_chunks()
        if pa.types.is_struct(array.type):
            inner = pa.Table.from_arrays(
                array.flatten(), names=[f.name for f in array.type]
            )
            found |= {f"{name}/{key}": value for key, value in _flat(inner).items()}
        elif pa.types.is_fixed_size_list(array.type) or pa.types.is_list(array.type):
            values = array.flatten().to_numpy(zero_copy_only=False)
            found[name] = values.reshape(len(array), -1)
        elif not pa.types.is_string(array.type):
            found[name] = array.to_numpy(zero_copy_only=False)
    return found


def _joined(
    episodes: Iterator[Episode], wanted: list[str], metadata: dict[str, Any], path: Path
) -> dict[str, Column]:
    """All episodes below each other, T + 1 rows each; the last is marked `is_final`."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    count = steps = 0
    for episode in episodes:
        number = episode.pop("episode")
        rows = max((array.shape[0] for array in episode.values() if array.ndim), default=0)
        count, steps = count + 1, steps + rows - 1
        episode["episode"] = np.full(rows, number)
        episode["is_final"] = np.arange(rows) == rows - 1
        for name in wanted:
            parts[name].append(_padded(episode, name, rows, path))
    for key, found in (("total_episodes", count), ("total_steps", steps)):
        if int(metadata.get(key, found)) != found:
            raise refuse(
                "INCOMPLETE",
                f"'{path}' declares {key} = {int(metadata[key]):,} in {METADATA}, but "
                f"holds {found:,}.",
                "Copy the whole folder again.",
            )
    return {name: as_column(np.concatenate(parts[name]), name, path) for name in wanted}


def _padded(episode: Episode, name: str, rows: int, path: Path) -> np.ndarray:
    """An array with one row for every observation: after the last decision, zeros."""
    array = episode.get(name)
    is_of_decision = name.partition("/")[0] in OF_DECISIONS
    allowed = (rows - 1,) if is_of_decision else (rows, rows - 1)
    if array is None or array.ndim == 0 or len(array) not in allowed:
        came = "is missing" if array is None else f"has {array.size:,} entries"
        raise refuse(
            "LENGTHS",
            f"Episode {episode['episode'][0]} of '{path}' has {rows:,} observations, so it "
            f"must have {rows - 1:,} decisions, but '{name}' {came}.",
            "Collect the episode again, or remove it.",
        )
    if len(array) == rows:
        return array
    return np.concatenate([array, np.zeros((1, *array.shape[1:]), array.dtype)])
