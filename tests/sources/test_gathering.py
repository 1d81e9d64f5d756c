"""Blocks and shortcuts give what plain indexing would."""

import numpy as np
import pytest

from stitchrl.sources import gathering
from stitchrl.sources.gathering import at, first_differences, has_nan, stacked


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gathering, "BLOCK", 3)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [3, 1, 0, 2], [1, 2], [0, 1, 1, 3], []])
def test_rows_of_a_column(rows: list[int]):
    column, chosen = np.arange(4) * 10, np.array(rows, int)
    found = at(column, chosen)
    np.testing.assert_array_equal(found, column[chosen])
    assert (found is column) == (rows == [0, 1, 2, 3])


@pytest.mark.parametrize("rows", [np.arange(8), np.array([7, 0, 3]), np.array([-1, 2])])
def test_columns_side_by_side(rows: np.ndarray):
    whole = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    views = [whole[:, index] for index in range(3)]
    np.testing.assert_array_equal(stacked(views, rows), whole[rows])
    for columns in (views[::-1], views[:2], [views[0].astype(float), *views[1:]]):
        expected = np.stack(columns, axis=1)[rows].astype(np.float32)
        found = stacked(columns, rows)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.float32 and not np.shares_memory(found, whole)
    of_wide = np.asfortranarray(whole)
    columns = [of_wide[:, index] for index in range(3)]
    np.testing.assert_array_equal(stacked(columns, rows), whole[rows])


def test_a_whole_array_is_not_copied():
    whole = np.zeros((8, 3), np.float32)
    assert stacked([whole[:, index] for index in range(3)], np.arange(8)) is whole


@pytest.mark.parametrize(
    "values, expected",
    [([1.0, np.nan], True), ([1.0, np.inf], False), ([], False), ([1, 2], False)],
)
def test_missing_numbers_are_found(values: list, expected: bool):
    assert has_nan(np.array(values)) is expected


def test_differences_are_those_that_are_not_close():
    rng = np.random.default_rng(0)
    right = rng.normal(size=(12, 2))
    left = np.roll(right, -1, axis=0)
    left[2, 0] += 1e-3
    left[4] = np.nan  # Unknown.
    left[5, 1] *= 1 + 1e-7  # Rounded.
    left[7, 0] = np.nan  # Missing here, but not there.
    right[10, 1] = left[9, 1] = np.nan  # Missing in both.
    left[10] += 1
    rows = np.array([0, 1, 2, 4, 5, 6, 7, 8, 9, 10])
    assert first_differences(left, right, rows).tolist() == [2, 7, 10]
    assert first_differences(left, right, rows[:0]).tolist() == []
