"""A method at every row is what it is at one row, and models share its program."""

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.normalizer import Normalizer
from stitchrl.rows import at_rows


def test_rows_are_as_one_by_one_and_another_model_runs_the_same_program():
    rows = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    models = [Normalizer(jnp.full(2, mean), jnp.full(2, 4.0)) for mean in (1.0, 3.0)]
    jax.clear_caches()
    for model in models:
        found = at_rows(model, "__call__", rows)
        np.testing.assert_array_equal(found, np.stack([model(row) for row in rows]))
    assert at_rows._cache_size() == 1
