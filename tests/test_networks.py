"""Networks against the same sums in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.networks import (
    MLP,
    ActionTable,
    Critics,
    LayerNorm,
    Linear,
    Multiplier,
    Readout,
    Value,
)
from stitchrl.spaces import Continuous, Discrete, Masked, Spec

KEY = jax.random.key(0)


def by_hand(layers: tuple[Linear | Readout, ...], x: np.ndarray) -> np.ndarray:
    for layer in layers[:-1]:
        x = np.maximum(x @ np.asarray(layer.weight) + np.asarray(layer.bias), 0)
    return np.asarray(layers[-1].weight) @ x + np.asarray(layers[-1].bias)


def test_mlp_is_linear_layers_with_relu_between():
    mlp, x = MLP.create(KEY, (3, 5, 4, 2)), np.array([1.0, -2.0, 0.5], np.float32)
    assert [layer.weight.shape for layer in mlp.layers] == [(3, 5), (5, 4), (2, 4)]
    np.testing.assert_allclose(mlp(jnp.asarray(x)), by_hand(mlp.layers, x), rtol=1e-5)


def normed(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    centered = x - x.sum() / len(x)
    return centered / np.sqrt((centered**2).sum() / len(x) + 1e-5) * scale + shift


def test_layer_norm_by_hand():
    x = np.array([1.0, -2.0, 0.5, 7.0])
    norm = LayerNorm(jnp.array([1.0, 2.0, -1.0, 0.5]), jnp.array([0.0, 1.0, 2.0, 3.0]))
    expected = normed(x, np.asarray(norm.scale), np.asarray(norm.shift))
    np.testing.assert_allclose(norm(jnp.asarray(x, jnp.float32)), expected, rtol=1e-5)
    fresh = LayerNorm.create(4)(jnp.asarray(x, jnp.float32))
    assert fresh.mean() == pytest.approx(0, abs=1e-6)
    assert fresh.var() == pytest.approx(1, rel=1e-4)
    # A layer in which nothing fires has no spread: it must not become infinite.
    flat = jax.value_and_grad(lambda x: LayerNorm.create(4)(x).sum())(jnp.zeros(4))
    assert all(np.isfinite(part).all() for part in flat)


def test_layer_norms_stand_after_each_relu():
    mlp, x = MLP.create(KEY, (3, 5, 4, 2), layer_norm=True), np.array([1.0, -2.0, 0.5])
    assert [norm.scale.shape for norm in mlp.norms] == [(5,), (4,)]
    value = x
    for layer, norm in zip(mlp.layers[:-1], mlp.norms):
        weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
        value = np.maximum(value @ weight + bias, 0)
        value = normed(value, np.asarray(norm.scale), np.asarray(norm.shift))
    last = mlp.layers[-1]
    expected = np.asarray(last.weight) @ value + np.asarray(last.bias)
    np.testing.assert_allclose(mlp(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4)
    without = MLP.create(KEY, (3, 5, 4, 2))
    assert without.norms == () and len(jax.tree.leaves(without)) == 6
    np.testing.assert_array_equal(without.layers[0].weight, mlp.layers[0].weight)


@pytest.mark.parametrize("space", [Continuous(1), Discrete(3)])
def test_layer_norms_of_values_and_critics_learn(space: Continuous | Discrete):
    spec, o = Spec(2, space), jnp.array([0.3, -1.0])
    action = jnp.array([0.5]) if isinstance(space, Continuous) else jnp.int32(1)
    critics = Critics.create(KEY, spec, (8, 8), 2, layer_norm=True)
    slopes = jax.grad(lambda c: c(o, action).sum())(critics)
    norms = slopes.members.mlp.norms
    assert [norm.scale.shape for norm in norms] == [(2, 8), (2, 8)]
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(norms))
    value = Value.create(KEY, spec, (8,), layer_norm=True)
    assert len(value.mlp.norms) == 1 and np.isfinite(value(o))


def test_layers_start_uniform_within_one_over_the_root_of_their_inputs():
    layers = MLP.create(KEY, (16, 4900, 5000)).layers
    for layer, bound in zip(layers, (0.25, 4900**-0.5)):
        for part in (layer.weight, layer.bias):
            assert 0.998 * bound < float(jnp.abs(part).max()) <= 1.00001 * bound
            np.testing.assert_allclose(part.std(), bound / np.sqrt(3), rtol=0.05)
    drawn = [layers[0].weight[0], layers[0].bias, layers[1].weight[0], layers[1].bias]
    level = [np.asarray(part[:100] / jnp.abs(part).max()) for part in drawn]
    correlation = np.corrcoef(level) - np.eye(4)
    assert np.abs(correlation).max() < 0.4  # Drawn apart: three standard errors are 0.3.


def test_members_of_an_ensemble_differ_and_are_called_together():
    spec = Spec(2, Continuous(1))
    critics = Critics.create(KEY, spec, (4,), ensemble=3)
    o, a = jnp.array([0.3, -1.0]), jnp.array([0.5])
    together = critics(o, a)
    alone = [jax.tree.map(lambda x, i=i: x[i], critics.members)(o, a) for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert len(set(np.asarray(together).tolist())) == 3


@pytest.mark.parametrize("space", [Continuous(1), Discrete(3)])
def test_an_ensemble_at_rows_is_its_calls(space: Continuous | Discrete):
    critics = Critics.create(KEY, Spec(2, space), (4, 4), ensemble=3)
    o = jax.random.normal(KEY, (5, 2))
    is_continuous = isinstance(space, Continuous)
    a = jnp.linspace(-1, 1, 5)[:, None] if is_continuous else jnp.array([0, 1, 2, 1, 0])
    together = critics.at_rows(o, a)
    assert together.shape == (5, 3)
    np.testing.assert_allclose(together, [critics(*row) for row in zip(o, a)], rtol=1e-5)


def test_the_last_input_can_be_fixed():
    o = jnp.array([0.3, -1.0, 0.7])
    for sizes in [(3, 2), (3, 5, 2), (3, 5, 4, 2)]:
        mlp = MLP.create(KEY, sizes)
        np.testing.assert_allclose(mlp.with_last_input(o[2])(o[:2]), mlp(o), rtol=1e-5)


def test_critics_of_discrete_actions_index_their_row():
    critics = Critics.create(KEY, Spec(2, Discrete(4)), (4,))
    o = jnp.array([0.3, -1.0])
    assert critics.row(o).shape == (2, 4)
    for action in range(4):
        chosen = critics(o, jnp.int32(action))
        np.testing.assert_array_equal(chosen, critics.row(o)[:, action])


def test_forbidden_actions_are_minus_infinity_and_their_logits_finite():
    table = ActionTable.create(KEY, Spec(2, Discrete(3)), (4,))
    o = jnp.array([0.3, -1.0])
    masked = Masked(o, jnp.array([True, False, True]))
    np.testing.assert_array_equal(table.unmasked(masked), table.row(o))
    row = np.asarray(table.row(masked))
    assert row[1] == -np.inf and np.isfinite(row[[0, 2]]).all()


def test_value_reads_the_features_of_a_masked_observation():
    value, o = Value.create(KEY, Spec(2, Discrete(3)), (4,)), jnp.array([0.3, -1.0])
    assert value(Masked(o, jnp.ones(3, bool))) == value(o) and value(o).shape == ()


def test_gradients_reach_every_layer():
    critics = Critics.create(KEY, Spec(2, Continuous(1)), (8, 8))
    o, a = jnp.array([0.3, -1.0]), jnp.array([0.5])
    slopes = jax.grad(lambda c: c(o, a).sum())(critics)
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slopes))


def test_multiplier_is_positive_and_starts_where_told():
    multiplier = Multiplier.create(5.0)
    assert multiplier() == pytest.approx(5.0, rel=1e-6)
    assert multiplier.log == pytest.approx(np.log(5.0), rel=1e-6)
