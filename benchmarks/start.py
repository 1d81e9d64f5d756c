"""How long from the shell to the first update: `make bench-start`.

    python benchmarks/start.py [--repeats 7]

`stitchrl train` on a Parquet log of 100,000 decisions, with a folder for programs of its
own: the first start, then the same job as often as asked, then a log of another size.
Writes results/start.json; benchmarks/README.md explains.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import speed_task as task
from record import row, save
from speed import machine
from speed_figures import spread

from stitchrl import devices
from stitchrl.kept_programs import DISABLED, EVERY_PROGRAM, PLACE

OTHER_ROWS = 101_000
UPDATES = 2000
# The command itself, told to say when its first chunk is under way, and to end after it.
OBSERVED = """
import collections, json, os, sys, time
from stitchrl import cli, fit
import jax

seen, compile_advance = collections.Counter(), fit.compile_advance
jax.monitoring.register_event_listener(lambda event, **more: seen.update([event]))

def observed(*inputs):
    advance = compile_advance(*inputs)
    def go(*inputs):
        found = advance(*inputs)
        said.setdefault("first_update", time.time())
        return found
    return go

def tell(self, *inputs):
    cache = "/jax/compilation_cache/"
    said["needed"] = seen[cache + "compile_requests_use_cache"]
    said["found"] = seen[cache + "cache_hits"]
    print(json.dumps(said), flush=True)
    os._exit(0)

said = {}
fit.compile_advance, fit._Clock.tell = observed, tell
cli.main()
"""
MAPPING = """
episode = "episode"
step = "step"
reward = "reward"
terminated = "terminated"
truncated = "truncated"
observation = {observation}
action = {action}
action_low = {low}
action_high = {high}
"""


def write_log(place: Path, rows: int) -> None:
    """The noise of the speed benchmark as a table, a column for each number."""
    log = task.synthetic_log()
    chosen = np.arange(rows) % task.ROWS
    number = np.arange(rows)
    columns = {"episode": number // task.EPISODE, "step": number % task.EPISODE}
    columns |= {f"o{i}": log["observation"][chosen, i] for i in range(task.OBSERVATION)}
    columns |= {f"a{i}": log["action"][chosen, i] for i in range(task.ACTION)}
    ends = number % task.EPISODE == task.EPISODE - 1
    more = {
        "reward": log["reward"][chosen],
        "terminated": ends,
        "truncated": np.zeros(rows, bool),
    }
    pq.write_table(pa.table(columns | more), place)


def write_mapping(place: Path) -> None:
    """Which column is what."""
    place.write_text(
        MAPPING.format(
            observation=[f"o{i}" for i in range(task.OBSERVATION)],
            action=[f"a{i}" for i in range(task.ACTION)],
            low=[-1.0] * task.ACTION,
            high=[1.0] * task.ACTION,
        )
    )


def start(log: Path, folder: Path, number: int) -> dict[str, Any]:
    """One start: seconds to the first update, programs needed and found."""
    unset = (PLACE, DISABLED, *EVERY_PROGRAM, "XLA_FLAGS")
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    words = ["train", log, "--mapping", folder / "map.toml", "--algorithms", "iql"]
    words += ["--updates", UPDATES, "--out", folder / f"run{number}"]
    begun = time.time()
    ended = subprocess.run(
        [sys.executable, "-c", OBSERVED, *map(str, words)],
        env={**inherited, "XDG_CACHE_HOME": str(folder), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise SystemExit(f"The job failed:\n{ended.stdout}{ended.stderr}")
    said = json.loads(ended.stdout.splitlines()[-1])
    found = {"seconds": said["first_update"] - begun, "needed": said["needed"]}
    found["missed"] = said["needed"] - said["found"]
    print(
        f"{log.name:14s} {found['seconds']:6.2f} s, {found['missed']} compiled", flush=True
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="of the second start")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_mapping(folder / "map.toml")
        write_log(folder / "log.parquet", task.ROWS)
        write_log(folder / "other.parquet", OTHER_ROWS)
        first = start(folder / "log.parquet", folder, 0)
        again = [
            start(folder / "log.parquet", folder, 1 + i) for i in range(options.repeats)
        ]
        other = start(folder / "other.parquet", folder, 1 + options.repeats)
    rows = [
        spread("second_start", [one["seconds"] for one in again], "s"),
        spread("second_start_compiled", [one["missed"] for one in again], "programs"),
        spread("first_start", [first["seconds"]], "s"),
        spread("first_start_compiled", [first["missed"]], "programs"),
        spread("other_size_start", [other["seconds"]], "s"),
        spread("other_size_compiled", [other["missed"]], "programs"),
        row("programs", first["needed"], unit="programs", n=1, low=first["needed"],
            high=first["needed"]),
    ]  # fmt: skip
    save("start", rows, command="make bench-start", machine=machine(),
         versions=devices.versions())  # fmt: skip
    for entry in rows:
        print("{figure:24s} {value:7.2f} {unit}  ({low:.2f} to {high:.2f})".format(**entry))


if __name__ == "__main__":
    main()
