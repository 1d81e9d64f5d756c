"""Several choices made together: columns of a file that become one joint action."""

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from stitchrl.dataset import MAX_ACTIONS, Choices
from stitchrl.findings import Finding
from stitchrl.sources.columns import Column
from stitchrl.sources.mapping import Mapping
from stitchrl.sources.refusals import note, refuse

CANONICAL = "action."  # Prefix of our own columns; names of parts go without it.


def part_columns(mapping: Mapping, columns: dict[str, Column]) -> dict[str, Column]:
    """One column for each choice; an array with several columns is several choices."""
    found: dict[str, Column] = {}
    for name in mapping.actions:
        column = columns[name]
        if isinstance(column, np.ndarray) and column.ndim == 2 and column.shape[1] > 1:
            prefix = "a" if len(mapping.actions) == 1 else f"{name}."
            found |= {f"{prefix}{i}": column[:, i] for i in range(column.shape[1])}
        else:
            found[name] = column
    return found


def joint_of(parts: dict[str, Choices], path: Path) -> Choices:
    """All combinations. Raises `DataError` if there are too many, or two read alike."""
    sizes = {name: part.count for name, part in parts.items()}
    count = prod(sizes.values())
    if count > MAX_ACTIONS:
        came = " x ".join(f"{size} of '{name}'" for name, size in sizes.items())
        raise refuse(
            "TOO_MANY_ACTIONS",
            f"At most {MAX_ACTIONS:,} joint actions can be learned, for every combination "
            f"is an action of its own, but '{path}' has {count:,}: {came}.",
            "Use fewer levels (bins of doses, rare ones grouped), leave out a choice that "
            "is not to be optimized, or read them as amounts: action = [...].",
        )
    names = tuple(name.removeprefix(CANONICAL) for name in parts)
    try:
        return Choices.joint(names, tuple(part.labels for part in parts.values()))
    except ValueError as error:
        raise refuse(
            "MAPPING",
            f"Two joint actions of '{path}' would have the same name. {error}",
            "Rename labels in the log.",
        ) from None


def counted(actions: Choices, action: np.ndarray) -> Finding:
    """How many joint actions there are, and how many the log never shows."""
    seen = len(np.unique(action))
    sizes = " x ".join(f"{len(p)} of '{n}'" for n, p in zip(actions.names, actions.parts))
    never, message = actions.count - seen, f"all combinations of {sizes}"
    remedy = "Nothing to do"
    if never:
        message += f"; {never:,} of them never occur in the log"
        remedy += ": what was never logged is not recommended"
    return note(
        "JOINT_ACTIONS",
        f"The {actions.count:,} joint actions are {message}.",
        f"{remedy}.",
    )


def spread(allowed: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """bool (rows, joint): valid where the choice of every part (rows, Σ sizes) is."""
    joint = np.ones((len(allowed), 1), bool)
    for part in np.split(allowed, np.cumsum(sizes)[:-1], axis=1):
        joint = (joint[:, :, None] & part[:, None, :]).reshape(len(allowed), -1)
    return joint
