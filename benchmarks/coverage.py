"""How often intervals contain the exact value, on problems that know it.

    python benchmarks/coverage.py [--logs 2000] [--only icu_0.1]

Values of policies, and how much they gain on the behavior (paired, at the same level).
Every cell is written as soon as it is finished: an interrupted run goes on; after a change
of the code, delete .bench/coverage. Of WIS, only logs are counted on which a report would
not refuse it; of DRL, those on which models are not too thin.
"""

import argparse
import functools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import record

from stitchrl import artifacts
from stitchrl.dataset import Dataset
from stitchrl.ope.base import Interval, Label
from stitchrl.ope.certification import Certification
from stitchrl.ope.coverage import Coverage, gain_intervals, measure, value_intervals
from stitchrl.ope.policy_table import Behavior, DensityTable, PolicyTable
from stitchrl.problems import icu_policies, icu_sepsis
from stitchrl.problems.exact import Bandit, ToyGraph, random_mdp
from stitchrl.problems.lqg import BEHAVIOR, LQG, TARGET, LinearGaussian

CELLS = Path(__file__).parents[1] / ".bench" / "coverage"
SIZES = (300, 1000)
REFITS = 5  # One log in so many: refitting takes longest.
MOST_ERROR = 0.01  # Of all tests together.
BANDS = {Label.ASYMPTOTIC: (0.94, 0.975), Label.GUARANTEED: (0.95, 1.0)}
NEAR = LinearGaussian(0.5, 0.25)  # Halfway to what the reference values are about.


class Case(NamedTuple):
    """One problem: how to draw a log of it and a policy, and what that is worth."""

    truth: float
    present: float  # What the behavior is worth.
    draw: Callable[[int], tuple[Dataset, PolicyTable | DensityTable]]
    share: float = 1.0  # Of the policy in a mixture with the behavior.
    discount: float = 1.0
    refits: bool = False  # Whether FQE is bootstrapped too.


def bandit(size: int, share: float = 1.0) -> Case:
    """Three arms, no context."""
    problem = Bandit()

    def draw(seed: int):
        log = problem.log(size, seed)
        return log, PolicyTable.of_states(log, np.array([problem.target]))

    truth = (1 - share) * problem.behavior_value + share * problem.value
    return Case(truth, problem.behavior_value, draw, share, refits=size < 1000)


def graph(size: int, share: float = 1.0) -> Case:
    """The toy graph: four steps, returns from -4 to 4."""
    problem, up = ToyGraph(), 0.8
    mdp = problem.mdp()

    def draw(seed: int):
        rows = mdp.simulate(problem.policy(0.5), episodes=size, seed=seed)
        bounds = {"reward_bounds": (-1.0, 1.0), "return_bounds": (-4.0, 4.0)}
        log = mdp.to_dataset(rows, horizon=4, **bounds)
        return log, PolicyTable.of_states(log, problem.policy(up))

    mixed = (1 - share) * problem.policy(0.5) + share * problem.policy(up)
    present = mdp.value(problem.policy(0.5), 1.0)
    return Case(mdp.value(mixed, 1.0), present, draw, share, refits=size < 1000)


def random(size: int) -> Case:
    """Six states, three actions, cut after 40 steps."""
    process, discount, horizon = random_mdp(), 0.95, 40

    def draw(seed: int):
        rows = process.mdp.simulate(
            process.behavior, episodes=size, seed=seed, max_steps=horizon
        )
        log = process.mdp.to_dataset(rows, horizon=horizon)
        return log, PolicyTable.of_states(log, process.target)

    truth, present = (
        process.mdp.value(policy, discount, horizon)
        for policy in (process.target, process.behavior)
    )
    return Case(truth, present, draw, discount=discount, refits=True)


def gaussian(size: int, policy: LinearGaussian) -> Case:
    """Linear dynamics, five steps, returns without bounds."""
    problem, discount, horizon = LQG(), 0.95, 5

    def draw(seed: int):
        log = problem.log(BEHAVIOR, episodes=size, horizon=horizon, seed=seed)
        density = policy.density(log.observation[:, 0], log.action[:, 0])
        return log, DensityTable(density)

    truth, present = (problem.value(one, discount, horizon) for one in (policy, BEHAVIOR))
    return Case(truth, present, draw, discount=discount)


@functools.cache
def sepsis() -> tuple[icu_sepsis.ICUSepsis, np.ndarray, np.ndarray]:
    """The process, π_β = .8 clinicians + .2 uniform, and an optimal policy."""
    problem = icu_sepsis.load()
    return problem, icu_policies.behavior(), problem.mdp.optimal(1.0)[0]


def icu(size: int, share: float) -> Case:
    """ICU-Sepsis: (1 - share) π_β + share · optimum."""
    problem, behavior, optimal = sepsis()

    def draw(seed: int):
        log = problem.simulate(size, seed, behavior)
        return log, PolicyTable.of_states(log, optimal)

    truth, present = (
        problem.mdp.value((1 - a) * behavior + a * optimal, 1.0) for a in (share, 0.0)
    )
    return Case(truth, present, draw, share, refits=size < 1000)


def cases() -> dict[str, Callable[[], Case]]:
    """By name, which says the number of episodes."""
    found: dict[str, Callable[[], Case]] = {}
    for size in (100, 300):
        found[f"random_{size}"] = functools.partial(random, size)
    for size in SIZES:
        found[f"bandit_{size}"] = functools.partial(bandit, size)
        found[f"graph_{size}"] = functools.partial(graph, size)
        for share in (0.0, 0.1, 0.2, 0.3):
            found[f"icu_{share:g}_{size}"] = functools.partial(icu, size, share)
        for name, policy in (("near", NEAR), ("far", TARGET)):
            found[f"lqg_{name}_{size}"] = functools.partial(gaussian, size, policy)
    for name, problem in (("bandit", bandit), ("graph", graph)):
        found[f"{name}_0.2_1000"] = functools.partial(problem, 1000, 0.2)
    return found


def intervals(case: Case, seed: int) -> dict[str, Interval | None]:
    """Of one log."""
    log, policy = case.draw(seed)
    certification = Certification(
        log, Behavior.logged(log), case.discount, candidates=1, seed=seed
    )
    if case.share == 0:
        return {"t": certification.present.interval}
    found = value_intervals(certification, policy, case.share)
    found |= gain_intervals(certification, policy, case.share)
    if case.refits and seed % REFITS == 0:
        assert isinstance(policy, PolicyTable)
        found["FQE"] = certification.fitted_value(policy, case.share).interval
    else:
        found["FQE"] = None
    return found


def finish(name: str, case: Callable[[], Case], first: int, logs: int) -> list[dict]:
    """Rows of one cell, from the last run if it got that far."""
    path = CELLS / f"{name}_{logs}.json"
    if path.exists():
        return json.loads(path.read_text())
    made = case()
    draw = functools.partial(intervals, made)
    gain = made.truth - made.present
    truth = dict.fromkeys(("t", "WIS", "DRL", "betting", "FQE"), made.truth)
    truth |= {"gain": gain, "guaranteed gain": gain}
    found = measure(draw, truth=truth, logs=logs, seed=first)
    rows = []
    for method, coverage in found.items():
        asked = logs if method != "FQE" else (logs // REFITS if made.refits else 0)
        if (
            method in ("betting", "guaranteed gain")
            and coverage.label is not Label.GUARANTEED
        ):
            continue  # Returns have no declared bounds: what the log shows bounds nothing.
        if asked:
            rows += rows_of(f"{name}/{method}", coverage, asked)
    CELLS.mkdir(parents=True, exist_ok=True)
    artifacts.save_json(path, rows)
    return rows


def rows_of(figure: str, found: Coverage, asked: int) -> list[dict[str, Any]]:
    """Coverage, the share of logs on which the interval is offered, and its width."""
    offered = record.row(
        f"{figure}/offered", found.offered / asked, unit="share of logs", n=asked
    )
    if not found.offered:
        return [offered]
    of_rate = found.interval
    assert found.label is not None
    band = BANDS.get(found.label)
    rate = record.row(
        f"{figure}/coverage",
        found.rate,
        unit="share of logs",
        n=found.offered,
        low=of_rate.low,
        high=of_rate.high,
    )
    rate |= {"label": found.label.value, "p_value": found.p_value(*band) if band else None}
    width = record.row(f"{figure}/width", found.width, unit="median", n=found.offered)
    return [rate, offered, width]


def verdicts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many cells differ from their band at MOST_ERROR family-wise (Bonferroni)."""
    tested = [row for row in rows if row.get("p_value") is not None]
    found = []
    for label in BANDS:
        cells = [row for row in tested if row["label"] == label.value]
        values = [row["value"] for row in cells]
        off = [row for row in cells if row["p_value"] < MOST_ERROR / len(tested)]
        found.append(
            record.row(
                f"{label.value}/cells_outside",
                len(off),
                unit=f"of {len(cells)} cells; low and high: smallest, largest coverage",
                n=len(cells),
                low=min(values, default=math.nan),
                high=max(values, default=math.nan),
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=2000, help="simulated, per cell")
    parser.add_argument("--only", default="", help="cells whose names start so")
    options = parser.parse_args()
    rows = []
    for number, (name, case) in enumerate(cases().items()):
        if not name.startswith(options.only):
            continue
        found = finish(name, case, (number + 1) * 100_000, options.logs)
        rows += found
        for row in found:
            shown = f"{row['value']:.3f}" + ("" if row["low"] is None else f" n={row['n']}")
            print(f"{row['figure']:28} {shown}", flush=True)
    if options.only:
        return
    rows = verdicts(rows) + rows
    command = " ".join(["python", "benchmarks/coverage.py", *sys.argv[1:]])
    record.save("coverage", rows, command=command)
    for row in rows[:2]:
        print(f"{row['figure']}: {row['value']:.0f} of {row['n']}")


if __name__ == "__main__":
    main()
