"""The only code that opens data files: whatever the format, out comes a `Dataset`."""

from pathlib import Path

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.sources.assemble import assemble
from stitchrl.sources.binding import Bound, bind
from stitchrl.sources.columns import Source, numbers
from stitchrl.sources.guess import Guess, guess
from stitchrl.sources.mapping import Mapping, mapping_of, preset, presets, read_mapping
from stitchrl.sources.observations import Observations, load_observations
from stitchrl.sources.opening import open_source
from stitchrl.sources.refusals import refuse
from stitchrl.sources.write import write_table

__all__ = [
    "Guess",
    "Mapping",
    "Observations",
    "guess",
    "load",
    "load_observations",
    "load_policy_probabilities",
    "preset",
    "presets",
    "read_mapping",
    "write_table",
]

SUM_TOLERANCE = 1e-5  # How far the probabilities of a row may be from 1 in sum.


def load(path: str | Path, mapping: Mapping | str | Path | None = None) -> Dataset:
    """Read a log: Parquet, CSV, .npz, D4RL or d3rlpy HDF5, or a Minari folder.

    `mapping` says which column is what: an object, a TOML file or the name of a preset.
    Without it the file's own convention is used, or our vocabulary of columns. Whether
    the values make sense is for `stitchrl.validation` to say; everything the reader had
    to decide stands in `Dataset.notes`. Raises `DataError` naming file, column and row.
    """
    source, bound = _open(Path(path), mapping)
    wanted = list(bound.columns), bound.as_text, bound.coarse
    # No name here for what was read: `assemble` lets go of columns on its way.
    return assemble(bound, source.read(*wanted), source.path)


def load_policy_probabilities(
    path: str | Path, mapping: Mapping | str | Path | None = None
) -> np.ndarray:
    """Probabilities of another policy, row by row as in `load(path, mapping)`.

    float64 (size, count) from one column per action, (size,) from one column for the
    logged action. Raises `DataError` where they are no probabilities.
    """
    source, bound = _open(Path(path), mapping)
    names = bound.mapping.policy_probability
    if not names:
        raise refuse(
            "MAPPING_INCOMPLETE",
            f"The mapping of '{path}' must say which columns hold the probabilities of the "
            "policy to be evaluated.",
            'Write policy_probability = ["COLUMN"]: one for the logged action, or one for '
            "each action in the order of action_labels.",
        )
    columns = source.read(list(bound.columns), bound.as_text)
    dataset = assemble(bound, columns, source.path)
    assert dataset.row is not None
    first = columns[names[0]]
    if len(names) == 1 and isinstance(first, np.ndarray) and first.ndim == 2:
        given = first[dataset.row].astype(np.float64)
    else:
        read = [numbers(columns[name], name, source.path) for name in names]
        given = np.stack(read, axis=1)[dataset.row]
    _require_probabilities(given, dataset, source.path)
    return given[:, 0] if given.shape[1] == 1 else given


def _require_probabilities(given: np.ndarray, dataset: Dataset, path: Path) -> None:
    is_discrete = isinstance(dataset.actions, Choices)
    allowed = (1, dataset.actions.count) if isinstance(dataset.actions, Choices) else (1,)
    if given.shape[1] not in allowed:
        raise refuse(
            "LENGTHS",
            f"policy_probability of '{path}' must have {' or '.join(map(str, allowed))} "
            f"columns, but has {given.shape[1]}.",
            "Write one column for the logged action, or one for each action.",
        )
    wrong = ~(given >= 0) | (is_discrete & (given > 1 + SUM_TOLERANCE)) | np.isinf(given)
    bad = wrong.any(axis=1)
    if given.shape[1] > 1:
        bad |= abs(given.sum(axis=1) - 1) > SUM_TOLERANCE
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise refuse(
            "NOT_PROBABILITIES",
            f"policy_probability of '{path}' must lie in [0, 1] and sum to 1 over all "
            f"actions, but decision {row:,} has {np.round(given[row][:5], 6).tolist()}.",
            "Write probabilities, not scores or logarithms, for every row.",
            rows=np.flatnonzero(bad).tolist(),
        )


def _open(path: Path, mapping: Mapping | str | Path | None) -> tuple[Source, Bound]:
    if isinstance(mapping, str | Path):
        is_preset = str(mapping) in presets()
        mapping = preset(str(mapping)) if is_preset else read_mapping(Path(mapping))
    elif mapping is not None and mapping.preset and not mapping.conventional:
        mapping = mapping_of(mapping.model_dump(exclude_unset=True))
    source = open_source(path, mapping.format if mapping else None)
    if mapping is None:
        mapping = mapping_of(dict(source.convention), f"The mapping inside '{path}'")
    return source, bind(mapping, source)
