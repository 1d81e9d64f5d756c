"""HDF5 files with one array per column: D4RL's, and both of d3rlpy's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stitchrl.sources.columns import NONE, Column, Source, to_text
from stitchrl.sources.npz import as_column
from stitchrl.sources.refusals import reading, refuse


def open_hdf5(path: Path) -> Source:
    """A D4RL or d3rlpy file; links and data outside the file are refused."""
    with reading(path, "HDF5"), h5py.File(path, "r") as file:
        names = dataset_names(file, path)
        if {"columns", "num_episodes"} <= set(names):
            return Source(path, V2_NAMES, _reader_v2(path), {"preset": "d3rlpy"})
    known = "d3rlpy" if "episode_terminals" in names else "d4rl"
    convention = {"preset": known if "observations" in names else "plain"}

    def read(
        wanted: list[str], as_text: frozenset[str], coarse: frozenset[str] = NONE
    ) -> dict[str, Column]:
        with reading(path, "HDF5"), h5py.File(path, "r") as file:
            return {name: dataset_column(file, name, path) for name in wanted}

    return Source(path, names, read, convention)


def dataset_names(file: h5py.Group, path: Path) -> tuple[str, ...]:
    """Paths of all arrays in the file, in the order of their names."""
    links: list[tuple[str, Any]] = []
    file.visititems_links(lambda name, link: links.append((name, link)))
    for name, link in links:
        if isinstance(link, h5py.ExternalLink):
            raise _outside(path, name, f"a link to '{link.filename}'")
    found = [name for name, _ in links if isinstance(file.get(name), h5py.Dataset)]
    for name in found:
        dataset = file[name]
        assert isinstance(dataset, h5py.Dataset)
        if dataset.external or dataset.is_virtual:
            raise _outside(path, name, "data in other files")
    return tuple(found)


def _outside(path: Path, name: str, what: str) -> Exception:
    return refuse(
        "EXTERNAL_LINK",
        f"'{path}' refers to data outside itself: '{name}' is {what}.",
        "Copy all data into one file (h5repack, or h5py with its arrays).",
    )


def dataset_column(file: h5py.Group, name: str, path: Path) -> Column:
    """One array of the file as a column."""
    dataset = file[name]
    assert isinstance(dataset, h5py.Dataset)
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return to_text(np.asarray(dataset.asstr()[()]))
    return as_column(np.asarray(dataset[()]), name, path)


V2_NAMES = ("episode", "observations", "actions", "rewards", "terminals", "timeouts")


def _reader_v2(path: Path) -> Callable[[list[str], frozenset[str]], dict[str, Column]]:
    """d3rlpy 2: arrays observations_0, actions_0, … and a flag terminated_0 per episode."""

    def read(
        wanted: list[str], as_text: frozenset[str], coarse: frozenset[str] = NONE
    ) -> dict[str, Column]:
        with reading(path, "d3rlpy's HDF5"), h5py.File(path, "r") as file:
            count = int(np.asarray(file["num_episodes"]))
            parts: dict[str, list[np.ndarray]] = {name: [] for name in V2_NAMES}
            for number in range(count):
                rewards = np.asarray(file[f"rewards_{number}"])
                is_terminated = bool(np.asarray(file[f"terminated_{number}"]))
                last = np.arange(len(rewards)) == len(rewards) - 1
                parts["episode"].append(np.full(len(rewards), number))
                parts["rewards"].append(rewards)
                parts["terminals"].append(last & is_terminated)
                parts["timeouts"].append(last & (not is_terminated))
                for name in ("observations", "actions"):
                    parts[name].append(np.asarray(file[f"{name}_{number}"]))
            return {
                name: as_column(np.concatenate(parts[name]), name, path) for name in wanted
            }

    return read
