"""The scores of d3rlpy beside ours: same log, same updates, same rollouts.

Ours are the cells of `scores.py` (the policy after the last update); run that first. For
d3rlpy a unit trains in an environment of its own, on arrays as our learner saw them, and
its policy's layers are scored by the same rollouts. A cell (log, algorithm, seed) is a JSON
file in results/peer/: an interrupted bench goes on where it stopped. Intervals are
Welch's, of the difference of means over seeds. Writes results/peer.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import scores
import scores_task as task
from record import RESULTS, row, save
from scipy import stats

from stitchrl import artifacts
from stitchrl.candidates import Candidate
from stitchrl.experience import Experience
from stitchrl.networks import MLP, Linear
from stitchrl.policies import Deterministic, Normalized

HERE = Path(__file__).parent
CELLS = RESULTS / "peer"
THEIR_PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
COMPARED = {
    "pointmaze-medium": ("bc", "td3_bc", "iql", "cql"),
    "hopper-medium-zoo-v0": ("bc", "td3_bc", "iql"),
}
UNITS = [
    (log, name, seed)
    for log in task.LOGS
    for name in COMPARED.get(log.name, ())
    for seed in range(log.seeds)
]


def path_of(log: task.Log, name: str, seed: int) -> Path:
    return CELLS / f"{log.name},{name},{seed}.json"


def save_arrays(experience: Experience, path: Path) -> None:
    """What our learner sees: scaled observations and actions, transformed rewards."""
    columns = experience.transitions
    ends = np.asarray(experience.episode_end)
    np.savez(
        path,
        observation=np.asarray(columns.observation),
        action=np.asarray(columns.action),
        reward=np.asarray(columns.reward),
        terminated=np.asarray(columns.terminated),
        truncated=ends & ~np.asarray(columns.terminated),
    )


def policy_from(path: Path) -> Deterministic:
    """d3rlpy's policy in our terms, after a check that it decides the same."""
    with np.load(path) as saved:
        count = sum(name.startswith("weight") for name in saved)
        layers = [Linear(saved[f"weight{i}"], saved[f"bias{i}"]) for i in range(count)]
        policy = Deterministic(MLP(tuple(layers)))
        found = np.stack([policy.mode(jnp.asarray(x)) for x in saved["observation"]])
        np.testing.assert_allclose(found, saved["action"], atol=1e-5)
    return policy


def work(unit: tuple[task.Log, str, int]) -> None:
    """Train d3rlpy, score its policy, write the cell."""
    log, name, seed = unit
    dataset = task.load(log)
    setting = task.setting(log, name, dataset)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        arrays, saved = Path(place) / "log.npz", Path(place) / "policy.npz"
        save_arrays(Experience.of(dataset, setting.normalizer, setting.reward), arrays)
        script = [str(THEIR_PYTHON), str(HERE / "peer_d3rlpy.py"), name, str(arrays)]
        numbers = [json.dumps(setting.described), str(log.updates), str(seed)]
        subprocess.run(
            [*script, *numbers, str(saved)],
            env=os.environ | task.ONE_THREAD,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        policy = Normalized(policy_from(saved), setting.normalizer)
    cell = {
        "log": log.name,
        "algorithm": name,
        "seed": seed,
        "updates": log.updates,
        "score": task.score(log, Candidate(name, "policy", "mode", policy), seed),
    }
    artifacts.save_json(path_of(*unit), cell)
    seconds = time.monotonic() - begun
    print(f"{log.name} {name} seed {seed}: {seconds:.0f} s", flush=True)


def rows_of(log: task.Log, name: str) -> list[dict[str, Any]]:
    """Means of both sides, and what ours is more, with its interval."""
    places = [
        (scores.cell_path(log.name, name, seed), path_of(log, name, seed))
        for seed in range(log.seeds)
    ]
    if not all(ours.is_file() and theirs.is_file() for ours, theirs in places):
        return []
    ours = np.array([json.loads(path.read_text())["scores"][-1] for path, _ in places])
    theirs = np.array([json.loads(path.read_text())["score"] for _, path in places])
    found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    both = [
        row(
            f"{log.name}/{name}/{side}",
            float(values.mean()),
            unit="score",
            n=len(values),
            low=float(values.min()),
            high=float(values.max()),
        )
        for side, values in (("stitchrl", ours), ("d3rlpy", theirs))
    ]
    difference = row(
        f"{log.name}/{name}/difference",
        float(ours.mean() - theirs.mean()),
        unit="score",
        n=len(ours),
        low=float(found.low),
        high=float(found.high),
    )
    return [*both, difference]


def show(rows: list[dict[str, Any]]) -> None:
    ours, theirs, difference = rows
    log, name, _ = ours["figure"].split("/")
    verdict = "better" if difference["low"] > 0 else "equal within the interval"
    verdict = "WORSE" if difference["high"] < 0 else verdict
    print(
        f"{log:22}{name:8}{ours['value']:8.1f}{theirs['value']:8.1f}"
        f"{difference['value']:+8.1f} [{difference['low']:+.1f}, {difference['high']:+.1f}]"
        f"  {verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="train everything again")
    parser.add_argument("--only", nargs="*", default=[], help="names of logs or algorithms")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    CELLS.mkdir(parents=True, exist_ok=True)
    units = [
        unit
        for unit in UNITS
        if not options.table
        and (options.fresh or not path_of(*unit).is_file())
        and (not options.only or {unit[0].name, unit[1]} & {*options.only})
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, units))
    compared = [
        rows_of(log, name) for log in task.LOGS for name in COMPARED.get(log.name, ())
    ]
    print(f"{'log':22}{'':8}{'stitchrl':>8}{'d3rlpy':>8}{'more':>8}")
    for rows in compared:
        if rows:
            show(rows)
    save(
        "peer",
        [line for rows in compared for line in rows],
        command="make bench-peer",
        settings={"peer": "d3rlpy 2.8.1, torch 2.13.0"},
    )
    sys.exit(
        0 if all(compared) else "Some cells are missing: make bench-scores bench-peer."
    )


if __name__ == "__main__":
    main()
