"""What an accelerator makes of it: `benchmarks/gpu.sh`, under nine minutes.

    python benchmarks/gpu.py [--tiny] [--limit 500] [--out results/gpu.json]

First the settings of XLA's command buffers are swept on one run of IQL. With the best of
them: other algorithms, populations of IQL from 1 to 1024, precisions of products and the
scores that they lead to, and two loops as other packages write them. Every part is a
process of its own; parts that would begin after --limit seconds are left out, and listed.
--tiny runs each kind of part once, at the smallest size, to see that it works.
benchmarks/README.md explains.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from stitchrl.devices import PRECISIONS

SETTINGS = {  # Of XLA. The first is what it does by itself.
    "default": "",
    "loops": "--xla_gpu_enable_command_buffer=+WHILE",
    "unrolled": "--xla_gpu_command_buffer_unroll_loops=true",
    "concurrent": "--xla_gpu_command_buffer_scheduling_mode=CONCURRENT_REGIONS",
    "small": "--xla_gpu_graph_min_graph_size=1",
    "none": "--xla_gpu_enable_command_buffer=",
}
POPULATIONS = (1, 8, 32, 128, 256, 1024)
WINDOWS = 3
MORE = 35.0  # Seconds that the last part may take beyond the limit.
SEEDS = 32  # Of which the scores are compared that a precision leads to.
UNROLLED = 8  # Updates in one program, written out, as in JAX-CORL.


class Part(NamedTuple):
    """One process: its name in the results, and what it measures."""

    name: str
    algorithm: str
    way: str  # "single", "population", "unrolled", "dispatched" or "score".
    members: int = 1
    precision: str = "tensorfloat32"
    setting: str | None = None  # None: the best of those swept.


def all_parts(tiny: bool) -> list[Part]:
    """In order; the sweep of settings first."""
    sweep = [Part(f"iql_{name}", "iql", "single", setting=name) for name in SETTINGS]
    peers = [
        Part("iql_loop_of_8_unrolled", "iql", "unrolled"),
        Part("iql_loop_of_dispatches", "iql", "dispatched"),
    ]
    if tiny:
        score = Part("score_float32", "iql", "score", 2, "float32")
        return [sweep[0], Part("iql_population_2", "iql", "population", 2), *peers, score]
    others = ("td3_bc", "bc", "cql", "rebrac", "discrete_cql")
    return [
        *sweep,
        *(Part(f"iql_population_{n}", "iql", "population", n) for n in POPULATIONS),
        *peers,
        *(Part(f"{name}_single", name, "single") for name in others),
        *(
            Part(f"iql_population_256_{p}", "iql", "population", 256, p)
            for p in PRECISIONS
            if p != Part._field_defaults["precision"]
        ),
        Part("iql_float32", "iql", "single", precision="float32"),
        *(Part(f"score_{p}", "iql", "score", SEEDS, p) for p in PRECISIONS),
        Part("cql_population_32", "cql", "population", 32),
    ]


def scored(part: Part, *, tiny: bool) -> dict[str, Any]:
    """How often IQL arrives in the plane of `bench-stitching`, for every seed."""
    import jax
    import jax.numpy as jnp
    import stitching
    from seeds import make, states_of

    from stitchrl.population import member
    from stitchrl.problems import stitching_plane

    dataset = stitching_plane.log(seed=0)
    settings = stitching.PLANE_SETTINGS | stitching.PLANE_OTHERS["iql"]
    algorithm = make("bc" if tiny else "iql", dataset, {} if tiny else settings)
    steps = 4 if tiny else stitching.PLANE_STEPS
    states = states_of(algorithm, dataset, key=0, seeds=part.members, steps=steps)
    act = jax.jit(lambda state, seen: jax.vmap(algorithm.policy(state).mode)(seen))

    def score(state: Any) -> float:
        return stitching_plane.success(lambda seen: act(state, jnp.float32(seen)))

    scores = [score(member(states, seed)) for seed in range(part.members)]
    return {"scores": scores, **facts()}


def facts() -> dict[str, Any]:
    """What a part was measured on."""
    import jax

    device = jax.devices()[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use", 0)
    return {"device": device.device_kind, "jax": jax.__version__, "device_bytes": peak}


def measure(part: Part, *, seconds: float, tiny: bool) -> dict[str, Any]:
    """Member-updates per second, in this process, whose environment is set already."""
    import jax
    import speed_stitchrl as ours
    import speed_task as task

    from stitchrl.experience import take
    from stitchrl.population import advance_members, drawn_from, start_members
    from stitchrl.train import advance, keys_of, start

    if tiny:
        task.HIDDEN, task.BATCH, task.ROWS = (8, 8), 16, 2_000
    name = "bc" if tiny else part.algorithm  # It compiles in no time.
    algorithm, log = ours.make(name), ours.experience(name)
    steps = 4 if tiny else {"cql": 200}.get(part.algorithm, 2_000)
    key = jax.random.key(0)
    wait = jax.block_until_ready

    if part.way == "population":
        count = part.members
        steps = steps if tiny else max(20, steps // count)
        algorithms = [algorithm] * count
        members = start_members(algorithms, log, [*jax.random.split(key, count)])
        data = drawn_from(algorithm, log)

        def go() -> int:
            nonlocal members
            members, metrics, _ = advance_members(members, data, steps)
            wait((members.runs.state, metrics))
            return steps * count

    elif part.way == "single":
        run = start(algorithm, log, key)

        def go() -> int:
            nonlocal run
            run, metrics = advance(algorithm, log, run, steps)
            wait((run.state, metrics))
            return steps

    elif part.way == "unrolled":
        state = start(algorithm, log, key).state

        @jax.jit
        def several(state: Any, log: Any, first: Any) -> Any:
            for offset in range(UNROLLED):
                sample_key, update_key = keys_of(key, first + offset)
                batch = algorithm.sample(log, sample_key)
                state, metrics = algorithm.update(state, batch, update_key)
            return state, metrics

        number = 0

        def go() -> int:
            nonlocal state, number
            for _ in range(steps // UNROLLED or 1):
                state, metrics = several(state, log, number)
                number += UNROLLED
            wait((state, metrics))
            return UNROLLED * (steps // UNROLLED or 1)

    else:
        state = start(algorithm, log, key).state
        columns = jax.tree.map(np.asarray, log.transitions)
        draw, update = np.random.default_rng(0), jax.jit(algorithm.update)

        def go() -> int:
            nonlocal state
            for _ in range(steps):
                rows = draw.integers(task.ROWS, size=task.BATCH)
                batch = take(columns, rows)
                state, metrics = update(state, batch, key)
            wait((state, metrics))
            return steps

    return task.measured(go, seconds=seconds, windows=WINDOWS) | facts()


def run(
    part: Part, setting: str, *, seconds: float, timeout: float, tiny: bool
) -> dict[str, Any]:
    """The part in a process of its own. A setting that XLA refuses is an answer, too."""
    environment = {
        **os.environ,
        "XLA_FLAGS": SETTINGS[setting],
        "JAX_DEFAULT_MATMUL_PRECISION": part.precision,
    }
    command = [sys.executable, __file__, "--part", json.dumps(part), "--seconds", seconds]
    command += ["--tiny"] if tiny else []
    try:
        ended = subprocess.run(
            [*map(str, command)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not over after {timeout:.0f} s"}
    if ended.returncode:
        return {"failed": ended.stderr[-500:]}
    return json.loads(ended.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="see that it works")
    parser.add_argument("--limit", type=float, default=500.0, help="seconds in all")
    parser.add_argument("--seconds", type=float, default=4.5, help="of a part's windows")
    parser.add_argument("--out", type=Path, help="instead of results/gpu.json")
    parser.add_argument("--part", help="one part, in this process")
    options = parser.parse_args()
    if options.part:
        part = Part(*json.loads(options.part))
        if part.way == "score":
            print(json.dumps(scored(part, tiny=options.tiny)))
        else:
            print(json.dumps(measure(part, seconds=options.seconds, tiny=options.tiny)))
        return
    begun, found, left_out = time.perf_counter(), {}, []
    best = next(iter(SETTINGS))
    ask = partial(run, seconds=0.05 if options.tiny else options.seconds, tiny=options.tiny)
    for part in all_parts(options.tiny):
        left = options.limit - (time.perf_counter() - begun)
        if left < 0:
            left_out.append(part.name)
            continue
        one = found[part.name] = ask(part, part.setting or best, timeout=left + MORE)
        if "failed" in one:
            print(f"{part.name:32s} failed: {one['failed'].strip()[-200:]}", flush=True)
            continue
        if "scores" in one:
            print(f"{part.name:32s} {np.mean(one['scores']):12.3f} arrive", flush=True)
            continue
        rate = median(one["rates"])
        print(f"{part.name:32s} {rate:12,.0f} updates/s", flush=True)
        if part.setting and rate > median(found[f"iql_{best}"].get("rates", [0])):
            best = part.setting
    save_results(found, best, left_out, options.out, tiny=options.tiny)


def save_results(
    found: dict[str, Any], best: str, left_out: list[str], out: Path | None, *, tiny: bool
) -> None:
    """As all results: rows of figures, with the machine and the settings."""
    import record
    from speed_figures import spread

    rows, failed = [], {}
    for name, one in found.items():
        if "failed" in one:
            failed[name] = one["failed"]
            continue
        if "scores" in one:
            low, high = record.interval_of_mean(np.array(one["scores"]))
            mean, n = float(np.mean(one["scores"])), len(one["scores"])
            rows.append(record.row(name, mean, unit="share", n=n, low=low, high=high))
            continue
        rows.append(spread(f"{name}_rate", one["rates"], "member-updates/s"))
        rows.append(spread(f"{name}_compile", [one["compile_seconds"]], "s"))
        memory = one["device_bytes"] / 2**20
        rows.append(spread(f"{name}_device_memory", [memory], "MiB"))
    measured = [one for one in found.values() if "failed" not in one]
    if not measured:
        raise SystemExit(f"No part ran: {failed}")
    facts = {
        "best_setting": best,
        "flags": SETTINGS[best],
        "failed": failed,
        "left_out": left_out,
        "tiny": tiny,
    }
    machine = measured[0]["device"]
    versions = {"jax": measured[0]["jax"]}
    if out is None:
        facts |= {"machine": machine, "versions": versions}
        record.save("gpu", rows, command="benchmarks/gpu.sh", **facts)
    else:
        from stitchrl import artifacts

        content = {"machine": machine, "versions": versions, "rows": rows, **facts}
        artifacts.save_json(out, content)


if __name__ == "__main__":
    main()
