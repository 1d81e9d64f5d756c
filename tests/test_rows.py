"""A method at every row is what it is at one row, and models share its program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl import rows
from stitchrl.normalizer import Normalizer
from stitchrl.rows import at_rows, lengthened, rounded_up


@pytest.mark.parametrize("sizes", [(12,), (11, 12)])
def test_rows_are_as_one_by_one_and_other_models_and_logs_run_the_same_program(
    sizes: tuple[int, ...],
):
    models = [Normalizer(jnp.full(2, mean), jnp.full(2, 4.0)) for mean in (1.0, 3.0)]
    jax.clear_caches()
    for model in models:
        for size in sizes:
            log = np.arange(2.0 * size, dtype=np.float32).reshape(size, 2)
            found = at_rows(model, "__call__", log)
            np.testing.assert_array_equal(found, np.stack([model(row) for row in log]))
    assert rows._at_rows._cache_size() == 1


def test_sizes_are_rounded_up_to_four_between_a_number_and_its_double():
    sizes = [1, 5, 8, 9, 10, 11, 13, 15, 16]
    assert [*map(rounded_up, sizes)] == [1, 5, 8, 10, 10, 12, 14, 16, 16]
    assert {*map(rounded_up, range(1024, 2049))} == {1024, 1280, 1536, 1792, 2048}


def test_the_last_row_is_repeated():
    columns = {"a": np.arange(9), "b": np.arange(18).reshape(9, 2)}
    found = lengthened(columns)
    assert found["a"].tolist() == [*range(9), 8]
    np.testing.assert_array_equal(found["b"][9], [16, 17])
    assert len(lengthened(np.arange(8))) == 8
