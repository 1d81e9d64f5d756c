"""A column of numbers that is read piece by piece, in one piece of memory."""

import numpy as np

GROWTH = 1.5


class Growing:
    """Numbers so far, in room for as many as are expected.

    Room that is never written to costs nothing; to move what was written costs twice.
    """

    def __init__(self, expected: int):
        self.values = np.empty(0)
        self.count, self.room = 0, expected

    def add(self, new: np.ndarray) -> None:
        """Put these (n,) behind the others, as the type that holds both."""
        kind = np.result_type(self.values, new) if self.count else new.dtype
        end = self.count + len(new)
        if kind != self.values.dtype or end > len(self.values):
            if end > self.room:
                self.room = int(GROWTH * end)
            grown = np.empty(self.room, kind)
            grown[: self.count] = self.values[: self.count]
            self.values = grown
        self.values[self.count : end] = new
        self.count = end

    def taken(self) -> np.ndarray:
        """All of them, (count,); nothing can be added any more."""
        found, self.values = self.values[: self.count], np.empty(0)
        return found
