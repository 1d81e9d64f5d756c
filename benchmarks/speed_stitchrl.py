"""One part of `speed.py`, in a process of its own: updates per second of stitchrl."""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from functools import partial

import jax
import numpy as np
import speed_task as task

from stitchrl import devices
from stitchrl.algorithms import BC, CQL, IQL, TD3BC, DiscreteCQL, ReBRAC
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.experience import Experience
from stitchrl.population import advance_members, start_members
from stitchrl.train import advance, prepare, start

ALGORITHMS = {
    "iql": IQL,
    "bc": BC,
    "td3_bc": TD3BC,
    "cql": CQL,
    "rebrac": ReBRAC,
    "discrete_cql": DiscreteCQL,
}
# Updates in one program: about a second of one run, two of a population.
CHUNK = {
    "iql": 200,
    "bc": 1000,
    "td3_bc": 200,
    "cql": 14,
    "rebrac": 200,
    "discrete_cql": 400,
}
MORE = {"cql": {"action_samples": task.ACTION_SAMPLES}}


def experience(name: str) -> Experience:
    """The synthetic log, as training sees it."""
    is_discrete = name.startswith("discrete")
    columns = task.synthetic_log(is_discrete=is_discrete)
    truncated = np.zeros(task.ROWS, bool)
    if is_discrete:
        choices = Choices(labels=tuple(map(str, range(task.CHOICES))))
        log = Dataset.create(**columns, truncated=truncated, actions=choices)
        return Experience.of(log)
    bounds = Bounds(
        names=tuple(f"a{i}" for i in range(task.ACTION)),
        low=(-1.0,) * task.ACTION,
        high=(1.0,) * task.ACTION,
    )
    return Experience.of(Dataset.create(**columns, truncated=truncated, actions=bounds))


def single(name: str, seconds: float, windows: int) -> dict:
    """One run, with as many threads as JAX takes by itself."""
    steps, algorithm = CHUNK[name], make(name)
    data = prepare(algorithm, experience(name))
    run = start(algorithm, data, jax.random.key(0))

    def go() -> int:
        nonlocal run
        run, metrics = advance(algorithm, data, run, steps)
        jax.block_until_ready((run.state, metrics))
        return steps

    return measured(go, seconds, windows)


def population(name: str, count: int, seconds: float, windows: int) -> dict:
    """Several runs that differ in seed, dealt to one host device for each core."""
    steps, algorithms = CHUNK[name] // 2, [make(name)] * count
    keys = [*jax.random.split(jax.random.key(0), count)]
    data = prepare(algorithms[0], experience(name))
    members = start_members(algorithms, data, keys)

    def go() -> int:
        nonlocal members
        members, metrics, went = advance_members(members, data, steps)
        jax.block_until_ready((members.runs.state, metrics))
        if not np.asarray(went).all():
            raise SystemExit("A member stopped: its numbers were no longer finite.")
        return steps * count

    return measured(go, seconds, windows)


def measured(go: Callable[[], int], seconds: float, windows: int) -> dict:
    """Also how long the first call takes in a process that finds its program on disk."""
    with tempfile.TemporaryDirectory() as place:
        jax.config.update("jax_compilation_cache_dir", place)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        result = task.measured(go, seconds=seconds, windows=windows)
        jax.clear_caches()
        again = task.measured(go, seconds=0, windows=0)["compile_seconds"]
        jax.config.update("jax_compilation_cache_dir", None)
    return result | {"cached_seconds": again}


def make(name: str):
    """The algorithm with the sizes of the benchmark."""
    sizes = {"hidden": task.HIDDEN, "batch_size": task.BATCH}
    return ALGORITHMS[name](**sizes, **MORE.get(name, {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=ALGORITHMS)
    parser.add_argument("--population", type=int, help="how many runs at once")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--windows", type=int, required=True)
    options = parser.parse_args()
    if options.population:
        devices.prepare(host_devices=devices.thread_count())
        measure = partial(population, options.algorithm, options.population)
    else:
        measure = partial(single, options.algorithm)
    result = measure(options.seconds, options.windows)
    result["flags"] = os.environ.get("XLA_FLAGS", "")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
