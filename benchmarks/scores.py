"""Every algorithm and its controls on logs whose truth is known, under equal budgets.

A cell (log, algorithm, seed) is a JSON file in results/scores/: an interrupted bench goes
on where it stopped. Units of work run on all cores, one process each. The table shows the
score of the last policy, of the best of five checkpoints (which only a simulator can tell),
and of the seed that FQE chooses offline. Writes results/scores.json and its figures.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import scores_figures
import scores_task as task
from record import RESULTS, row, save

HERE = Path(__file__).parent
CELLS = RESULTS / "scores"
RESAMPLES = 10_000


def cell_path(log: str, name: str, seed: int) -> Path:
    return CELLS / f"{log},{name},{seed}.json"


def is_kept(path: Path, log: task.Log, name: str) -> bool:
    """Whether this cell was run as it would be now: same updates, same settings."""
    if not path.is_file():
        return False
    cell = json.loads(path.read_text())
    return (cell["updates"], cell["settings"]) == (log.updates, settings_now(log, name))


@cache
def settings_now(log: task.Log, name: str) -> dict[str, Any]:
    """Once for all seeds: finding them out scales the whole log."""
    return task.setting(log, name, task.load(log)).described


def missing(fresh: bool, only: list[str]) -> Iterator[tuple[task.Log, str, list[int]]]:
    """Units of work with the seeds that have no cell yet, logs in turn."""
    for log in task.LOGS:
        for name in log.algorithms.split():
            if only and log.name not in only and name not in only:
                continue
            task.load(log)  # Made once, before processes share it.
            seeds = range(log.seeds)
            paths = [cell_path(log.name, name, seed) for seed in seeds]
            left = [
                seed
                for seed, path in zip(seeds, paths)
                if fresh or not is_kept(path, log, name)
            ]
            if left:
                yield log, name, left


def one_thread() -> dict[str, str]:
    """The environment of a process that computes on one core."""
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def work(unit: tuple[task.Log, str, list[int]]) -> bool:
    log, name, seeds = unit
    begun = time.monotonic()
    script = [sys.executable, str(HERE / "scores_worker.py")]
    arguments = [log.name, name, str(CELLS), *map(str, seeds)]
    finished = subprocess.run([*script, *arguments], env=one_thread())
    seconds = time.monotonic() - begun
    said = "" if finished.returncode == 0 else f" FAILED ({finished.returncode})"
    print(f"{log.name} {name} seeds {seeds}: {seconds:.0f} s{said}", flush=True)
    return finished.returncode == 0


def interval(values: np.ndarray, statistic: Any) -> tuple[float, float]:
    """Percentile bootstrap over seeds: `statistic` takes rows of `values` (seeds, ...)."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile([statistic(values[d]) for d in draws], [0.025, 0.975])
    return float(low), float(high)


STATISTICS = {
    "last": lambda cells: cells[:, -2].mean(),
    "best": lambda cells: cells[:, :-1].max(axis=1).mean(),
    "selected": lambda cells: cells[cells[:, -1].argmax(), -2],
}


def rows_of(log: task.Log) -> list[dict[str, Any]]:
    rows = []
    for name in log.algorithms.split():
        found = [cell_path(log.name, name, seed) for seed in range(log.seeds)]
        kept = [path for path in found if is_kept(path, log, name)]
        cells = [json.loads(path.read_text()) for path in kept]
        if not cells:
            continue
        # One row a seed: the scores of its checkpoints, and FQE of the last.
        values = np.array([[*cell["scores"], cell["fqe"]] for cell in cells])
        for label, statistic in STATISTICS.items():
            low, high = interval(values, statistic)
            rows.append(
                row(
                    f"{log.name}/{name}/{label}",
                    float(statistic(values)),
                    unit="score",
                    n=len(cells),
                    low=low,
                    high=high,
                )
            )
    return rows


def cost() -> dict[str, Any]:
    """What all cells took, each on one core."""
    spent = [json.loads(path.read_text())["core_seconds"] for path in CELLS.glob("*.json")]
    return row("core_hours", sum(spent) / 3600, unit="hours", n=len(spent))


def show(log: task.Log, rows: list[dict[str, Any]]) -> None:
    print(f"\n{log.name}: {log.updates:,} updates, {log.seeds} seeds")
    print(f"{'algorithm':14}" + "".join(f"{label:>22}" for label in STATISTICS))
    for name in log.algorithms.split():
        found = [r for r in rows if r["figure"].rsplit("/", 1)[0] == f"{log.name}/{name}"]
        if found:
            shown = [
                f"{r['value']:7.1f} [{r['low']:5.1f}, {r['high']:5.1f}]" for r in found
            ]
            print(f"{name:14}" + "".join(f"{text:>22}" for text in shown))


def threads_on_cpus() -> ThreadPoolExecutor:
    """As many threads as CPUs: each, and every process it starts, has one to itself."""
    cpus = SimpleQueue()
    for cpu in os.sched_getaffinity(0):
        cpus.put({cpu})
    return ThreadPoolExecutor(
        cpus.qsize(), initializer=lambda: os.sched_setaffinity(0, cpus.get())
    )


def options_of(description: str | None) -> argparse.Namespace:
    """What a bench of cells is asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--fresh", action="store_true", help="train everything again")
    parser.add_argument("--only", nargs="*", default=[], help="names of logs or algorithms")
    parser.add_argument("--table", action="store_true", help="train nothing")
    return parser.parse_args()


def main() -> None:
    options = options_of(__doc__)
    CELLS.mkdir(parents=True, exist_ok=True)
    units = [] if options.table else [*missing(options.fresh, options.only)]
    with threads_on_cpus() as pool:
        well = [*pool.map(work, units)]
    rows = []
    for log in task.LOGS:
        rows += (here := rows_of(log))
        show(log, here)
    rows.append(cost())
    print(f"\n{rows[-1]['value']:.2f} core hours in all")
    save("scores", rows, command="make bench-scores", settings=task.described())
    scores_figures.write()
    sys.exit(0 if all(well) else "Some units failed; run the bench again.")


if __name__ == "__main__":
    main()
