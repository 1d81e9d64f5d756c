"""Mazes of D4RL as maps, and shortest paths through them."""

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

START_NOISE = 0.25  # Half the width of the square around a cell's center, in cells.
NEIGHBORS = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(frozen=True)
class Maze:
    """Square cells around the origin: `#` is a wall, `G` the cell of the fixed goal."""

    rows: tuple[str, ...]
    unit: ClassVar[float] = 1.0  # The size of a cell.

    @cached_property
    def cells(self) -> np.ndarray:
        """int64 (cells, 2): row and column of every cell that is free."""
        free = [
            (row, column)
            for row, line in enumerate(self.rows)
            for column, sign in enumerate(line)
            if sign != "#"
        ]
        return np.array(free)

    @cached_property
    def centers(self) -> np.ndarray:
        """float64 (cells, 2): x to the right, y upward."""
        height, width = len(self.rows), len(self.rows[0])
        x = self.cells[:, 1] + 0.5 - width / 2
        y = height / 2 - (self.cells[:, 0] + 0.5)
        return self.unit * np.stack([x, y], axis=1)

    @cached_property
    def goal(self) -> int:
        """The number of the goal's cell."""
        signs = [self.rows[row][column] for row, column in self.cells]
        return signs.index("G")

    @cached_property
    def distances(self) -> np.ndarray:
        """int64 (cells, cells): steps from cell to cell, around the walls."""
        number = {tuple(cell): index for index, cell in enumerate(self.cells.tolist())}
        distances = np.full((len(number), len(number)), -1)
        for start in number.values():
            distances[start, start] = 0
            waiting = deque([start])
            while waiting:
                here = waiting.popleft()
                row, column = self.cells[here].tolist()
                for down, right in NEIGHBORS:
                    there = number.get((row + down, column + right))
                    if there is not None and distances[start, there] < 0:
                        distances[start, there] = distances[start, here] + 1
                        waiting.append(there)
        return distances

    @cached_property
    def following(self) -> np.ndarray:
        """int64 (cells, cells): the cell after `a` on a shortest path from `a` to `b`."""
        near = np.where(self.distances == 1, 0, len(self.cells))
        following = (near[:, :, None] + self.distances[None]).argmin(axis=1)
        return np.where(self.distances == 0, np.arange(len(self.cells)), following)

    def cell_of(self, position: np.ndarray) -> np.ndarray:
        """int64 (n,): the free cell whose center is nearest to each position (n, 2)."""
        apart = position[:, None] - self.centers
        return (apart**2).sum(axis=2).argmin(axis=1)

    def somewhere(self, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """float64 (n, 2): a point near the center of each of these cells."""
        noise = rng.uniform(-START_NOISE, START_NOISE, (len(cell), 2))
        return self.centers[cell] + self.unit * noise


UMAZE = Maze(("#####", "#G  #", "### #", "#   #", "#####"))
MEDIUM = Maze(
    (
        "########",
        "#  ##  #",
        "#  #   #",
        "##   ###",
        "#  #   #",
        "# #  # #",
        "#   # G#",
        "########",
    )
)
LARGE = Maze(
    (
        "############",
        "#    #     #",
        "# ## # # # #",
        "#      #   #",
        "# #### ### #",
        "#  # #     #",
        "## # # # ###",
        "#  #   # G #",
        "############",
    )
)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64 (n,): between points (n, 2)."""
    apart = a - b
    return np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2)
