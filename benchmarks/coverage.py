"""How often intervals contain the exact value, on problems that know it.

    python benchmarks/coverage.py [--repeats 400]

Every cell is written as soon as it is finished: an interrupted run goes on.
"""

import argparse
import functools
import json
import platform
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import scipy

from stitchrl.dataset import Dataset
from stitchrl.ope.base import Interval
from stitchrl.ope.coverage import Coverage, measure, value_intervals
from stitchrl.ope.fqe_bootstrap import bootstrap_interval, refits
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.importance import data_mean
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.problems import icu_sepsis
from stitchrl.problems.exact import Bandit, random_mdp

RESULTS = Path(__file__).parent / "results" / "coverage.json"
CELLS = Path(__file__).parents[1] / ".bench" / "coverage"
SIZES = (300, 1000)
SHARES = (0.1, 0.3, 0.5)
DISCOUNT, HORIZON = 0.95, 40  # Of the random process.


def bandit(size: int, repeats: int) -> dict[str, Coverage]:
    """Three arms, no context."""
    problem = Bandit()

    def draw(seed: int) -> dict[str, Interval]:
        log = problem.log(size, seed)
        table = PolicyTable.of_states(log, np.array([problem.target]))
        return value_intervals(log, table)

    return measure(draw, truth=problem.value, repeats=repeats, seed=1)


@functools.cache
def sepsis() -> tuple[icu_sepsis.ICUSepsis, np.ndarray, np.ndarray]:
    """The process, π_β = .8 clinicians + .2 uniform, and an optimal policy."""
    problem = icu_sepsis.load()
    behavior = 0.8 * problem.clinicians + 0.2 / problem.mdp.actions
    _, q = problem.mdp.optimal(1.0)
    return problem, behavior, np.eye(problem.mdp.actions)[q.argmax(axis=1)]


def icu(size: int, share: float, repeats: int) -> dict[str, Coverage]:
    """ICU-Sepsis: (1 - share) π_β + share · optimum."""
    problem, behavior, optimal = sepsis()

    def draw(seed: int) -> dict[str, Interval]:
        log = problem.simulate(size, seed, behavior)
        return value_intervals(log, PolicyTable.of_states(log, optimal), share=share)

    truth = problem.mdp.value((1 - share) * behavior + share * optimal, 1.0)
    return measure(draw, truth=truth, repeats=repeats, seed=1)


def present(size: int, repeats: int) -> dict[str, Coverage]:
    """ICU-Sepsis: Student t of the log's own mean."""
    problem, behavior, _ = sepsis()

    def draw(seed: int) -> dict[str, Interval]:
        log = problem.simulate(size, seed, behavior)
        interval = data_mean(log, discount=1.0, level=0.95).interval
        assert interval is not None
        return {"asymptotic": interval}

    truth = problem.mdp.value(behavior, 1.0)
    return measure(draw, truth=truth, repeats=repeats, seed=1)


def refitted(log: Dataset, table: PolicyTable, discount: float) -> dict[str, Interval]:
    tabular = TabularLog.of(log, discount=discount)
    policy = tabular.transitions.policy(table)
    fitted = refits(tabular, seed=0, replicates=200)
    return {"model_based": bootstrap_interval(fitted, policy, level=0.95)}


def bandit_fqe(size: int, repeats: int) -> dict[str, Coverage]:
    """Three arms, FQE bootstrap."""
    problem = Bandit()

    def draw(seed: int) -> dict[str, Interval]:
        log = problem.log(size, seed)
        return refitted(log, PolicyTable.of_states(log, np.array([problem.target])), 1.0)

    return measure(draw, truth=problem.value, repeats=repeats, seed=1)


def random_fqe(size: int, repeats: int) -> dict[str, Coverage]:
    """Six states, three actions, cut after 40 steps, FQE bootstrap."""
    process = random_mdp()

    def draw(seed: int) -> dict[str, Interval]:
        rows = process.mdp.simulate(
            process.behavior, episodes=size, seed=seed, max_steps=HORIZON
        )
        log = process.mdp.to_dataset(rows, horizon=HORIZON)
        return refitted(log, PolicyTable.of_states(log, process.target), DISCOUNT)

    truth = process.mdp.value(process.target, DISCOUNT, HORIZON)
    return measure(draw, truth=truth, repeats=repeats, seed=1)


def cells(repeats: int) -> dict[str, Callable[[], dict[str, Coverage]]]:
    """Units of work by name."""
    work: dict[str, Callable[[], dict[str, Coverage]]] = {}
    for size in SIZES:
        work[f"bandit_{size}"] = functools.partial(bandit, size, repeats)
        work[f"icu_behavior_{size}"] = functools.partial(present, size, repeats)
        for share in SHARES:
            name = f"icu_{share:g}_{size}"
            work[name] = functools.partial(icu, size, share, repeats)
    work["bandit_fqe_300"] = functools.partial(bandit_fqe, 300, repeats // 2)
    work["random_fqe_100"] = functools.partial(random_fqe, 100, repeats // 2)
    return work


def finish(name: str, repeats: int, work: Callable[[], dict[str, Coverage]]) -> list[dict]:
    """Rows of one cell, from the last run if it got that far."""
    path = CELLS / f"{name}_{repeats}.json"
    if path.exists():
        return json.loads(path.read_text())
    rows = []
    for label, coverage in work().items():
        interval = coverage.interval
        rows.append(
            {
                "figure": f"coverage_{name}_{label}",
                "value": coverage.rate,
                "unit": "share of logs",
                "n": coverage.repeats,
                "low": interval.low,
                "high": interval.high,
            }
        )
        rows.append(
            {
                "figure": f"width_{name}_{label}",
                "value": coverage.width,
                "unit": "return, median",
                "n": coverage.repeats,
                "low": None,
                "high": None,
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(rows))
    unfinished.replace(path)
    return rows


def extremes(rows: list[dict]) -> list[dict]:
    """The smallest and largest coverage of each label."""
    found = []
    for figure, label, pick in (
        ("asymptotic_min", "asymptotic", min),
        ("asymptotic_max", "asymptotic", max),
        ("guaranteed_min", "guaranteed", min),
        ("model_based_min", "model_based", min),
    ):
        of_label = [
            row
            for row in rows
            if row["figure"].startswith("coverage_") and row["figure"].endswith(label)
        ]
        found.append(pick(of_label, key=lambda row: row["value"]) | {"figure": figure})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400, help="simulated logs per cell")
    repeats = parser.parse_args().repeats
    rows = []
    for name, work in cells(repeats).items():
        found = finish(name, repeats, work)
        rows += found
        shown = ", ".join(f"{r['figure']} {r['value']:.4g}" for r in found)
        print(shown, flush=True)
    rows = extremes(rows) + rows
    report = {
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "command": " ".join(["python", "benchmarks/coverage.py", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    for row in rows[:4]:
        print(f"{row['figure']}: {row['value']:.3f}")


if __name__ == "__main__":
    main()
