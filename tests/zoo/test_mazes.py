"""Shortest paths through the mazes."""

import numpy as np
import pytest

from stitchrl.zoo.mazes import LARGE, MEDIUM, UMAZE, Maze

MAZES = {"umaze": UMAZE, "medium": MEDIUM, "large": LARGE}


def number(maze: Maze, row: int, column: int) -> int:
    return maze.cells.tolist().index([row, column])


@pytest.mark.parametrize(
    "name, cells, goal, farthest",
    [("umaze", 7, (1, 1), 6), ("medium", 26, (6, 6), 11), ("large", 46, (7, 9), 19)],
)
def test_mazes_are_d4rls(name, cells, goal, farthest):
    maze = MAZES[name]
    assert len(maze.cells) == cells
    assert maze.cells[maze.goal].tolist() == list(goal)
    assert maze.distances.min() == 0, "every cell can be reached"
    assert maze.distances.max() == farthest


def test_the_way_through_the_u_is_the_long_one():
    start, goal = number(UMAZE, 3, 1), number(UMAZE, 1, 1)
    assert UMAZE.distances[start, goal] == 6
    way = [start]
    while way[-1] != goal:
        way.append(int(UMAZE.following[way[-1], goal]))
    assert UMAZE.cells[way].tolist() == [
        [3, 1], [3, 2], [3, 3], [2, 3], [1, 3], [1, 2], [1, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("name", MAZES)
def test_each_step_comes_nearer_by_one(name):
    maze = MAZES[name]
    here, goal = np.indices(maze.distances.shape)
    there = maze.following[here, goal]
    expected = np.maximum(maze.distances[here, goal] - 1, 0)
    assert (maze.distances[there, goal] == expected).all()
    assert (maze.distances[here, there] <= 1).all()


def test_positions_are_centered_with_y_upward():
    assert UMAZE.centers[number(UMAZE, 1, 1)].tolist() == [-1, 1]
    assert UMAZE.centers[number(UMAZE, 3, 3)].tolist() == [1, -1]
    assert LARGE.centers[number(LARGE, 7, 9)].tolist() == [3.5, -3]


def test_points_near_a_center_lie_in_its_cell():
    cell = np.tile(np.arange(len(LARGE.cells)), 20)
    points = LARGE.somewhere(cell, np.random.default_rng(0))
    assert (LARGE.cell_of(points) == cell).all()
    assert 0.24 < abs(points - LARGE.centers[cell]).max() <= 0.25
