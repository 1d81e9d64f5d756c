"""Has any score moved? One further seed of some cells of `bench-scores`, under 30 minutes.

    make bench-scores-again

The cells in results/scores are from before; this trains each of SUBSET once more, with a
seed that they do not have, and looks whether its last score lies in the 95 % prediction
interval that theirs give for one more: mean ± t(n - 1) s √(1 + 1/n). Of many cells one in
twenty may lie outside. Each cell is kept in .bench/scores-again under a digest of the code,
so that an interrupted bench goes on. Writes results/scores_again.json.
"""

import hashlib
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.stats
import scores_task as task
from record import row, save
from scores import CELLS, HERE, one_thread, threads_on_cpus

from stitchrl import devices

KEPT = HERE.parent / ".bench" / "scores-again"
SUBSET = {
    "pointmaze-medium": "rebrac cql xql iql bc",
    "hopper-replay-zoo-v0": "awr bc",
    "hopper-expert-zoo-v0": "iql td3_bc awr bc",
    "hopper-medium-zoo-v0": "filtered_bc rvs",
    "pointmaze-large": "rebrac xql iql td3 td3_bc filtered_bc",
    "icu-sepsis": "iql awac one_step xql bcq_iql bcq crr cql bc",
}
FLOOR = 1.0  # Points: seeds that are all alike tell nothing about the spread of another.


class Cell(NamedTuple):
    """An algorithm on a log; its scores from before, and the seed that comes now."""

    log: task.Log
    name: str
    before: np.ndarray
    seed: int


def cells() -> list[Cell]:
    found = []
    for log in task.LOGS:
        for name in SUBSET.get(log.name, "").split():
            kept = [CELLS / f"{log.name},{name},{seed}.json" for seed in range(log.seeds)]
            scores = [json.loads(path.read_text())["scores"][-1] for path in kept]
            found.append(Cell(log, name, np.array(scores), log.seeds))
    return found


def place() -> Path:
    """Where cells of this code and these versions are kept."""
    digest = hashlib.sha256(json.dumps(devices.versions()).encode())
    for path in sorted([*HERE.glob("scores_*.py"), *(HERE.parent / "src").rglob("*.py")]):
        digest.update(path.read_bytes())
    return KEPT / digest.hexdigest()[:12]


def train(cell: Cell, folder: Path) -> float:
    """The last score of the new seed."""
    path = folder / f"{cell.log.name},{cell.name},{cell.seed}.json"
    if not path.is_file():
        script = [sys.executable, str(HERE / "scores_worker.py"), cell.log.name, cell.name]
        subprocess.run([*script, str(folder), str(cell.seed)], env=one_thread(), check=True)
    score = json.loads(path.read_text())["scores"][-1]
    low, high = predicted(cell.before)
    print(f"{cell.log.name} {cell.name}: {score:.1f} ({low:.1f} to {high:.1f})", flush=True)
    return score


def predicted(before: np.ndarray) -> tuple[float, float]:
    """Where one more score lies in 95 of 100 cases, were nothing changed."""
    n = len(before)
    spread = max(before.std(ddof=1), FLOOR)
    width = float(scipy.stats.t.ppf(0.975, n - 1) * spread * np.sqrt(1 + 1 / n))
    return before.mean() - width, before.mean() + width


def main() -> None:
    todo, folder = cells(), place()
    folder.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(cell.log.name for cell in todo):
        task.load(next(log for log in task.LOGS if log.name == name))  # Made once.
    with threads_on_cpus() as pool:
        scores = [*pool.map(partial(train, folder=folder), todo)]
    rows, inside, differences = [], 0, []
    for cell, score in zip(todo, scores):
        low, high = predicted(cell.before)
        inside += low <= score <= high
        differences.append(score - cell.before.mean())
        figure = f"{cell.log.name}/{cell.name}"
        rows.append(row(figure, score, unit="score", n=1, low=low, high=high))
    mean, error = np.mean(differences), np.std(differences, ddof=1) / len(todo) ** 0.5
    rows = [
        row("inside_the_interval", inside, unit="cells", n=len(todo)),
        row("mean_difference", float(mean), unit="score", n=len(todo),
            low=float(mean - 2 * error), high=float(mean + 2 * error)),
        *rows,
    ]  # fmt: skip
    save("scores_again", rows, command="make bench-scores-again")
    print(f"{inside} of {len(todo)} inside; mean difference {mean:.2f} ± {2 * error:.2f}")


if __name__ == "__main__":
    main()
