"""What `speed.py` measures: sizes, log, count of operations, and how time is taken."""

import resource
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

OBSERVATION, ACTION, HIDDEN, BATCH = 17, 6, (256, 256), 256
CHOICES = 6  # Where actions are discrete.
ROWS, EPISODE = 100_000, 1_000
ROUNDS = 3
MEMBERS, MORE_MEMBERS = 8, 32  # Of populations.
ACTION_SAMPLES = 10  # Of CQL.
ALGORITHMS = ("iql", "td3_bc", "bc", "cql", "rebrac", "discrete_cql")


def synthetic_log(*, is_discrete: bool = False) -> dict[str, Any]:
    """Columns of noise; how fast an update is does not depend on what it learns."""
    draw = np.random.default_rng(0)
    amounts = draw.uniform(-1, 1, (ROWS, ACTION)).astype(np.float32)
    return {
        "observation": draw.standard_normal((ROWS, OBSERVATION)).astype(np.float32),
        "action": draw.integers(CHOICES, size=ROWS) if is_discrete else amounts,
        "reward": draw.standard_normal(ROWS).astype(np.float32),
        "terminated": np.arange(ROWS) % EPISODE == EPISODE - 1,
    }


def forward_flop(sizes: tuple[int, ...]) -> int:
    """Multiplications and additions of one batch through the layers of these sizes."""
    return 2 * BATCH * sum(inputs * outputs for inputs, outputs in pairwise(sizes))


def backward_flop(sizes: tuple[int, ...]) -> int:
    """Of the gradient of all weights: that of the first layer's input is not needed."""
    return forward_flop(sizes) + forward_flop(sizes[1:])


VALUE = (OBSERVATION, *HIDDEN, 1)
CRITIC = (OBSERVATION + ACTION, *HIDDEN, 1)
ACTOR = (OBSERVATION, *HIDDEN, ACTION)
STOCHASTIC_ACTOR = (OBSERVATION, *HIDDEN, 2 * ACTION)


def learning_flop(sizes: tuple[int, ...]) -> int:
    """Of a batch through the layers, and of the gradient of their weights."""
    return forward_flop(sizes) + backward_flop(sizes)


def bc_flop() -> float:
    """Operations in matrix products of one update that nothing can spare."""
    return learning_flop(ACTOR)


def iql_flop() -> float:
    """Likewise of IQL.

    Counts V(s) once. Who uses the new V in the actor, as stitchrl does, computes it twice
    (0.036 GFLOP more) and gets no credit for that here.
    """
    targets = 2 * forward_flop(CRITIC)
    values = learning_flop(VALUE) + forward_flop(VALUE)  # s; s'
    return targets + values + 2 * learning_flop(CRITIC) + learning_flop(ACTOR)


def td3_bc_flop() -> float:
    """Likewise of TD3+BC, whose actor moves every other time."""
    targets = forward_flop(ACTOR) + 2 * forward_flop(CRITIC)
    # Through one critic: the gradient of its input, not of its weights.
    actor = learning_flop(ACTOR) + 2 * forward_flop(CRITIC)
    return targets + 2 * learning_flop(CRITIC) + actor / 2


def cql_flop() -> float:
    """Likewise of CQL(H): samples drawn in three ways, networks of π once per state."""
    pushed_down = 2 * 3 * ACTION_SAMPLES * learning_flop(CRITIC)
    targets = forward_flop(STOCHASTIC_ACTOR) + 2 * forward_flop(CRITIC)
    actor = learning_flop(STOCHASTIC_ACTOR) + 2 * 2 * forward_flop(CRITIC)
    samples = 2 * forward_flop(STOCHASTIC_ACTOR)  # At s and s'.
    return pushed_down + 2 * learning_flop(CRITIC) + targets + actor + samples


FLOP = {"bc": bc_flop, "td3_bc": td3_bc_flop, "iql": iql_flop, "cql": cql_flop}


def measured(advance: Callable[[], int], *, seconds: float, windows: int) -> dict[str, Any]:
    """Updates per second in each of several windows that share `seconds` equally.

    `advance` takes some updates, waits until they are finished and returns how many. Its
    first call, which may compile, is timed apart: `first_call` less a later call.
    """
    first, later = _seconds_of(advance), _seconds_of(advance)
    rates = []
    for _ in range(windows):
        updates, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds / windows:
            updates += advance()
        rates.append(updates / (time.perf_counter() - start))
    return {
        "rates": rates,
        "compile_seconds": max(0.0, first - later),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _seconds_of(advance: Callable[[], int]) -> float:
    start = time.perf_counter()
    advance()
    return time.perf_counter() - start
