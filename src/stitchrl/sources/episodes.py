"""Which rows of a file are decisions, to which episode they belong, and how it ends."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from stitchrl.findings import Finding
from stitchrl.sources.binding import EVERYWHERE, negated
from stitchrl.sources.columns import (
    Column,
    Text,
    flags,
    identities,
    length,
    numbers,
)
from stitchrl.sources.gathering import at, has_nan
from stitchrl.sources.mapping import Mapping
from stitchrl.sources.refusals import note, refuse, warn


class Rows(NamedTuple):
    """The decisions of a file, in the order of the dataset."""

    decision: np.ndarray  # int64 (size,): the row in the file.
    final: np.ndarray  # int64 (episodes,): the row with what was seen last; -1 for none.
    episode: np.ndarray  # int64 (size,): 0, 1, … in order of appearance.
    episode_id: np.ndarray  # (episodes,)
    terminated: np.ndarray  # bool (size,)
    truncated: np.ndarray  # bool (size,)
    notes: tuple[Finding, ...]

    @property
    def last(self) -> np.ndarray:
        """int64 (episodes,): the last decision of each episode."""
        return np.flatnonzero(np.append(self.episode[1:] != self.episode[:-1], True))


def arrange(mapping: Mapping, columns: dict[str, Column], path: Path) -> Rows:
    """Order the rows, tell decisions from final rows, number episodes, find their ends.

    Raises `DataError` naming file and rows where that cannot be done without guessing.
    """
    size = length(next(iter(columns.values())))
    ids = None
    if mapping.episode is not None:
        ids = identities(columns[mapping.episode], mapping.episode, path)
    order, notes = _order(mapping, columns, ids, size, path)
    is_final = at(_final_rows(mapping, columns, size, path), order)
    decision = order[~is_final] if is_final.any() else order
    if not len(decision):
        raise refuse(
            "EMPTY",
            f"'{path}' has no decisions: nothing can be learned or evaluated.",
            "Check the file, and any filter in the query that made it.",
        )
    follows = np.concatenate([is_final[1:], [False]])[~is_final]  # A final row comes next.
    read = _Flags(mapping, columns, order, is_final, path)
    terminated, truncated = read.flag("terminated"), read.flag("truncated")
    episode_end = read.flag("episode_end")
    if ids is not None:
        ids = at(ids, order)
        _require_closing(is_final, ids, order, path)
        of_decision = ids if decision is order else ids[~is_final]
        episode, episode_id = _numbered(of_decision, mapping, decision, path)
    else:
        _require_closing(is_final, None, order, path)
        everywhere = "every_row" in (mapping.terminated, mapping.truncated)
        ends = terminated | truncated | episode_end | follows | everywhere
        episode = np.cumsum(np.concatenate([[False], ends[:-1]]))
        episode_id = np.arange(episode[-1] + 1)
    last = np.append(episode[1:] != episode[:-1], True)
    for role, flag in (("terminated", terminated), ("truncated", truncated)):
        word = getattr(mapping, role)
        if word == "last_row" and ids is None:
            raise refuse(
                "MAPPING",
                f"{role} = \"last_row\" in the mapping of '{path}' needs to know which "
                "rows are one episode.",
                'Write episode = "COLUMN" as well.',
            )
        if word in EVERYWHERE:
            flag |= last | (word == "every_row")
    truncated |= (episode_end | follows & last) & ~terminated
    truncated, assumed = _assume_cuts(mapping, terminated, truncated, last, decision)
    final = np.full(len(episode_id), -1)
    behind = np.flatnonzero(is_final)
    if len(behind):
        message = "Rows without a decision only tell what was observed after the last one."
        notes.append(note("FINAL_ROWS", message, rows=order[behind].tolist()))
    final[episode[np.searchsorted(np.flatnonzero(~is_final), behind) - 1]] = order[behind]
    return Rows(
        decision,
        final,
        np.asarray(episode, np.int64),
        episode_id,
        terminated,
        truncated,
        (*notes, *read.notes, *assumed),
    )


def _order(
    mapping: Mapping,
    columns: dict[str, Column],
    ids: np.ndarray | None,
    size: int,
    path: Path,
) -> tuple[np.ndarray, list[Finding]]:
    order = np.arange(size)
    if not mapping.sort:
        return order, []
    if ids is None:
        raise refuse(
            "MAPPING",
            f"sort = true in the mapping of '{path}' sorts by episode and step, but no "
            "episode column is given.",
            'Write episode = "COLUMN" as well.',
        )
    key = mapping.step or mapping.time
    steps = [] if key is None else [numbers(columns[key], key, path)]
    order = np.lexsort([*steps, np.unique(ids, return_inverse=True)[1]])
    moved = np.flatnonzero(order != np.arange(size)).tolist()
    if not moved:
        return order, []
    by = f"'{mapping.episode}'" + (f" and '{key}'" if key else "")
    return order, [note("SORTED", f"Rows were sorted by {by}.", rows=moved)]


def _final_rows(
    mapping: Mapping, columns: dict[str, Column], size: int, path: Path
) -> np.ndarray:
    """bool (size,): rows that hold an observation after the last decision."""
    if mapping.final_rows is False:
        return np.zeros(size, bool)
    if isinstance(mapping.final_rows, str):
        name, is_negated = negated(mapping.final_rows)
        return flags(columns[name], name, path)[0] != is_negated
    action = mapping.action
    found = np.ones(size, bool)
    for name in [action] if isinstance(action, str) else action or mapping.actions:
        found &= is_missing(columns[name])
    return found


def is_missing(column: Column) -> np.ndarray:
    """bool (size,): where a column has no value at all."""
    if isinstance(column, Text):
        return column.codes < 0
    if not has_nan(column):
        return np.zeros(len(column), bool)
    return np.isnan(column.reshape(len(column), -1)).min(axis=1, initial=True)


def _require_closing(
    is_final: np.ndarray, ids: np.ndarray | None, order: np.ndarray, path: Path
) -> None:
    """Every final row directly follows a decision of its episode and closes it."""
    before = np.concatenate([[True], is_final[:-1]])
    wrong = is_final & before
    if ids is not None:
        same = ids[1:] == ids[:-1]
        wrong |= is_final & ~np.concatenate([[False], same])
        wrong |= is_final & np.concatenate([same, [False]])
    rows = order[wrong].tolist()
    if rows:
        raise refuse(
            "FINAL_ROW",
            f"A row without a decision in '{path}' must be the last of its episode and "
            f"follow a decision, but row {rows[0]:,} does not.",
            "Fill in the action, or remove rows in which nothing was decided (and write "
            "sort = true if rows of an episode do not stand in order).",
            rows=rows,
        )


class _Flags:
    """Flags of decisions; one on a final row counts for the decision before."""

    def __init__(
        self,
        mapping: Mapping,
        columns: dict[str, Column],
        order: np.ndarray,
        is_final: np.ndarray,
        path: Path,
    ):
        self.mapping, self.columns, self.path = mapping, columns, path
        self.order, self.is_final = order, is_final
        self.notes: list[Finding] = []

    def flag(self, role: str) -> np.ndarray:
        """bool (decisions,)"""
        spec = getattr(self.mapping, role)
        if spec is None or spec in EVERYWHERE:
            return np.zeros(np.count_nonzero(~self.is_final), bool)
        name, is_negated = negated(spec)
        raised, missing = flags(self.columns[name], name, self.path)
        empty = self.order[at(missing, self.order) & ~self.is_final]
        if rows := sorted(empty.tolist()):
            self.notes.append(
                warn(
                    "FLAG_MISSING",
                    f"Column '{name}' of '{self.path}' is empty in some rows: read as "
                    f"not {role}.",
                    "Fill it with 0 or 1.",
                    rows=rows,
                )
            )
        value = at((raised != is_negated) & ~missing, self.order)
        # A row marked as final by a column holds nothing else that counts.
        if self.mapping.final_rows is True:
            value[:-1] |= value[1:] & self.is_final[1:]
        return value[~self.is_final]


def _numbered(
    ids: np.ndarray, mapping: Mapping, decision: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    changes = np.concatenate([[True], ids[1:] != ids[:-1]])
    block, names = np.cumsum(changes) - 1, ids[changes]
    known, first = np.unique(names, return_index=True)
    if len(known) == len(names):
        return block, names
    again = np.setdiff1d(np.arange(len(names)), first)
    rows = decision[np.isin(block, again)].tolist()
    label = names[again[0]]
    raise refuse(
        "EPISODE_SPLIT",
        f"Rows of one episode must stand together in '{path}', but '{mapping.episode}' "
        f"{label} starts again at row {rows[0]:,}.",
        "Write sort = true in the mapping, or give each visit its own episode id.",
        rows=rows,
    )


def _assume_cuts(
    mapping: Mapping,
    terminated: np.ndarray,
    truncated: np.ndarray,
    last: np.ndarray,
    decision: np.ndarray,
) -> tuple[np.ndarray, list[Finding]]:
    """Where nothing else is said, a log that stops was cut: counted, never silent."""
    is_open = last & ~terminated & ~truncated
    says_cuts = mapping.truncated is not None or mapping.episode_end is not None
    if says_cuts:  # Then only the end of the file may be missing its flag.
        is_open[:-1] = False
    says_ends = says_cuts or mapping.terminated is not None
    is_silent = not (terminated | truncated).any()
    if is_silent and (says_ends or mapping.episode is None) or not is_open.any():
        return truncated, []
    rows = decision[is_open].tolist()
    where = "the file" if says_cuts else "an episode"
    found = warn(
        "LAST_ROW_TRUNCATED",
        f"The last row of {where} has no end flag: taken as truncated (the process went "
        "on, the log stops).",
        'If it was over there, write terminated = "last_row" in the mapping.',
        rows=rows,
    )
    return truncated | is_open, [found]
