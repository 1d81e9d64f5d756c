"""Columns that are not on the device give the same run, and the same rows."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from stitchrl import stream
from stitchrl.algorithms import AWR, BC, IQL, DoubleDQN, FilteredBC, ReBRAC
from stitchrl.experience import Experience, draw_rows, take
from stitchrl.fit import fit
from stitchrl.guard import find_incident
from stitchrl.normalizer import Normalizer
from stitchrl.plan import Plan, members
from stitchrl.population import (
    advance_members,
    drawn_from,
    gathered,
    start_members,
    train_population,
)
from stitchrl.probing import make_probe
from stitchrl.splits import split
from stitchrl.stored import store, stored
from stitchrl.stream import Stream
from stitchrl.testing import small_log
from stitchrl.train import start
from stitchrl.tree import hyperparameters, with_values

TINY: dict[str, Any] = {"hidden": (8,), "batch_size": 16}
KEYS = [*jax.random.split(jax.random.key(0), 3)]
STEPS = 6
CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "iql": ("continuous", IQL, {}),
    "next_action": ("continuous", ReBRAC, {}),
    "n_steps": ("discrete", DoubleDQN, {"n_steps": 3}),
    "masked": ("masked", DoubleDQN, {}),
    "weighted": ("discrete", IQL, {"weight": True, "n_steps": 2}),
}


def both(kind: str, settings: dict[str, Any]) -> tuple[Experience, Experience]:
    """The same log on the device and on the host."""
    log = small_log(kind)
    if settings.get("weight"):
        weight = np.random.default_rng(0).exponential(size=log.size)
        settings = settings | {"weight": weight}
    there = Experience.of(log, **settings, on_device=False)
    return Experience.of(log, **settings), there


def streamed(algorithms: list, experience: Experience, chunks: int, steps: int):
    """States, metrics and flags after several chunks."""
    population = start_members(algorithms, experience, KEYS[: len(algorithms)])
    advance = Stream(population, drawn_from(algorithms[0], experience), steps)
    metrics = went = None
    for _ in range(chunks):
        population, metrics, went = advance(population)
    return gathered(population.runs.state), gathered(metrics), gathered(went)


def in_memory(algorithms: list, experience: Experience, chunks: int, steps: int):
    population = start_members(algorithms, experience, KEYS[: len(algorithms)])
    metrics = went = None
    for _ in range(chunks):
        population, metrics, went = advance_members(population, experience, steps)
    return gathered(population.runs.state), gathered(metrics), gathered(went)


@pytest.mark.parametrize("name", CASES)
def test_the_run_is_that_of_a_log_on_the_device(name: str):
    kind, algorithm, settings = CASES[name]
    here, there = both(kind, settings)
    algorithms = [algorithm(**TINY), algorithm(**TINY, learning_rate=1e-2)]
    found = streamed(algorithms, there, 2, STEPS)
    expected = in_memory(algorithms, here, 2, STEPS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected
    )


class Counts(NamedTuple):
    """How often each row was drawn."""

    of_row: Any


@hyperparameters
class CountRows:
    """An algorithm that learns which rows it was given, by what they hold."""

    batch_size: int = 64
    size: int = 512

    def init(self, key: Any, spec: Any) -> Counts:
        del key, spec
        return Counts(jnp.zeros(self.size))

    def sample(self, data: Any, key: Any) -> Any:
        return data.row[draw_rows(data, key, self.batch_size)]

    def update(self, state: Counts, batch: Any, key: Any) -> tuple[Counts, dict]:
        del key
        return Counts(state.of_row.at[batch].add(1.0)), {"first": batch[0].astype(float)}


def test_every_row_is_drawn_as_often_as_any_other():
    here, there = both("discrete", {})
    ((counts,), _, _) = streamed([CountRows()], there, 5, 200)
    assert counts.sum() == 5 * 200 * 64
    assert 0.01 < chisquare(counts[0]).pvalue < 0.99
    ((expected,), _, _) = in_memory([CountRows()], here, 5, 200)
    np.testing.assert_array_equal(counts, expected)


def test_rows_wait_for_the_device_in_blocks(monkeypatch: pytest.MonkeyPatch):
    _, there = both("continuous", {})
    algorithms = [IQL(**TINY)] * 2
    whole = streamed(algorithms, there, 2, 12)
    sizes = []
    gather = Stream._gathered
    monkeypatch.setattr(
        Stream,
        "_gathered",
        lambda self, rows: sizes.append(rows[0].shape) or gather(self, rows),
    )
    monkeypatch.setattr(stream, "MOST_BYTES", 5 * 2 * 16 * (4 * 8 + 1))
    parts = streamed(algorithms, there, 2, 12)
    assert {shape[:2] for shape in sizes} == {(2, 4)}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), parts, whole
    )


@pytest.mark.parametrize(
    "steps, most, block",
    [(12, 100, 12), (12, 5, 4), (12, 1, 2), (7, 3, 7), (9, 2, 3), (1, 5, 1)],
)
def test_a_block_divides_the_chunk_and_is_never_one_update(
    steps: int, most: int, block: int
):
    assert stream._block(steps, most) == block


def test_rows_of_the_right_updates_come_though_members_are_replaced():
    """Rows were gathered ahead for members that never came back."""
    _, there = both("discrete", {})
    algorithms = [CountRows()] * 2
    begin = start_members(algorithms, there, KEYS[:2])
    advance = Stream(begin, there, 4)
    once, _, _ = advance(begin)
    again, _, _ = advance(begin)
    counts = [gathered(one.runs.state.of_row) for one in (once, again)]
    np.testing.assert_array_equal(*counts)
    twice, _, _ = advance(once)
    assert gathered(twice.runs.state.of_row).sum() == 2 * 2 * 4 * 64


def test_a_member_that_stops_keeps_its_last_finite_state():
    here, there = both("discrete", {})
    reward = there.transitions.reward.copy()
    reward[:] = np.inf
    broken = with_values(there, transitions=there.transitions._replace(reward=reward))
    algorithm = DoubleDQN(**TINY)
    state, _, went = streamed([algorithm] * 2, broken, 2, STEPS)
    first = start(algorithm, here, KEYS[0]).state
    assert went.tolist() == [False, False]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b), state, first)
    with_infinity = with_values(
        here, transitions=here.transitions._replace(reward=jnp.asarray(reward))
    )
    run = start(algorithm, here, KEYS[0])
    found = find_incident(algorithm, broken, run, STEPS)
    assert found == find_incident(algorithm, with_infinity, run, STEPS)
    assert found.update == 0 and "critics" in found.quantities


@hyperparameters
class Chained(CountRows):
    """Draws a row, and then the one whose number it holds."""

    def sample(self, data: Any, key: Any) -> Any:
        return data.row[data.row[draw_rows(data, key, self.batch_size)]]


def test_rows_that_depend_on_rows_are_refused():
    _, there = both("discrete", {})
    population = start_members([Chained()], there, KEYS[:1])
    with pytest.raises(ValueError, match="Chained looks at rows to decide which others"):
        Stream(population, there, 4)


@pytest.mark.parametrize("algorithm", [AWR, FilteredBC])
def test_algorithms_that_order_all_rows_are_refused(algorithm: Any):
    _, there = both("discrete", {})
    with pytest.raises(ValueError, match=f"{algorithm.__name__} orders or sums up"):
        drawn_from(algorithm(**TINY), there)


def test_what_cannot_stream_says_what_can():
    _, there = both("discrete", {})
    with pytest.raises(ValueError, match=r"stitchrl\.stream\.Stream"):
        train_population([BC(**TINY)], there, KEYS[:1], 4)


@pytest.mark.parametrize("interrupted", [False, True])
def test_fit_goes_the_same_way_and_on_after_an_interruption(
    tmp_path: Path, interrupted: bool
):
    parts = split(small_log("continuous"), seed=0)
    normalizer = Normalizer.fit(parts.train)
    here = Experience.of(parts.train, normalizer)
    store(tmp_path / "log", [here])
    plan = Plan(log="small", algorithms={"iql": {"hidden": [[8]], "batch_size": [16]}})
    plans = members(plan.resolved(parts.train.spec), parts.train.spec)
    probe = make_probe(parts.selection, normalizer, seed=0, size=64)

    def train(experience: Experience, name: str, updates: int = 8) -> list:
        place = tmp_path / name
        return fit(plans, experience, probe, updates=updates, chunk=4, directory=place)

    if interrupted:
        train(stored(tmp_path / "log"), "there", 4)
    found, expected = train(stored(tmp_path / "log"), "there"), train(here, "here")
    for one, other in zip(found, expected):
        assert [record["step"] for record in one.records] == [4, 8]
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            one.state,
            other.state,
        )


def test_take_reads_rows_of_memory_maps(tmp_path: Path):
    here, _ = both("masked", {})
    store(tmp_path / "log", [here])
    rows = np.array([3, 1, 500])
    found = take(stored(tmp_path / "log").transitions, rows)
    jax.tree.map(
        np.testing.assert_array_equal, found, take(here.transitions, jnp.asarray(rows))
    )
