"""A population is its members: alone, padded, stopped, resumed, on one device or two."""

import os
import subprocess
import sys
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl import population
from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.checkpoint import restore_tree, tree_to_bytes
from stitchrl.experience import Experience, Fold
from stitchrl.ope.fqe_network import FQE, Actions
from stitchrl.population import (
    Members,
    advance_members,
    all_finite,
    by_program,
    for_each_member,
    gathered,
    member,
    spread,
    stack,
    start_members,
    train_population,
    unkeyed,
)
from stitchrl.testing import small_log
from stitchrl.train import train
from stitchrl.tree import hyperparameters, with_values

TINY: dict[str, Any] = {"hidden": (8,), "batch_size": 16}
ALGORITHMS = [
    DoubleDQN(**TINY),
    DoubleDQN(**TINY, learning_rate=1e-3),
    DoubleDQN(**TINY, discount=0.5, target_rate=0.1),
]
KEYS = [*jax.random.split(jax.random.key(0), 3)]


@pytest.fixture(scope="module")
def experience() -> Experience:
    return Experience.of(small_log("discrete"))


@pytest.fixture(scope="module")
def members(experience: Experience) -> Members:
    return start_members(ALGORITHMS, experience, KEYS)


def plain(members: Members) -> Any:
    return gathered(members._replace(runs=unkeyed(members.runs)))


def assert_same_bits(left: Any, right: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, left, right)


def assert_members_are_lone_runs(states: Any, experience: Experience, steps: int) -> None:
    for index, (algorithm, key) in enumerate(zip(ALGORITHMS, KEYS)):
        alone, _ = train(algorithm, experience, key, steps)
        one = member(states, index)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), one, alone)


def test_members_are_lone_runs(experience: Experience, members: Members):
    after, metrics, went = advance_members(members, experience, 4)
    assert went.tolist() == after.active.tolist() == [True] * 3
    assert after.runs.step.tolist() == [4, 4, 4]
    assert_members_are_lone_runs(gathered(after.runs.state), experience, 4)
    for index, (algorithm, key) in enumerate(zip(ALGORITHMS, KEYS)):
        alone = train(algorithm, experience, key, 4)[1]
        for name, value in alone.items():
            assert metrics[name][index] == pytest.approx(float(value), rel=1e-3, abs=1e-4)


def test_training_them_all_is_the_same(
    experience: Experience, members: Members, monkeypatch: pytest.MonkeyPatch
):
    times = []
    monkeypatch.setattr(population, "make_room", lambda: times.append("before"))
    states = train_population(ALGORITHMS, experience, KEYS, 4)
    after, _, _ = advance_members(members, experience, 4)
    assert_same_bits(states, gathered(after.runs.state))
    assert times == ["before"]


def test_logs_of_other_sizes_share_programs(experience: Experience):
    before = population._advance_members._cache_size()
    found = []
    for rows in (456, 480, 512):
        some = jax.tree.map(lambda x, rows=rows: x[:rows], experience)
        found.append(train_population(ALGORITHMS, some, KEYS, 6))
    assert population._advance_members._cache_size() == before + 1
    weights = [jax.tree.leaves(states)[0] for states in found]
    assert not np.array_equal(weights[0], weights[1])


def test_chunks_and_resumed_members_are_equal_bit_for_bit(
    experience: Experience, members: Members
):
    whole, _, _ = advance_members(members, experience, 4)
    half, _, _ = advance_members(members, experience, 2)
    data = tree_to_bytes(half)
    on, _, _ = advance_members(half, experience, 2)
    assert_same_bits(plain(on), plain(whole))
    other = start_members(ALGORITHMS, experience, KEYS[::-1])
    resumed, _, _ = advance_members(spread(restore_tree(data, other)), experience, 2)
    assert_same_bits(plain(resumed), plain(whole))


def test_a_member_that_stops_being_finite_keeps_its_state_and_troubles_nobody(
    experience: Experience, members: Members
):
    healthy, healthy_metrics, _ = advance_members(members, experience, 4)
    ill = with_values(ALGORITHMS[1], learning_rate=float("nan"))
    algorithms = stack([ALGORITHMS[0], ill, ALGORITHMS[2]])
    changed = spread(members._replace(algorithms=algorithms))
    after, metrics, went = advance_members(changed, experience, 4)
    assert went.tolist() == after.active.tolist() == [True, False, True]
    assert after.runs.step.tolist() == [4, 0, 4]
    assert_same_bits(member(plain(after).runs, 1), member(plain(members).runs, 1))
    for index in (0, 2):
        one, same = (member(plain(m).runs, index) for m in (after, healthy))
        assert_same_bits(one, same)
        for name, value in metrics.items():
            assert value[index] == healthy_metrics[name][index]

    # And it stays where it is, while the others go on.
    later, metrics, went = advance_members(after, experience, 4)
    assert went.tolist() == [True, False, True] and later.runs.step.tolist() == [8, 0, 8]
    assert_same_bits(member(plain(later).runs, 1), member(plain(members).runs, 1))
    assert all(np.isnan(value[1]) for value in metrics.values())
    assert all(np.isfinite(value[0]) for value in metrics.values())


def test_padding_repeats_the_first_and_is_inactive(
    experience: Experience, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(population, "devices", lambda: jax.devices() * 2)
    monkeypatch.setattr(population, "spread", lambda members: members)
    padded = start_members(ALGORITHMS, experience, KEYS)
    assert padded.active.tolist() == [True, True, True, False]
    assert_same_bits(member(plain(padded).runs, 3), member(plain(padded).runs, 0))
    even = start_members(ALGORITHMS[:2], experience, KEYS)
    assert even.active.tolist() == [True, True]


def test_only_runs_that_differ_in_floats_share_a_program():
    wide = DoubleDQN(hidden=(16,), batch_size=16)
    mixed = [ALGORITHMS[0], BC(**TINY), wide, ALGORITHMS[1], BC(**TINY, learning_rate=1.0)]
    assert by_program(mixed) == [[0, 3], [1, 4], [2]]
    with pytest.raises(ValueError, match="these differ in a class or in an int"):
        stack([ALGORITHMS[0], wide])
    stacked = stack(ALGORITHMS)
    np.testing.assert_allclose(stacked.discount, [0.99, 0.99, 0.5])
    assert member(stacked, 1).learning_rate == np.float32(1e-3)
    assert stacked.learning_rate.weak_type  # As of one algorithm alone: it promotes alike.
    assert stacked.hidden == (8,)


def shifted(tree: dict[str, jax.Array], shared: jax.Array) -> jax.Array:
    return tree["x"] * 2 + shared


def test_a_function_of_every_member():
    found = for_each_member(shifted, {"x": jnp.arange(3.0)}, jnp.array(1.0))
    np.testing.assert_array_equal(found, [1.0, 3.0, 5.0])


@pytest.mark.parametrize("value", [1.0, jnp.inf, jnp.nan])
def test_only_floating_point_leaves_are_asked_whether_they_are_finite(value: float):
    tree = {"a": jnp.array([0.0, value]), "count": jnp.array(3), "key": jax.random.key(0)}
    assert all_finite(tree) == np.isfinite(value)


@hyperparameters
class Ranking(BC):
    """Reads a number of its own when it prepares, and one that it does not."""

    prepared_by: ClassVar = ("cut",)

    cut: float = 0.0
    other: float = 0.0


def test_members_that_prepare_differently_are_trained_apart():
    cuts = (0.5, 0.25, 0.5, 0.25)
    ranked = [Ranking(**TINY, cut=cut, other=i) for i, cut in enumerate(cuts)]
    assert by_program([*ranked, BC(**TINY), *ranked[:1]]) == [[0, 2, 5], [1, 3], [4]]
    assert by_program([Ranking(**TINY, other=1.0), Ranking(**TINY)]) == [[0, 1]]


def test_arrays_of_other_shapes_are_other_programs():
    """FQE of a policy that takes one action, and of one of which three are drawn."""
    (fold,) = Fold.of([np.ones(5, bool)])
    one, three = (
        FQE(following=Actions(jnp.zeros((5, n, 2))), fold=fold, low=0.0, high=1.0)
        for n in (1, 3)
    )
    assert by_program([one, three, one]) == [[0, 2], [1]]


TWO_DEVICES = """
import dataclasses, sys
import jax, jax.numpy as jnp, numpy as np
assert len(jax.devices()) == 2
from stitchrl.algorithms.bc import BC
from stitchrl.experience import Experience
from stitchrl.population import *
from stitchrl.population import member
from stitchrl.testing import small_log
from stitchrl.train import train
experience = Experience.of(small_log("continuous"))
algorithms = [BC(hidden=(8,), batch_size=16, learning_rate=x) for x in (1e-3, 1e-2, 3e-3)]
keys = [*jax.random.split(jax.random.key(0), 3)]
members = start_members(algorithms, experience, keys)
assert members.active.tolist() == [True, True, True, False]
rates = members.algorithms.learning_rate.at[2].set(jnp.nan)
ill = dataclasses.replace(members.algorithms, learning_rate=rates)
for algorithms_, expected in ((members.algorithms, [1, 1, 1, 0]), (ill, [1, 1, 0, 0])):
    now = spread(members._replace(algorithms=algorithms_))
    for steps in (4, 8):
        now, metrics, went = advance_members(now, experience, 4)
        assert went.tolist() == expected == now.active.tolist(), went
        assert now.runs.step.tolist() == [steps * e for e in expected]
    states = gathered(now.runs.state)
    for i in range(sum(expected)):
        alone, _ = train(algorithms[i], experience, keys[i], 8)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
                     member(states, i), alone)
trained = train_population(algorithms, experience, keys, 4)
assert all(leaf.shape[0] == 3 for leaf in jax.tree.leaves(trained))
print("equal on two devices")
"""


def test_two_host_devices_give_the_same_members():
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-W", "error", "-c", TWO_DEVICES]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout == "equal on two devices\n"


SHARED = """
import jax, numpy as np
from stitchrl.population import everywhere
log = jax.device_put(np.arange(5000.0, dtype=np.float32))
columns = {"x": log, "key": jax.random.key(1)}
found = everywhere(columns)
places = {shard.data.unsafe_buffer_pointer() for shard in found["x"].addressable_shards}
assert len(jax.devices()) == len(found["x"].addressable_shards) == 2
assert places == {columns["x"].unsafe_buffer_pointer()}
assert everywhere(found)["x"] is found["x"]
assert len(found["key"].devices()) == 2
"""


def test_devices_of_one_machine_read_one_copy_of_a_log():
    flags = "--xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", SHARED], env=environment, check=True)
