"""Minari folders, both storages: T + 1 observations for T actions."""

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from sources.coded_log import (
    CUT,
    EPISODES,
    LENGTHS,
    SIZE,
    amount,
    check,
    choice,
    observation,
    reward,
)

from stitchrl.dataset import Bounds, Choices
from stitchrl.findings import DataError
from stitchrl.sources import load
from stitchrl.sources.mapping import mapping_of

BOX = {"type": "Box", "dtype": "float32", "shape": [2], "low": [-2.0, -1.0]}
BOX |= {"high": [2.0, 1.0]}
UNBOUNDED = BOX | {"low": [float("-inf")] * 2, "high": [float("inf")] * 2}
DISCRETE = {"type": "Discrete", "dtype": "int64", "start": 0, "n": 4}


def episodes(*, is_discrete: bool = False) -> list[dict[str, np.ndarray]]:
    found = []
    for episode, length in enumerate(LENGTHS):
        step = np.arange(length)
        is_last = step == length - 1
        found.append(
            {
                "observations": observation(np.array(episode), np.arange(length + 1)),
                "actions": (choice if is_discrete else amount)(np.array(episode), step),
                "rewards": reward(np.array(episode), step),
                "terminations": is_last & ~CUT[episode],
                "truncations": is_last & CUT[episode],
            }
        )
    return found


def write_metadata(folder: Path, action: dict, **others) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "total_episodes": EPISODES,
        "total_steps": SIZE,
        "observation_space": json.dumps(UNBOUNDED),
        "action_space": json.dumps(action),
        "env_spec": '{"entry_point": "os:abort", "id": "Nothing-v0"}',
    }
    (folder / "metadata.json").write_text(json.dumps(metadata | others))


def write_hdf5(root: Path, given: list[dict], action: dict, **others) -> Path:
    write_metadata(root / "data", action, data_format="hdf5", **others)
    order = [2, *range(2), *range(3, len(given))]  # Numbers, not places, tell the order.
    with h5py.File(root / "data" / "main_data.hdf5", "w", track_order=True) as file:
        for number in order:
            group = file.create_group(f"episode_{number}")
            group.attrs["id"] = number
            for name, column in given[number].items():
                group[name] = column
            group.create_dataset("infos", data=["{}"] * len(given[number]["rewards"]))
    return root


def write_arrow(root: Path, given: list[dict], action: dict, **others) -> Path:
    write_metadata(root / "data", action, data_format="arrow", **others)
    for number, columns in enumerate(given):
        folder = root / "data" / str(number)
        folder.mkdir()
        (folder / "metadata.json").write_text(json.dumps({"id": number}))
        rows = len(columns["rewards"]) + 1
        table = pa.table(
            {name: arrow_column(column, rows) for name, column in columns.items()}
            | {"infos": ["{}"] * rows}
        )
        with pa.ipc.new_file(str(folder / "part-0.arrow"), table.schema) as file:
            file.write_table(table)
    return root


def arrow_column(column, rows: int) -> pa.Array:
    if isinstance(column, dict):
        parts = [arrow_column(part, rows) for part in column.values()]
        return pa.StructArray.from_arrays(parts, names=list(column))
    pad = [(0, rows - len(column))] + [(0, 0)] * (column.ndim - 1)
    padded = np.pad(column, pad)
    if padded.ndim == 1:
        return pa.array(padded)
    return pa.FixedSizeListArray.from_arrays(pa.array(padded.ravel()), padded.shape[1])


WRITERS = pytest.mark.parametrize("write", [write_hdf5, write_arrow])


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path)
    return caught.value


@WRITERS
def test_continuous(write, tmp_path: Path):
    dataset = load(write(tmp_path / "log", episodes(), BOX))
    check(dataset, knows_final=True, is_discrete=False)
    assert dataset.actions == Bounds(("a0", "a1"), (-2.0, -1.0), (2.0, 1.0))
    assert dataset.episode_id.tolist() == [0, 1, 2, 3]


@WRITERS
def test_more_than_ten_episodes(write, tmp_path: Path):
    total = {"total_episodes": 3 * EPISODES, "total_steps": 3 * SIZE}
    dataset = load(write(tmp_path, episodes() * 3, BOX, **total))
    assert dataset.episode_id.tolist() == list(range(12))
    assert dataset.lengths.tolist() == LENGTHS.tolist() * 3
    check(dataset.take_episodes(np.arange(8, 12)), knows_final=True, is_discrete=False)


@WRITERS
def test_discrete(write, tmp_path: Path):
    write(tmp_path, episodes(is_discrete=True), DISCRETE)
    dataset = load(tmp_path / "data")
    check(dataset, knows_final=True)
    assert dataset.actions == Choices(("0", "1", "2", "3"))


@WRITERS
def test_unbounded_actions_take_the_declared_bounds(write, tmp_path: Path):
    write(tmp_path, episodes(), UNBOUNDED)
    assert "BOUNDS_FROM_LOG" in [note.code for note in load(tmp_path).notes]
    entries = {"preset": "minari", "action_low": -3, "action_high": 3}
    dataset = load(tmp_path, mapping_of(entries))
    assert dataset.actions == Bounds(("a0", "a1"), (-3.0, -3.0), (3.0, 3.0))


@WRITERS
def test_dictionaries_of_observations(write, tmp_path: Path):
    given = episodes()
    for columns in given:
        seen = columns["observations"]
        columns["observations"] = {"goal": seen[:, 1:], "seen": seen[:, :1]}
    if write is write_hdf5:
        for columns in given:
            parts = columns.pop("observations")
            columns |= {f"observations/{name}": part for name, part in parts.items()}
    entries = {"preset": "minari", "observation": ["observations/seen"]}
    dataset = load(write(tmp_path, given, BOX), mapping_of(entries))
    np.testing.assert_array_equal(dataset.observation[:3, 0], [0, 1, 2])
    dataset = load(tmp_path)
    assert dataset.feature_names == ("observations/goal", "observations/seen")
    np.testing.assert_array_equal(dataset.observation[3], [-1000.5, 1000])


@WRITERS
def test_discrete_observations_are_states(write, tmp_path: Path):
    given = episodes(is_discrete=True)
    for number, columns in enumerate(given):
        columns["observations"] = 4 * number + np.arange(len(columns["rewards"]) + 1)
    space = json.dumps(DISCRETE | {"n": 20})
    dataset = load(write(tmp_path, given, DISCRETE, observation_space=space))
    assert dataset.state_id is not None and dataset.final_state_id is not None
    assert dataset.state_id.tolist() == [0, 1, 2, 4, 8, 9, 10, 11, 12, 13]
    assert dataset.final_state_id.tolist() == [-1, 5, 12, -1]
    assert dataset.state_count == 20
    assert dataset.observation.argmax(axis=1).tolist() == dataset.state_id.tolist()
    assert np.isnan(dataset.final_observation[0]).all()
    assert dataset.final_observation[1].argmax() == 5


@WRITERS
@pytest.mark.parametrize("key", ["total_episodes", "total_steps"])
def test_an_incomplete_copy(key: str, write, tmp_path: Path):
    error = refusal(write(tmp_path, episodes(), BOX, **{key: 1_000}))
    assert error.findings[0].code == "INCOMPLETE"
    assert f"declares {key} = 1,000" in str(error)
    assert f"holds {EPISODES if 'episodes' in key else SIZE}" in str(error)


def test_observations_that_are_too_few(tmp_path: Path):
    given = episodes()
    given[2]["observations"] = given[2]["observations"][:-1]
    error = refusal(write_hdf5(tmp_path, given, BOX))
    assert error.findings[0].code == "LENGTHS"
    assert "Episode 2" in str(error) and "has 4 observations" in str(error)
    assert "must have 3 decisions" in str(error)


def test_truncated_files(tmp_path: Path):
    path = write_hdf5(tmp_path / "a", episodes(), BOX) / "data" / "main_data.hdf5"
    path.write_bytes(path.read_bytes()[:-500])
    error = refusal(tmp_path / "a")
    assert error.findings[0].code == "UNREADABLE" and str(tmp_path / "a") in str(error)
    path = write_arrow(tmp_path / "b", episodes(), BOX) / "data" / "2" / "part-0.arrow"
    path.write_bytes(path.read_bytes()[:-100])
    error = refusal(tmp_path / "b")
    assert error.findings[0].code == "UNREADABLE" and str(tmp_path / "b") in str(error)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[1]", '{"total_steps": 1e999}'])
def test_broken_metadata(text: str, tmp_path: Path):
    write_hdf5(tmp_path, episodes(), BOX)
    (tmp_path / "data" / "metadata.json").write_text(text)
    error = refusal(tmp_path)
    assert error.findings[0].code == "UNREADABLE"
    assert str(tmp_path) in str(error)


def test_links_out_of_the_folder(tmp_path: Path):
    write_hdf5(tmp_path, episodes(), BOX)
    with h5py.File(tmp_path / "data" / "main_data.hdf5", "a") as file:
        del file["episode_1/rewards"]
        file["episode_1/rewards"] = h5py.ExternalLink("/elsewhere.h5", "r")
    assert refusal(tmp_path).findings[0].code == "EXTERNAL_LINK"


def test_other_folders(tmp_path: Path):
    error = refusal(tmp_path)
    assert "is a folder, but not one of Minari's" in str(error)
    write_metadata(tmp_path, BOX, data_format="zarr")
    assert "stores its episodes as 'zarr'" in str(refusal(tmp_path))
