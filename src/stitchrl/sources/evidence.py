"""What the values of a column tell about the role it may play."""

import numpy as np

from stitchrl.findings import DataError
from stitchrl.sources.columns import Column, Source, Text, scalar


class Evidence:
    """The columns of a file, and simple facts about each."""

    def __init__(self, source: Source):
        self.failures: list[str] = []  # One sentence for each column that is not readable.
        self.columns = self._read(source)

    def _read(self, source: Source) -> dict[str, Column]:
        names = list(source.names)
        text = frozenset[str]()
        try:
            columns = source.read(names, text)
        except DataError:  # One column of a strange type must not hide the others.
            columns = {}
            for name in names:
                try:
                    columns |= source.read([name], text)
                except DataError as error:
                    self.failures.append(f"Column '{name}' was left out: {error}")
        return {name: scalar(column) for name, column in columns.items()}

    @property
    def size(self) -> int:
        first = next(iter(self.columns.values()))
        return len(first.codes if isinstance(first, Text) else first)

    def values(self, name: str) -> np.ndarray:
        """Distinct values that are present."""
        column = self.columns[name]
        if isinstance(column, Text):
            return column.values[np.unique(column.codes[column.codes >= 0])]
        return np.unique(column[~np.isnan(column)] if column.dtype.kind == "f" else column)

    def is_whole(self, name: str) -> bool:
        """Numbers without decimals."""
        column = self.columns[name]
        if isinstance(column, Text) or column.ndim > 1:
            return False
        return column.dtype.kind in "iub" or bool(np.all(self.values(name) % 1 == 0))

    def is_flag(self, name: str) -> bool:
        """Nothing but 0 and 1, or true and false."""
        column = self.columns[name]
        if isinstance(column, Text):
            return {value.lower() for value in self.values(name)} <= {"true", "false"}
        return column.ndim == 1 and set(self.values(name).tolist()) <= {0, 1}

    def codes(self, name: str) -> np.ndarray:
        """int64 (size,): equal numbers for equal values."""
        column = self.columns[name]
        codes = column.codes if isinstance(column, Text) else column
        return np.unique(codes, return_inverse=True)[1]

    def is_in_blocks(self, name: str) -> bool:
        """Whether each value stands in one block of rows, as an episode's name does."""
        column = self.columns[name]
        if not isinstance(column, Text) and (column.ndim > 1 or not self.is_whole(name)):
            return False
        codes = self.codes(name)
        blocks = 1 + np.count_nonzero(np.diff(codes))
        return bool(1 < blocks < self.size and blocks == codes.max() + 1)

    def counters(self, episode: str, among: list[str]) -> list[str]:
        """Columns that rise by one from row to row of an episode, from one start."""
        inside = np.diff(self.codes(episode)) == 0
        found = []
        for name in among:
            column = self.columns[name]
            if self.is_whole(name) and isinstance(column, np.ndarray) and inside.any():
                rise = np.diff(column.astype(np.float64))
                starts = np.unique(column[1:][~inside])
                if (rise[inside] == 1).all() and len(starts) <= 1:
                    found.append(name)
        return found

    def is_row_number(self, name: str) -> bool:
        """Whether it merely counts the rows."""
        column = self.columns[name]
        if isinstance(column, Text) or column.dtype.kind not in "iu" or column.ndim > 1:
            return False
        return self.size > 1 and bool((np.diff(column.astype(np.int64)) == 1).all())

    def has_gap(self, name: str) -> bool:
        column = self.columns[name]
        if isinstance(column, Text):
            return bool((column.codes < 0).any())
        return column.dtype.kind == "f" and bool(np.isnan(column).any())
