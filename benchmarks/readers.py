"""How fast logs are read, on one core, and with how much memory: `make bench-readers`.

    python benchmarks/readers.py [--repeats 5]

Logs of noise with 20 columns of numbers are written once into .bench/readers. Each reading
is a process of its own on one core. Writes results/readers.json; benchmarks/README.md
explains.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

KEPT = Path(__file__).parents[1] / ".bench" / "readers"
OBSERVATION, ACTION, EPISODE = 14, 6, 1000
ROWS = {"hdf5": 5_000_000, "parquet": 2_000_000, "csv": 1_000_000}
TOUCHED = 2**31  # Bytes, before a reading; more than any takes.
NAMES = {"hdf5": "log.hdf5", "parquet": "log.parquet", "csv": "log.csv"}
MAPPING = f"""
episode = "episode"
step = "step"
reward = "reward"
terminated = "terminated"
truncated = "truncated"
observation = {[f"o{i}" for i in range(OBSERVATION)]}
action = {[f"a{i}" for i in range(ACTION)]}
action_low = {[-1.0] * ACTION}
action_high = {[1.0] * ACTION}
"""


def columns(rows: int) -> dict[str, np.ndarray]:
    """Noise in float32, as tables hold it: one column for each number."""
    draw = np.random.default_rng(0)
    number = np.arange(rows)
    found = {"episode": number // EPISODE, "step": number % EPISODE}
    for i in range(OBSERVATION):
        found[f"o{i}"] = draw.standard_normal(rows, np.float32)
    for i in range(ACTION):
        found[f"a{i}"] = draw.random(rows, np.float32) * 2 - 1
    found["reward"] = draw.standard_normal(rows, np.float32)
    found["terminated"] = number % EPISODE == EPISODE - 1
    found["truncated"] = np.zeros(rows, bool)
    return found


def write_logs() -> None:
    """The three files, unless they are there."""
    import h5py
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "map.toml").write_text(MAPPING)
    for kind, name in NAMES.items():
        place = KEPT / name
        if place.exists():
            continue
        found = columns(ROWS[kind])
        partial = place.with_name("partial")
        if kind == "parquet":
            pq.write_table(pa.table(found), partial)
        elif kind == "csv":
            pyarrow.csv.write_csv(pa.table(found), partial)
        else:
            seen = np.stack([found[f"o{i}"] for i in range(OBSERVATION)], axis=1)
            with h5py.File(partial, "w") as file:
                file["observations"] = seen
                file["actions"] = np.stack([found[f"a{i}"] for i in range(ACTION)], axis=1)
                file["rewards"] = found["reward"]
                file["terminals"], file["timeouts"] = (
                    found["terminated"],
                    found["truncated"],
                )
        partial.rename(place)


def resident() -> int:
    """Bytes in memory now that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(x.split()[1]) for x in lines if x.startswith("RssAnon"))


def read(kind: str) -> dict:
    """One reading: rows per second, and the peak of memory beside the size of the log."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import threading
    from dataclasses import fields

    import duckdb  # noqa: F401  # What is loaded before is not what reading takes.

    from stitchrl import sources

    most, watching = 0, True

    def watch() -> None:
        nonlocal most
        while watching:
            most = max(most, resident())
            time.sleep(0.005)

    # A virtual machine may have given idle memory back, and gets it again page by page.
    np.ones(TOUCHED // 8)
    before, start = resident(), time.perf_counter()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    mapping = None if kind == "hdf5" else KEPT / "map.toml"
    log = sources.load(KEPT / NAMES[kind], mapping)
    seconds = time.perf_counter() - start
    most, watching = max(most, resident()), False
    held = [getattr(log, field.name) for field in fields(log)]
    size = sum(value.nbytes for value in held if isinstance(value, np.ndarray))
    assert log.size == ROWS[kind] and log.observation.shape[1] == OBSERVATION
    peak = most - before
    return {"rate": log.size / seconds, "peak": peak, "size": size, "left": resident()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--read", choices=ROWS, help="one reading, in this process")
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(options.read)))
        return
    from record import save
    from speed import machine
    from speed_figures import spread

    from stitchrl import devices

    write_logs()
    rows = []
    for kind in ROWS:
        found = []
        for _ in range(options.repeats):
            command = [sys.executable, __file__, "--read", kind]
            ended = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(json.loads(ended.stdout))
        rates = [one["rate"] / 1e6 for one in found]
        memory = [one["peak"] / one["size"] for one in found]
        rows += [
            spread(f"{kind}_rate", rates, "million rows/s"),
            spread(f"{kind}_peak_over_data", memory, "ratio"),
            spread(f"{kind}_data", [one["size"] / 2**20 for one in found], "MiB"),
        ]
        for entry in rows[-3:]:
            print(
                "{figure:24s} {value:9.3f} {unit}  ({low:.3f} to {high:.3f})".format(
                    **entry
                )
            )
    save("readers", rows, command="make bench-readers", machine=machine(),
         versions=devices.versions(), rows_read=ROWS)  # fmt: skip


if __name__ == "__main__":
    main()
