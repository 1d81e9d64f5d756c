"""Experience on disk: written piece by piece, read as memory maps larger than memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl import artifacts
from stitchrl.artifacts import ArtifactError
from stitchrl.experience import Experience, Transition
from stitchrl.spaces import Masked
from stitchrl.tree import assemble

ALLOWED = ".allowed"  # Of columns that say which actions were.
SEEN = ("observation", "next_observation")


def store(path: str | Path, pieces: Iterable[Experience]) -> None:
    """Write experience that comes in pieces, each of whole episodes, as one log.

    Only one piece is in memory at a time: make them in a generator, with one `Normalizer`
    for all. Rows keep the numbers they have in their piece, counted on from piece to piece.
    Raises `ArtifactError` if pieces do not fit together, or if rows are weighed.
    """
    notes: dict[str, Any] = {}
    artifacts.save_columns(path, _columns(pieces, notes), notes)


def _columns(
    pieces: Iterable[Experience], notes: dict[str, Any]
) -> Iterator[dict[str, np.ndarray]]:
    first = 0
    for piece in pieces:
        if piece.drawing is not None or piece.count is not None:
            raise ArtifactError(
                "Experience whose rows are weighed or padded cannot be stored: what a row "
                "weighs depends on all others. Make the pieces without `weight`."
            )
        said = {"actions": piece.actions, "n_steps": piece.n_steps}
        if said != (notes or said):
            raise ArtifactError(f"Pieces must agree, but {said} follows {notes}.")
        notes |= said
        row = np.asarray(piece.row, np.int64) + first
        first = int(row[-1]) + 1
        if first > np.iinfo(np.int32).max:
            raise ArtifactError("Experience can have 2,147,483,647 rows at most.")
        columns: dict[str, Any] = piece.transitions._asdict()
        columns.pop("steps")
        for name in SEEN:
            if isinstance(columns[name], Masked):
                columns[name], columns[name + ALLOWED] = columns[name]
        columns |= {
            "episode_end": piece.episode_end,
            "episode_return": piece.episode_return,
            "row": row.astype(np.int32),
        }
        yield jax.tree.map(np.asarray, columns)


def stored(path: str | Path, *, check: bool = True) -> Experience:
    """What `store` wrote: memory maps, for `fit`, `train_population` and `Stream`.

    Only the ends of episodes are read into memory, one byte for each row. `check` reads
    everything once and compares it with what was saved. Raises `ArtifactError` if it is not
    the same.
    """
    columns, notes = artifacts.open_columns(path, check=check)
    for name in SEEN:
        if name + ALLOWED in columns:
            columns[name] = Masked(columns[name], columns.pop(name + ALLOWED))  # pyright: ignore[reportArgumentType]
    transitions = {name: columns[name] for name in Transition._fields if name in columns}
    values = {
        "transitions": Transition(**transitions),  # pyright: ignore[reportArgumentType]
        "episode_end": jnp.asarray(columns["episode_end"]),
        "episode_return": columns["episode_return"],
        "row": columns["row"],
        "drawing": None,
        "actions": notes["actions"],
        "n_steps": notes["n_steps"],
        "count": None,
    }
    return assemble(Experience, values)
