"""What the values of a column tell about the role it may play."""

import numpy as np

from stitchrl.findings import DataError
from stitchrl.sources.almost import meant
from stitchrl.sources.columns import Column, Dates, Source, Text, scalar

FEW_ROWS = FEW_EPISODES = 10  # With fewer, a column may tell the reward by chance.


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

    def is_vector(self, name: str) -> bool:
        """Several numbers in each row."""
        column = self.columns[name]
        return isinstance(column, np.ndarray) and column.ndim > 1

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

    def is_date(self, name: str) -> bool:
        """A point in time, also as text."""
        column = self.columns[name]
        if isinstance(column, Text):
            found = meant(map(str, self.values(name)))
            return found is not None and found.kind == "dates"
        return isinstance(column, Dates)

    def varies_within(self, name: str, episode: str | None) -> bool:
        """Whether it changes in the course of an episode (at all, if none is known)."""
        codes = self.codes(name)
        if episode is None:
            return bool(codes.max() > 0)
        ids = self.codes(episode)
        return bool(np.unique(np.stack([ids, codes]), axis=1).shape[1] > ids.max() + 1)

    def is_shared(self, name: str, episode: str) -> bool:
        """Whether it names whose episodes they are: one for each, some for several.

        A name is text that ends in a digit, or a whole number in a column called so.
        """
        column = self.columns[name]
        if isinstance(column, Text):
            is_name = all(str(value)[-1:].isdigit() for value in self.values(name))
        else:
            ends = ("id", "nr", "no", "number", "num", "key", "code")
            is_name = self.is_whole(name) and name.lower().rstrip("_").endswith(ends)
        if not is_name or self.is_date(name) or self.varies_within(name, episode):
            return False
        count, episodes = self.codes(name).max() + 1, self.codes(episode).max() + 1
        return bool(max(FEW_EPISODES, episodes / 20) <= count < episodes)

    def is_at_ends_only(self, name: str, episode: str) -> bool:
        """Whether it is 0 before the last row of each episode, and not always there."""
        column = self.columns[name]
        if isinstance(column, Text) or column.ndim > 1 or self.has_gap(name):
            return False
        before = np.ones(self.size, bool)
        before[last := self._last(episode)] = False
        at_end = column[last] != 0
        early = column[before].any() or not before.any()
        return bool(at_end.any() and not at_end.all() and not early)

    def tells_reward(self, name: str, reward: str, episode: str | None) -> bool:
        """Whether it is the reward, or tells it (or the return) at the ends of episodes."""
        column, paid = self.columns[name], self.columns[reward]
        if self.is_vector(name):
            return False
        codes = self.codes(name)
        if codes.max() == 0:
            return False
        is_many = self.size >= FEW_ROWS and not isinstance(column, Text)
        if is_many and not isinstance(paid, Text) and np.array_equal(column, paid):
            return True
        has_few = codes.max() + 1 <= self.size / FEW_ROWS
        if has_few and np.array_equal(codes, self.codes(reward)):
            return True
        if episode is None or isinstance(paid, Text):
            return False
        ids, last = self.codes(episode), self._last(episode)
        at_end = np.unique(codes[last], return_inverse=True)[1]
        few = bool(at_end.max() + 1 <= len(last) / FEW_EPISODES)
        returns = np.bincount(ids, np.nan_to_num(np.asarray(paid, np.float64)))
        return few and any(_tells(at_end, told) for told in (paid[last], returns))

    def _last(self, episode: str) -> np.ndarray:
        """The last row of each episode, in the order of `codes`."""
        ids = self.codes(episode)
        last = np.empty(ids.max() + 1, np.int64)
        last[ids] = np.arange(self.size)
        return last

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


def _tells(codes: np.ndarray, values: np.ndarray) -> bool:
    """Whether equal codes always go with equal values, which are not all the same."""
    told = np.unique(np.round(values, 9), return_inverse=True)[1]
    pairs = np.unique(np.stack([codes, told]), axis=1).shape[1]
    return bool(told.max() > 0 and pairs == codes.max() + 1)
