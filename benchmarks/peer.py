"""The scores of d3rlpy beside ours: same log, same updates, same rollouts.

Logs, settings and scoring are those of `scores.py`, with fewer updates on the maze. For
d3rlpy a run trains in an environment of its own, on arrays as our learner sees them, and
its policy's layers are scored by our rollouts. A cell (side, log, algorithm, seed) is a
JSON file in results/peer/: an interrupted bench goes on where it stopped. Intervals are
Welch's, of the difference of means over seeds. Writes results/peer.json.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scores
import scores_task as task
from record import RESULTS, row, save
from scipy import stats

HERE = Path(__file__).parent
CELLS = RESULTS / "peer"
THEIR_PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
UPDATES = {"pointmaze-medium": 50_000, "hopper-medium-zoo-v0": 20_000}
COMPARED = {
    "pointmaze-medium": ("bc", "td3_bc", "iql", "cql"),
    "hopper-medium-zoo-v0": ("bc", "td3_bc", "iql"),
}
SIDES = ("stitchrl", "d3rlpy")
LOGS = [log._replace(updates=UPDATES[log.name]) for log in task.LOGS if log.name in UPDATES]


class Runs(NamedTuple):
    """One side's runs of an algorithm on a log, one cell a seed."""

    side: str
    log: task.Log
    name: str

    def path(self, seed: int) -> Path:
        return CELLS / f"{self.side},{self.log.name},{self.name},{seed}.json"

    def lacks(self, *, fresh: bool = False) -> list[int]:
        """Seeds that were not run as they would be now."""
        task.load(self.log)  # Made once, before processes share it.
        return [
            seed
            for seed in range(self.log.seeds)
            if fresh or not scores.is_kept(self.path(seed), self.log, self.name)
        ]

    def scores(self) -> list[float]:
        paths = map(self.path, range(self.log.seeds))
        return [json.loads(path.read_text())["score"] for path in paths]


EVERY = [
    Runs(side, log, name) for log in LOGS for name in COMPARED[log.name] for side in SIDES
]


def work(unit: tuple[Runs, list[int]]) -> bool:
    """Train and score these seeds in a process of their own."""
    runs, seeds = unit
    script = [sys.executable, str(HERE / "peer_worker.py")]
    what = [runs.side, runs.log.name, runs.name, *map(str, seeds)]
    return subprocess.run([*script, *what], env=scores.one_thread()).returncode == 0


def their_versions() -> dict[str, str]:
    """What is installed where d3rlpy trains."""
    names = ("d3rlpy", "torch")
    code = f"import importlib.metadata as m; print(*map(m.version, {names}))"
    said = subprocess.check_output([str(THEIR_PYTHON), "-c", code], text=True)
    return dict(zip(names, said.split(), strict=True))


def rows_of(log: task.Log, name: str) -> list[dict[str, Any]]:
    """Both means with extremes, and how much higher ours is; [] while cells lack."""
    sides = [Runs(side, log, name) for side in SIDES]
    if any(runs.lacks() for runs in sides):
        return []
    found = {runs.side: runs.scores() for runs in sides}
    rows = [
        row(
            f"{log.name}/{name}/{side}",
            float(np.mean(found[side])),
            unit="score",
            n=log.seeds,
            low=min(found[side]),
            high=max(found[side]),
        )
        for side in SIDES
    ]
    test = stats.ttest_ind(found["stitchrl"], found["d3rlpy"], equal_var=False)
    low, high = map(float, test.confidence_interval())
    more = rows[0]["value"] - rows[1]["value"]
    figure = f"{log.name}/{name}/difference"
    return [*rows, row(figure, more, unit="score", n=log.seeds, low=low, high=high)]


def show(rows: list[dict[str, Any]]) -> None:
    mine, peer, more = rows
    log, name, _ = mine["figure"].split("/")
    verdict = "better" if more["low"] > 0 else "worse" if more["high"] < 0 else ""
    print(
        f"{log:22}{name:8}{mine['value']:9.1f}{peer['value']:9.1f}{more['value']:+9.1f}"
        f" [{more['low']:+.1f}, {more['high']:+.1f}] {verdict}"
    )


def main() -> None:
    options = scores.options_of(__doc__)
    CELLS.mkdir(parents=True, exist_ok=True)
    units = [
        (runs, seeds)
        for runs in EVERY
        if not options.table
        and (not options.only or {runs.log.name, runs.name} & {*options.only})
        and (seeds := runs.lacks(fresh=options.fresh))
    ]
    with scores.threads_on_cpus() as pool:
        well = [*pool.map(work, units)]
    compared = [rows_of(log, name) for log in LOGS for name in COMPARED[log.name]]
    print(f"{'log':22}{'':8}{'stitchrl':>9}{'d3rlpy':>9}{'more':>9}")
    for rows in filter(None, compared):
        show(rows)
    flat = [line for rows in compared for line in rows]
    save("peer", flat, command="make bench-peer", peer=their_versions(), updates=UPDATES)
    whole = all(well) and all(compared)
    sys.exit(0 if whole else "Some cells are missing; run the bench again.")


if __name__ == "__main__":
    main()
