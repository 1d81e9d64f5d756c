"""Columns that are put together piece by piece."""

import numpy as np
import pytest

from stitchrl.sources.growing import Growing


@pytest.mark.parametrize("expected", [0, 3, 6, 100])
def test_pieces_come_out_as_one_whatever_was_expected(expected):
    column = Growing(expected)
    for piece in ([1, 2], [3], [], [4, 5, 6]):
        column.add(np.array(piece, np.int64))
    found = column.taken()
    assert found.dtype == np.int64
    assert found.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_later_type_is_that_of_all():
    column = Growing(2)
    column.add(np.array([1, 2]))
    column.add(np.array([0.5, np.nan]))
    np.testing.assert_array_equal(column.taken(), [1.0, 2.0, 0.5, np.nan])


def test_nothing_is_nothing():
    assert len(Growing(5).taken()) == 0
