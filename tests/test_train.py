"""The loop: numbered updates, chunks that are one run, probes that change nothing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.iql import IQL
from stitchrl.experience import Experience
from stitchrl.population import unkeyed
from stitchrl.testing import small_log
from stitchrl.train import (
    Run,
    advance,
    chunks,
    held,
    keys_of,
    prepare,
    probe,
    start,
    train,
)
from stitchrl.tree import hyperparameters

TINY: dict[str, Any] = {"hidden": (8,), "batch_size": 16}
KEY = jax.random.key(1)
IQL_TINY = IQL(**TINY)


@pytest.fixture(scope="module")
def experience() -> Experience:
    return Experience.of(small_log("continuous"))


@pytest.fixture(scope="module")
def first(experience: Experience) -> Run:
    return start(IQL_TINY, experience, KEY)


def assert_same_bits(left: Any, right: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, left, right)


def test_a_run_starts_at_update_zero(experience: Experience, first: Run):
    assert first.step == 0 and first.step.dtype == jnp.int32 and not first.step.weak_type
    other = start(IQL_TINY, experience, jax.random.key(2))
    weights = [run.state.actor.network.mlp.layers[0].weight for run in (first, other)]
    assert not np.array_equal(*weights)
    assert not np.array_equal(*map(jax.random.key_data, (first.key, other.key)))


def test_every_update_has_keys_of_its_own(first: Run):
    keys = [key for step in range(4) for key in keys_of(first.key, step)]
    data = {tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}
    assert len(data) == 8


def test_the_loop_is_update_after_update(experience: Experience, first: Run):
    state, seen = first.state, []
    update = jax.jit(IQL_TINY.update)
    for step in range(4):
        sample_key, update_key = keys_of(first.key, step)
        batch = IQL_TINY.sample(experience, sample_key)
        state, metrics = update(state, batch, update_key)
        seen.append(metrics)
    run, mean = advance(IQL_TINY, experience, first, 4)
    assert run.step == 4
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), run.state, state)
    for name, value in mean.items():
        assert value == pytest.approx(np.mean([m[name] for m in seen]), rel=1e-4)


def test_chunks_and_interruptions_are_one_run_bit_for_bit(
    experience: Experience, first: Run
):
    whole, metrics = train(IQL_TINY, experience, KEY, 8)
    handed_out = list(chunks(IQL_TINY, experience, first, until=8, every=2))
    assert [int(run.step) for run, _ in handed_out] == [2, 4, 6, 8]
    assert_same_bits(handed_out[-1][0].state, whole)
    again = list(chunks(IQL_TINY, experience, handed_out[1][0], until=8, every=4))
    assert [int(run.step) for run, _ in again] == [8]
    assert_same_bits(unkeyed(again[-1][0]), unkeyed(handed_out[-1][0]))
    for name, value in metrics.items():
        means = np.mean([m[name] for _, m in handed_out])
        assert value == pytest.approx(means, rel=1e-5)


def test_nothing_is_left_to_do_at_the_end(experience: Experience, first: Run):
    over = first._replace(step=jnp.array(8, jnp.int32))
    assert list(chunks(IQL_TINY, experience, over, until=8, every=2)) == []


@pytest.mark.parametrize("until, every, at", [(8, 1, 0), (8, 3, 0), (9, 2, 0), (8, 4, 2)])
def test_chunks_must_divide_the_plan(
    experience: Experience, first: Run, until: int, every: int, at: int
):
    run = first._replace(step=jnp.array(at, jnp.int32))
    with pytest.raises(ValueError, match="one size of at least 2") as caught:
        next(chunks(IQL_TINY, experience, run, until=until, every=every))
    assert f"chunks of {every} for updates {at} to {until}" in str(caught.value)


def test_a_run_is_a_pure_function_of_its_key(experience: Experience):
    keys = jax.random.split(KEY, 3)
    together, _ = jax.vmap(lambda key: train(BC(**TINY), experience, key, 3))(keys)
    for i, key in enumerate(keys):
        alone, _ = train(BC(**TINY), experience, key, 3)
        one = jax.tree.map(lambda x, i=i: x[i], together)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, alone)


@hyperparameters
class Counting(BC):
    """Reads all experience once, before the loop."""

    def prepare(self, experience: Experience):
        return jax.tree.map(lambda x: x[:2], experience)


def test_what_is_prepared_is_what_is_sampled_from(experience: Experience):
    assert_same_bits(prepare(BC(**TINY), experience), experience)
    assert prepare(Counting(**TINY), experience).size == 2


def test_holding_stops_every_optimizer_and_nothing_else():
    cql = CQL(learning_rate=0.1, actor_learning_rate=0.2, weight_learning_rate=0.3)
    still = held(cql)
    assert (still.learning_rate, still.actor_learning_rate) == (0, 0)
    assert still.weight_learning_rate == 0
    assert (still.discount, still.target_gap) == (cql.discount, cql.target_gap)
    assert jax.tree.structure(still) == jax.tree.structure(cql)


def test_a_probe_is_the_losses_at_present(experience: Experience, first: Run):
    run, _ = advance(IQL_TINY, experience, first, 4)
    batch = IQL_TINY.sample(experience, jax.random.key(7))
    metrics = probe(IQL_TINY, run.state, batch, KEY)
    value, critics = run.state.value.network, run.state.critics.network
    targets, actor = run.state.target_critics, run.state.actor.network
    expected = (
        IQL_TINY.value_loss(value, targets, batch)[1]
        | IQL_TINY.critic_loss(critics, value, batch)[1]
        | IQL_TINY.actor_loss(actor, critics, targets, value, batch)[1]
    )
    assert metrics.keys() == expected.keys()
    for name, number in metrics.items():
        assert number == pytest.approx(float(expected[name]), rel=1e-5)
