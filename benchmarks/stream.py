"""20 million transitions on disk, beside the same in memory: `make bench-stream`.

    python benchmarks/stream.py [--rows 20000000] [--seconds 20] [--rounds 3]

A log of noise is stored once in .bench/stream. Then IQL, two members, in processes of their
own that alternate: columns as memory maps, and as arrays on the device. Writes
results/stream.json; benchmarks/README.md explains.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import speed_task as task
from record import save
from speed import machine
from speed_figures import spread

from stitchrl import devices
from stitchrl.algorithms import BC, IQL
from stitchrl.experience import Experience, Transition
from stitchrl.population import advance_members, drawn_from, start_members
from stitchrl.stored import store, stored
from stitchrl.stream import Stream

KEPT = Path(__file__).parents[1] / ".bench" / "stream"
PIECE = 500_000
CHUNK = {"iql": 200, "bc": 500}
ALGORITHMS = {"iql": IQL, "bc": BC}
WINDOWS = 4


def pieces(rows: int) -> Iterator[Experience]:
    """Noise, as many rows as asked, in pieces."""
    draw = np.random.default_rng(0)
    for first in range(0, rows, PIECE):
        size = min(PIECE, rows - first)
        seen = draw.standard_normal((size + 1, task.OBSERVATION), np.float32)
        ends = np.arange(size) % task.EPISODE == task.EPISODE - 1
        columns = Transition(
            observation=seen[:-1],
            action=draw.random((size, task.ACTION), np.float32) * 2 - 1,
            reward=draw.standard_normal(size, np.float32),  # pyright: ignore[reportArgumentType]
            next_observation=seen[1:],
            terminated=ends,  # pyright: ignore[reportArgumentType]
        )
        yield Experience(
            transitions=jax.device_put(columns),
            episode_end=jnp.asarray(ends),
            episode_return=jnp.zeros(size),
            row=jnp.arange(size, dtype=jnp.int32),
        )


class Anonymous(threading.Thread):
    """The most memory of this process that no file stands behind, looked up 20 times a
    second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            found = next(int(x.split()[1]) for x in lines if x.startswith("RssAnon"))
            self.most = max(self.most, found * 1024)
            time.sleep(0.05)


def measure(name: str, way: str, place: Path, seconds: float) -> dict:
    """Updates per second of both members together."""
    devices.prepare(host_devices=devices.thread_count())
    watch = Anonymous()
    watch.start()
    log = stored(place, check=False)
    if way == "memory":
        copy = jax.tree.map(np.array, log)
        log = jax.device_put(copy)
    algorithms = [ALGORITHMS[name](hidden=task.HIDDEN, batch_size=task.BATCH)] * 2
    keys = [*jax.random.split(jax.random.key(0), 2)]
    members, steps = start_members(algorithms, log, keys), CHUNK[name]
    data = drawn_from(algorithms[0], log)
    stream = Stream(members, data, steps) if way == "stream" else None

    def go() -> int:
        nonlocal members
        if stream is None:
            members, metrics, _ = advance_members(members, data, steps)
        else:
            members, metrics, _ = stream(members)
        jax.block_until_ready((members.runs.state, metrics))
        return 2 * steps

    found = task.measured(go, seconds=seconds, windows=WINDOWS)
    return found | {"anonymous_bytes": watch.most}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", help="one process: ALGORITHM WAY", nargs=2)
    options = parser.parse_args()
    place = KEPT / f"log-{options.rows}"
    if options.part:
        print(json.dumps(measure(*options.part, place, options.seconds)))
        return
    if not place.is_dir():
        print(f"Storing {options.rows:,} transitions", flush=True)
        store(place, pieces(options.rows))
    found: dict[tuple[str, str], list[dict]] = {}
    for number in range(options.rounds):
        for name in ALGORITHMS:
            for way in ("stream", "memory"):
                command = [sys.executable, __file__, "--part", name, way]
                command += ["--rows", str(options.rows), "--seconds", str(options.seconds)]
                environment = os.environ | {"JAX_PLATFORMS": "cpu"}
                ended = subprocess.run(
                    command, capture_output=True, text=True, env=environment
                )
                if ended.returncode:
                    raise SystemExit(f"{name} {way} failed:\n{ended.stderr}")
                one = json.loads(ended.stdout.splitlines()[-1])
                found.setdefault((name, way), []).append(one)
                rate = np.median(one["rates"])
                anonymous = one["anonymous_bytes"] / 2**20
                print(
                    f"{number} {name} {way:7s} {rate:8.1f} {anonymous:8.0f} MiB", flush=True
                )
    rows = []
    for name in ALGORITHMS:
        rates = {
            way: [float(np.median(one["rates"])) for one in found[name, way]]
            for way in ("stream", "memory")
        }
        ratio = [a / b for a, b in zip(rates["stream"], rates["memory"])]
        first = "" if name == "iql" else f"{name}_"
        rows.append(spread(f"{first}streaming_over_resident", ratio, "ratio"))
        for way in ("stream", "memory"):
            peak = [one["anonymous_bytes"] / 2**20 for one in found[name, way]]
            rows.append(spread(f"{name}_{way}_anonymous", peak, "MiB"))
            rows.append(spread(f"{name}_{way}_rate", rates[way], "updates/s"))
    usual = options.rows == parser.get_default("rows")
    command = "make bench-stream" + ("" if usual else f' ARGS="--rows {options.rows}"')
    save("stream", rows, command=command, machine=machine(), versions=devices.versions(),
         rows_stored=options.rows)  # fmt: skip
    for entry in rows:
        print("{figure:34s} {value:9.2f} {unit}  ({low:.2f} to {high:.2f})".format(**entry))


if __name__ == "__main__":
    main()
