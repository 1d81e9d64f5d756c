"""Networks against the same sums in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.networks import MLP, ActionTable, Critics, Linear, Multiplier, Value
from stitchrl.spaces import Continuous, Discrete, Masked, Spec

KEY = jax.random.key(0)


def by_hand(layers: tuple[Linear, ...], x: np.ndarray) -> np.ndarray:
    for layer in layers[:-1]:
        x = np.maximum(x @ np.asarray(layer.weight) + np.asarray(layer.bias), 0)
    return x @ np.asarray(layers[-1].weight) + np.asarray(layers[-1].bias)


def test_mlp_is_linear_layers_with_relu_between():
    mlp, x = MLP.create(KEY, (3, 5, 4, 2)), np.array([1.0, -2.0, 0.5], np.float32)
    assert [layer.weight.shape for layer in mlp.layers] == [(3, 5), (5, 4), (4, 2)]
    np.testing.assert_allclose(mlp(jnp.asarray(x)), by_hand(mlp.layers, x), rtol=1e-5)


def test_layers_start_uniform_within_one_over_the_root_of_their_inputs():
    layer = Linear.create(KEY, 16, 5000)
    for part in (layer.weight, layer.bias):
        assert float(jnp.abs(part).max()) <= 0.25
        assert float(jnp.abs(part).max()) > 0.249
        np.testing.assert_allclose(part.std(), 0.25 / np.sqrt(3), rtol=0.05)
    assert not np.array_equal(layer.weight[0], layer.bias)


def test_members_of_an_ensemble_differ_and_are_called_together():
    spec = Spec(2, Continuous(1))
    critics = Critics.create(KEY, spec, (4,), ensemble=3)
    o, a = jnp.array([0.3, -1.0]), jnp.array([0.5])
    together = critics(o, a)
    alone = [jax.tree.map(lambda x, i=i: x[i], critics.members)(o, a) for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert len(set(np.asarray(together).tolist())) == 3


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
