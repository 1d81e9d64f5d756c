"""The scores of d3rlpy beside ours: same log, same updates, same rollouts.

Logs, settings and scoring are those of `scores.py`, with fewer updates on the maze. For
d3rlpy a run trains in an environment of its own, on arrays as our learner sees them, and
its policy's layers are scored by our rollouts. A cell (side, log, algorithm, seed) is a
JSON file in results/peer/: an interrupted bench goes on where it stopped. Intervals are
Welch's, of the difference of means over seeds. Writes results/peer.json.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import scores
import scores_task as task
from record import RESULTS, row, save

from stitchrl import devices

devices.prepare(threads=1, host_devices=1)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from scipy import stats  # noqa: E402

from stitchrl import artifacts  # noqa: E402
from stitchrl.candidates import Candidate  # noqa: E402
from stitchrl.experience import Experience  # noqa: E402
from stitchrl.networks import MLP, Linear  # noqa: E402
from stitchrl.policies import Deterministic, Normalized  # noqa: E402
from stitchrl.train import train  # noqa: E402

HERE = Path(__file__).parent
CELLS = RESULTS / "peer"
THEIR_PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
UPDATES = {"pointmaze-medium": 50_000, "hopper-medium-zoo-v0": 20_000}
COMPARED = {
    "pointmaze-medium": ("bc", "td3_bc", "iql", "cql"),
    "hopper-medium-zoo-v0": ("bc", "td3_bc", "iql"),
}
SIDES = ("stitchrl", "d3rlpy")


class Cell(NamedTuple):
    """One run."""

    side: str
    log: task.Log
    name: str
    seed: int

    @property
    def path(self) -> Path:
        return CELLS / f"{self.side},{self.log.name},{self.name},{self.seed}.json"

    @property
    def is_kept(self) -> bool:
        """Whether it was run as it would be now."""
        return scores.is_kept(self.path, self.log, self.name)


LOGS = [log._replace(updates=UPDATES[log.name]) for log in task.LOGS if log.name in UPDATES]
EVERY = [
    Cell(side, log, name, seed)
    for log in LOGS
    for name in COMPARED[log.name]
    for seed in range(log.seeds)
    for side in SIDES
]


def ours(cell: Cell, setting: task.Setting, experience: Experience) -> Any:
    """Our policy after all updates."""
    algorithm, key = setting.algorithm, jax.random.key(cell.seed)
    state, _ = train(algorithm, experience, key, steps=cell.log.updates)
    return algorithm.policy(state)


def theirs(cell: Cell, setting: task.Setting, experience: Experience) -> Deterministic:
    """d3rlpy's policy, as a network of ours."""
    with tempfile.TemporaryDirectory() as place:
        arrays, policy = Path(place) / "log.npz", Path(place) / "policy.npz"
        save_arrays(experience, arrays)
        script = [THEIR_PYTHON, HERE / "peer_d3rlpy.py", cell.name, arrays]
        numbers = [json.dumps(setting.described), cell.log.updates, cell.seed]
        subprocess.run(
            [*map(str, [*script, *numbers, policy])],
            env=os.environ | task.ONE_THREAD,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return policy_from(policy)


def their_versions() -> dict[str, str]:
    """What is installed where d3rlpy trains."""
    names = ("d3rlpy", "torch")
    code = f"import importlib.metadata as m; print(*map(m.version, {names}))"
    said = subprocess.check_output([str(THEIR_PYTHON), "-c", code], text=True)
    return dict(zip(names, said.split(), strict=True))


def save_arrays(experience: Experience, path: Path) -> None:
    """What our learner sees: scaled observations and actions, transformed rewards."""
    columns = experience.transitions
    terminated = np.asarray(columns.terminated)
    np.savez(
        path,
        observation=np.asarray(columns.observation),
        action=np.asarray(columns.action),
        reward=np.asarray(columns.reward),
        terminated=terminated,
        truncated=np.asarray(experience.episode_end) & ~terminated,
    )


def policy_from(path: Path) -> Deterministic:
    """The saved layers, after a check that they decide as d3rlpy did."""
    with np.load(path) as saved:
        count = sum(name.startswith("weight") for name in saved)
        layers = [
            Linear(jnp.asarray(saved[f"weight{i}"]), jnp.asarray(saved[f"bias{i}"]))
            for i in range(count)
        ]
        policy = Deterministic(MLP(tuple(layers)))
        found = jax.vmap(policy.mode)(jnp.asarray(saved["observation"]))
        np.testing.assert_allclose(found, saved["action"], atol=1e-5)
    return policy


def work(cell: Cell) -> None:
    """Train, score, write the cell."""
    begun = time.monotonic()
    dataset = task.load(cell.log)
    setting = task.setting(cell.log, cell.name, dataset)
    experience = Experience.of(dataset, setting.normalizer, setting.reward)
    learn = {"stitchrl": ours, "d3rlpy": theirs}[cell.side]
    policy = Normalized(learn(cell, setting, experience), setting.normalizer)
    score = task.score(cell.log, Candidate(cell.name, "policy", "mode", policy), cell.seed)
    artifacts.save_json(
        cell.path,
        {
            "side": cell.side,
            "log": cell.log.name,
            "algorithm": cell.name,
            "seed": cell.seed,
            "updates": cell.log.updates,
            "settings": setting.described,
            "score": score,
        },
    )
    print(f"{cell.path.stem}: {score:.1f}, {time.monotonic() - begun:.0f} s", flush=True)


def rows_of(log: task.Log, name: str) -> list[dict[str, Any]]:
    """Both means with extremes, and how much higher ours is; [] while cells lack."""
    cells = [c for c in EVERY if (c.log.name, c.name) == (log.name, name)]
    if not all(cell.is_kept for cell in cells):
        return []
    found = {
        side: [json.loads(c.path.read_text())["score"] for c in cells if c.side == side]
        for side in SIDES
    }
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
    left = [
        cell
        for cell in EVERY
        if not options.table
        and (options.fresh or not cell.is_kept)
        and (not options.only or {cell.log.name, cell.name} & {*options.only})
    ]
    for log in LOGS:
        if any(cell.log is log for cell in left):
            task.load(log)  # Made once, before threads share it.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, left))
    compared = [rows_of(log, name) for log in LOGS for name in COMPARED[log.name]]
    print(f"{'log':22}{'':8}{'stitchrl':>9}{'d3rlpy':>9}{'more':>9}")
    for rows in filter(None, compared):
        show(rows)
    flat = [line for rows in compared for line in rows]
    save("peer", flat, command="make bench-peer", peer=their_versions(), updates=UPDATES)
    sys.exit(0 if all(compared) else "Some cells are missing; run the bench again.")


if __name__ == "__main__":
    main()
