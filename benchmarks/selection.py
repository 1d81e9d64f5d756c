"""Choosing among a grid's policies by the log and 100 trials: `make bench-select`.

    python benchmarks/selection.py [--only icu-sepsis]

For each seed a grid is trained on a log, ranked by FQE on the selection split, and 100
episodes are spent by upper confidence bounds, as `stitchrl select` does. Then every policy
is valued: exactly, or by 200 more episodes. Regret is (best of the grid - chosen) / (best -
worst), and also given in units of returns. Beside it: the favorite of FQE alone, of the
algorithms' own Q (where one has any), and a random choice. Where values are means of
episodes, the best of a grid is the luckiest, which makes every regret larger. A cell (log,
seed) is a file in results/selection/: an interrupted bench goes on.

Writes results/selection.json.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scores_task as task
from record import RESULTS, row, save

from stitchrl import artifacts, devices, zoo
from stitchrl.candidates import Candidate
from stitchrl.job.selection import Selected, select
from stitchrl.job.stages import train_job
from stitchrl.job.training import Trained
from stitchrl.plan import Plan

CELLS = RESULTS / "selection"
BUDGET, EPISODES = 100, 200
SEEDS = range(10, 15)  # Trials were designed with those from 0 to 4 in sight.
SMALL, DEEPER = [[64, 64]], [[64, 64, 64]]  # One choice of layers each.


class Problem(NamedTuple):
    """A log of the zoo and the grid that is trained on it."""

    name: str
    updates: int
    algorithms: dict[str, dict[str, list[Any]]]
    reward: str
    normalize: bool


PROBLEMS = (
    Problem(
        "icu-sepsis",
        20_000,
        {
            "bc": {"hidden": SMALL},
            "iql": {"hidden": SMALL, "inverse_temperature": [1.0, 3.0, 10.0]},
            "cql": {"hidden": SMALL, "conservative_weight": [0.5, 1.0, 5.0]},
            "bcq": {"hidden": SMALL, "threshold": [0.1, 0.3, 0.5]},
            "awac": {"hidden": SMALL},
        },
        reward="scale=100",
        normalize=True,
    ),
    Problem(
        "pointmaze-medium",
        100_000,
        {
            "filtered_bc": {"hidden": SMALL},
            "iql": {"hidden": SMALL, "expectile": [0.7, 0.9]},
            "td3_bc": {"hidden": SMALL, "q_weight": [2.5, 25.0]},
            "rebrac": {
                "hidden": DEEPER,
                "actor_penalty": [0.003, 0.03],
                "critic_penalty": [0.001],
                "learning_rate": [3e-4],
                "batch_size": [256],
            },
        },
        reward="raw",
        normalize=False,
    ),
)


def cell(problem: Problem, seed: int) -> dict[str, Any]:
    """Everything about one grid: values, and who was chosen how."""
    log = next(log for log in task.LOGS if log.name == problem.name)
    dataset, entry = task.load(log), zoo.find(problem.name)
    plan = Plan(
        log=problem.name,
        algorithms=problem.algorithms,
        updates=problem.updates,
        chunk=problem.updates // 5,
        seeds=1,
        seed=seed,
        reward=problem.reward,
        normalize=problem.normalize,
    ).resolved(dataset.spec)

    def play(candidate: Candidate, trial: int) -> tuple[float, int]:
        value = entry.trial(candidate.policy, act=candidate.act, seed=trial)
        return value.mean, value.steps

    with tempfile.TemporaryDirectory() as directory:
        trained = train_job(plan, dataset, directory)
        found = select(trained, plan, Path(directory), environment=play, budget=BUDGET)
    return described(problem, found, trained, seed)


def described(
    problem: Problem, found: Selected, trained: Trained, seed: int
) -> dict[str, Any]:
    """As JSON: the chosen, and every policy's value; trials have seeds of their own."""
    entry = zoo.find(problem.name)
    policies = [standing.candidate for standing in found.standings]
    values = [
        entry.truth.value(one.policy, act=one.act, episodes=EPISODES, seed=10**9 + seed)
        for one in policies
    ]
    own = [one.own_estimate for one in policies]
    return {
        "log": problem.name,
        "seed": seed,
        "policies": [one.name for one in policies],
        "values": [value.mean for value in values],
        "standard_errors": [value.standard_error for value in values],
        "fqe": [standing.value for standing in found.standings],
        "own": own,
        "chosen": policies.index(found.best),
        "steps": sum(trial.steps for trial in found.trials),
        "trials": [trial.policy for trial in found.trials],
        "log_mean": float(trained.splits.selection.returns().mean()),
    }


def regrets(made: dict[str, Any]) -> dict[str, float]:
    """In units of returns, by how it was chosen, and the range of the grid."""
    values = np.array(made["values"])
    own = np.array([-np.inf if one is None else one for one in made["own"]])
    return {
        "FQE and 100 trials": float(values.max() - values[made["chosen"]]),
        "FQE alone": float(values.max() - values[0]),
        "highest own Q": float(values.max() - values[own.argmax()]),
        "random": float(values.max() - values.mean()),
        "range": float(np.ptp(values)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a log")
    options = parser.parse_args()
    devices.prepare(host_devices=devices.thread_count())
    rows = []
    for problem in PROBLEMS:
        if options.only not in ("", problem.name):
            continue
        cells = []
        for seed in SEEDS:
            path = CELLS / f"{problem.name},{seed}.json"
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                artifacts.save_json(path, cell(problem, seed))
            cells.append(json.loads(path.read_text()))
            shown = ", ".join(f"{k} {v:.3f}" for k, v in regrets(cells[-1]).items())
            print(f"{problem.name} seed {seed}: {shown}", flush=True)
        rows += rows_of(problem.name, cells)
    if not options.only:
        save("selection", rows, command="make bench-select")


def rows_of(name: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, smallest and largest; also relative to each grid's range."""
    found = [regrets(made) for made in cells]
    figures = {f"{name}/{how}": [one[how] for one in found] for how in found[0]}
    for how in found[0].keys() - {"range"}:
        shares = [one[how] / (one["range"] or 1.0) for one in found]
        figures[f"{name}/{how}, of the range"] = shares
    return [
        row(
            figure,
            float(np.mean(values)),
            unit="share of the grid's range" if "of the range" in figure else "return",
            n=len(values),
            low=min(values),
            high=max(values),
        )
        for figure, values in sorted(figures.items())
    ]


if __name__ == "__main__":
    main()
