"""A mean over blocks is the mean, and so is its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl import blocks
from stitchrl.blocks import mean_over_blocks

ROWS = {"x": jnp.linspace(-1.0, 2.0, 12), "y": jnp.linspace(0.0, 1.0, 12), "nothing": None}


def mean_square(slope: jax.Array, rows: dict) -> jax.Array:
    assert rows["nothing"] is None
    return jnp.square(slope * rows["x"] - rows["y"]).mean()


def by_hand(slope: float) -> tuple[float, float]:
    x, y = np.asarray(ROWS["x"], np.float64), np.asarray(ROWS["y"], np.float64)
    return np.square(slope * x - y).mean(), (2 * x * (slope * x - y)).mean()


@pytest.mark.parametrize("size", [1, 2, 5, 12, 100])
def test_value_and_gradient_by_hand(size: int):
    def twice(slope: jax.Array) -> jax.Array:
        return 2 * mean_over_blocks(mean_square, slope, ROWS, size=size)

    value, slope = jax.jit(jax.value_and_grad(twice))(jnp.float32(0.7))
    expected = by_hand(0.7)
    np.testing.assert_allclose([value, slope], 2 * np.array(expected), rtol=1e-5)
    np.testing.assert_allclose(twice(jnp.float32(0.7)), 2 * expected[0], rtol=1e-5)


def test_populations_of_parameters_have_gradients_of_their_own():
    def mean(slope: jax.Array) -> jax.Array:
        return mean_over_blocks(mean_square, slope, ROWS, size=3)

    slopes = jax.vmap(jax.grad(mean))(jnp.array([0.7, -2.0]))
    np.testing.assert_allclose(slopes, [by_hand(0.7)[1], by_hand(-2.0)[1]], rtol=1e-5)


@pytest.mark.parametrize(
    ("total", "size", "expected"),
    [(12, 12, 1), (12, 5, 3), (12, 1, 12), (7, 6, 7), (1, 1, 1)],
)
def test_blocks_are_as_few_as_divide_the_rows(total: int, size: int, expected: int):
    assert blocks._count(total, size) == expected


def test_operations_of_all_rows_are_counted():
    def count() -> float:
        def slope(x: jax.Array) -> jax.Array:
            return jax.grad(lambda x: mean_over_blocks(mean_square, x, ROWS, size=3))(x)

        found = jax.jit(slope).lower(jnp.float32(1.0)).cost_analysis()
        assert found is not None
        return found["flops"]

    of_a_block = count()
    with blocks.all_rows_together():
        assert count() > 1.5 * of_a_block
    assert count() == of_a_block


def test_accelerators_take_all_rows_at_once(monkeypatch: pytest.MonkeyPatch):
    sizes = []

    def mean(slope: jax.Array, rows: dict) -> jax.Array:
        sizes.append(len(rows["x"]))
        return mean_square(slope, rows)

    mean_over_blocks(mean, jnp.float32(1.0), ROWS, size=3)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    mean_over_blocks(mean, jnp.float32(1.0), ROWS, size=3)
    assert sizes == [3, 12]
