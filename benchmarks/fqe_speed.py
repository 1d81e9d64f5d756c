"""FQE by networks of many policies: one population of ours beside one fit after another.

    python benchmarks/fqe_speed.py

The same log, layers (64, 64), batches of 256 and 5,000 updates on both sides, all cores of
the machine, each side a process of its own; three rounds. Times are from a log in memory to
fitted networks, compilation included. d3rlpy fits 2 of the 32 policies in a round; its time
for 32 is 16 times that. Writes results/fqe_speed.json.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from record import row, save

HERE = Path(__file__).parent
POLICIES, FITTED_THERE = 32, 2
UPDATES, HIDDEN, DISCOUNT = 5_000, (64, 64), 0.99
ROUNDS = 3


def seconds_of(program: str) -> float:
    found = subprocess.run(
        [sys.executable, str(HERE / program)], check=True, capture_output=True, text=True
    )
    return json.loads(found.stdout.splitlines()[-1])["seconds"]


def main() -> None:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds_of("fqe_speed_stitchrl.py"))
        there = seconds_of("fqe_speed_d3rlpy.py")
        theirs.append(there * POLICIES / FITTED_THERE)
        print(f"stitchrl {ours[-1]:.1f} s, d3rlpy {theirs[-1]:.1f} s", flush=True)
    ratios = np.divide(theirs, ours)
    unit = f"seconds for {POLICIES} policies x {UPDATES:,} updates"
    rows = [
        row(
            name,
            statistics.median(values),
            unit=what,
            n=ROUNDS,
            low=float(np.min(values)),
            high=float(np.max(values)),
        )
        for name, values, what in (
            ("stitchrl, one population", ours, unit),
            (f"d3rlpy, from {FITTED_THERE} fits", theirs, unit),
            ("d3rlpy over stitchrl", ratios, "ratio of times in a round"),
        )
    ]
    save("fqe_speed", rows, command="make bench-fqe")
    for one in rows:
        print(f"{one['figure']}: {one['value']:.1f} [{one['low']:.1f}, {one['high']:.1f}]")


if __name__ == "__main__":
    main()
