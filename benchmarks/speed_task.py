"""What `speed.py` measures: sizes, log, count of operations, and how time is taken."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

OBSERVATION, ACTION, HIDDEN, BATCH = 17, 6, (256, 256), 256
ROWS, EPISODE = 100_000, 1_000
ROUNDS = 3
MEMBERS = 8  # Of the population.
ACTION_SAMPLES = 10  # Of CQL.


def synthetic_log() -> dict[str, Any]:
    """Columns of noise; how fast an update is does not depend on what it learns."""
    draw = np.random.default_rng(0)
    return {
        "observation": draw.standard_normal((ROWS, OBSERVATION)).astype(np.float32),
        "action": draw.uniform(-1, 1, (ROWS, ACTION)).astype(np.float32),
        "reward": draw.standard_normal(ROWS).astype(np.float32),
        "terminated": np.arange(ROWS) % EPISODE == EPISODE - 1,
    }


def forward_flop(sizes: tuple[int, ...]) -> int:
    """Multiplications and additions of one batch through the layers of these sizes."""
    return 2 * BATCH * sum(inputs * outputs for inputs, outputs in pairwise(sizes))


def backward_flop(sizes: tuple[int, ...]) -> int:
    """Of the gradient of all weights: that of the first layer's input is not needed."""
    return forward_flop(sizes) + forward_flop(sizes[1:])


def iql_flop() -> int:
    """Operations in matrix products of one update of IQL that nothing can spare.

    Counts V(s) once. Who uses the new V in the actor, as stitchrl does, computes it twice
    (0.036 GFLOP more) and gets no credit for that here.
    """
    value = (OBSERVATION, *HIDDEN, 1)
    critic = (OBSERVATION + ACTION, *HIDDEN, 1)
    actor = (OBSERVATION, *HIDDEN, ACTION)
    targets = 2 * forward_flop(critic)
    values = forward_flop(value) + backward_flop(value) + forward_flop(value)  # s; s'
    critics = 2 * (forward_flop(critic) + backward_flop(critic))
    return targets + values + critics + forward_flop(actor) + backward_flop(actor)


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
    return {"rates": rates, "compile_seconds": max(0.0, first - later)}


def _seconds_of(advance: Callable[[], int]) -> float:
    start = time.perf_counter()
    advance()
    return time.perf_counter() - start
