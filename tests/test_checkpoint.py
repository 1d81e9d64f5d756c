"""Trees come back bit for bit, and a run goes on from the newest whole checkpoint."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stitchrl import devices
from stitchrl.artifacts import ArtifactError
from stitchrl.checkpoint import (
    load_checkpoint,
    restore_tree,
    save_checkpoint,
    saved_steps,
    tree_to_bytes,
)
from stitchrl.tree import pytree


@pytree
class Layer:
    weight: Any
    bias: Any
    width: int


class State(NamedTuple):
    layers: tuple[Layer, ...]
    optimizer: Any
    step: Any
    key: Any


def state(seed: int = 0) -> State:
    keys = jax.random.split(jax.random.key(seed), 3)
    layer = Layer(jax.random.normal(keys[0], (2, 3)), jnp.full(3, jnp.nan), 3)
    optimizer = optax.adam(0.1).init((layer,))  # pyright: ignore[reportArgumentType]
    return State((layer,), optimizer, jnp.array(7), keys)


def bits(tree: Any) -> list[tuple[Any, ...]]:
    def raw(leaf: Any) -> Any:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if is_key else leaf

    leaves = jax.tree.leaves(tree)
    return [(x.shape, x.dtype, np.asarray(raw(x)).tobytes()) for x in leaves]


def test_a_state_comes_back_bit_for_bit_from_its_shape_alone():
    tree = state()
    data = tree_to_bytes(tree)
    assert data == tree_to_bytes(state())
    for like in (tree, state(1), jax.eval_shape(state)):
        again = restore_tree(data, like)
        assert jax.tree.structure(again) == jax.tree.structure(tree)
        assert bits(again) == bits(tree)
        assert again.layers[0].width == 3
        assert again.step.weak_type == tree.step.weak_type
        drawn, expected = (jax.random.normal(t.key[2], (4,)) for t in (again, tree))
        np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_of_every_kind_come_back_as_keys_of_that_kind(kind):
    keys = {"one": jax.random.key(3, impl=kind)}
    again = restore_tree(tree_to_bytes(keys), keys)["one"]
    assert again.dtype == keys["one"].dtype and again.shape == ()
    assert jax.random.bits(again) == jax.random.bits(keys["one"])
    other = {"one": jax.random.key(3, impl="rbg" if kind != "rbg" else "threefry2x32")}
    with pytest.raises(ArtifactError, match=r"tensor '\['one'\]' has .*type key<"):
        restore_tree(tree_to_bytes(keys), other)


def test_numbers_and_numpy_arrays_keep_their_kind():
    tree = {"a": 0.1, "b": np.arange(3.0), "c": True, "d": 2**40, "e": np.float64(0.1)}
    again = restore_tree(tree_to_bytes(tree), tree)
    assert type(again["b"]) is np.ndarray and again["b"].dtype == np.float64
    np.testing.assert_array_equal(again.pop("b"), tree.pop("b"))
    assert again == tree
    assert [type(again[name]) for name in "acd"] == [float, bool, int]


def wrong(tree: Any, like: Any) -> str:
    with pytest.raises(ArtifactError) as caught:
        restore_tree(tree_to_bytes(tree), like, source="run/weights")
    return str(caught.value)


def test_errors_name_the_tensor():
    tree = {"net": {"weight": jnp.zeros((2, 3))}, "step": jnp.int32(1)}
    place = "'run/weights': tensor '['net']['weight']' has shape (2, 3) and type float32"
    like = tree | {"net": {"weight": jnp.zeros((3, 2))}}
    assert f"{place}, but shape (3, 2) and type float32 are expected" in wrong(tree, like)
    like = tree | {"net": {"weight": jnp.zeros((2, 3), jnp.int32)}}
    assert f"{place}, but shape (2, 3) and type int32 are expected" in wrong(tree, like)
    like = tree | {"net": {"weight": jax.random.key(0)}}
    assert f"{place}, but shape () and type key<fry> are expected" in wrong(tree, like)
    like = {"net": {"bias": jnp.zeros(3)}, "step": jnp.int32(1)}
    said = wrong(tree, like)
    assert "missing are [\"['net']['bias']\"], too many are [\"['net']['weight']\"]" in said
    assert "(1 and 1 in all)" in said
    assert "tensor '['step']' has shape () and type uint32, but shape () and type key" in (
        wrong({"step": jnp.uint32(1)}, {"step": jax.random.key(0)})
    )
    with pytest.raises(ArtifactError, match=r"Tensor '\['net'\]' is of type str; only"):
        tree_to_bytes({"net": "text"})


def test_64_bits_are_not_silently_halved():
    tree = {"a": np.float64(0.1)}
    like = {"a": jax.ShapeDtypeStruct((), np.float64)}
    assert "shape () and type float32, but shape () and type float64" in wrong(tree, like)


def save(path: Path, *steps: int) -> None:
    for step in steps:
        tree = {"w": jnp.full(3, step, jnp.float32)}
        save_checkpoint(path, tree, step=step, chunk=5, header={"plan": "abc"})


LIKE = {"w": jax.ShapeDtypeStruct((3,), jnp.float32)}


def test_the_last_two_are_kept_and_the_newest_is_loaded(tmp_path):
    save(tmp_path, 5, 10, 15)
    assert sorted(os.listdir(tmp_path)) == ["000000000010", "000000000015"]
    tree, step, header, warning = load_checkpoint(tmp_path, LIKE)
    assert (step, warning) == (15, "")
    np.testing.assert_array_equal(tree["w"], [15, 15, 15])
    assert header["step"] == 15 and header["chunk"] == 5 and header["plan"] == "abc"
    assert devices.differences(header["devices"], devices.describe()) == []


def test_loading_the_newest_until_a_step(tmp_path):
    save(tmp_path, 5, 10)
    assert saved_steps(tmp_path) == [5, 10]
    assert [load_checkpoint(tmp_path, LIKE, until=n).step for n in (5, 9, 10)] == [5, 5, 10]
    with pytest.raises(ArtifactError, match="no whole checkpoint"):
        load_checkpoint(tmp_path, LIKE, until=4)
    assert saved_steps(tmp_path / "nowhere") == []


def test_a_damaged_one_is_reported_and_the_one_before_it_used(tmp_path):
    save(tmp_path, 5, 10)
    weights = tmp_path / "000000000010" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    tree, step, _, warning = load_checkpoint(tmp_path, LIKE)
    assert step == 5 and tree["w"][0] == 5
    assert f"The newest checkpoint is damaged: '{weights}' has the SHA-256" in warning
    assert "Going on from the one before, of step 5" in warning
    (tmp_path / "000000000005" / "header.json").unlink()
    with pytest.raises(ArtifactError, match="no whole checkpoint in .*lacks the file"):
        load_checkpoint(tmp_path, LIKE)


def test_resuming_before_the_newest_gives_up_its_future(tmp_path):
    save(tmp_path, 5, 10)
    (tmp_path / "000000000010" / "MANIFEST.json").write_bytes(b"{}")
    assert load_checkpoint(tmp_path, LIKE).step == 5
    save(tmp_path, 7)
    loaded = load_checkpoint(tmp_path, LIKE)
    assert (loaded.step, loaded.warning) == (7, "")
    assert sorted(os.listdir(tmp_path)) == ["000000000005", "000000000007"]


def test_another_tree_is_an_error_and_no_reason_to_fall_back(tmp_path):
    save(tmp_path, 5, 10)
    with pytest.raises(ArtifactError, match="0000010/weights.*tensor.*has shape"):
        load_checkpoint(tmp_path, {"w": jnp.zeros(4)})
    with pytest.raises(ArtifactError, match="no whole checkpoint in .*nowhere'.*anew"):
        load_checkpoint(tmp_path / "nowhere", LIKE)


LOOP = """
import sys
import jax.numpy as jnp
from stitchrl.checkpoint import load_checkpoint, save_checkpoint
path, like = sys.argv[1], {"w": jnp.zeros(2000, jnp.int32)}
step = load_checkpoint(path, like).step if sys.argv[2] == "resume" else 0
for step in range(step + 5, 10_000_000, 5):
    save_checkpoint(path, {"w": like["w"] + step}, step=step, chunk=5)
    print(step, flush=True)
"""


def test_after_a_kill_the_run_goes_on(tmp_path):
    draw = random.Random(0)
    like = {"w": jnp.zeros(2000, jnp.int32)}
    for mode in ("new", "resume", "resume"):
        command = [sys.executable, "-c", LOOP, tmp_path, mode]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            said = int(process.stdout.readline())
            time.sleep(draw.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            said = int(([said] + process.stdout.read().split())[-1])
        tree, step, _, warning = load_checkpoint(tmp_path, like)
        assert step in (said, said + 5) and warning == ""
        np.testing.assert_array_equal(tree["w"], step)
