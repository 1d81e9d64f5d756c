"""Estimators of twenty-five policies on ICU-Sepsis: how near, in which order, how fast.

Every log is one more simulation of the process, whose policies have exact values. Of each
estimator: mean squared error over policies and logs (a policy of which it says
nothing counts with the log's own mean), Spearman's correlation with the truth, and the
regret of its favorite, (best - favorite) / (best - worst). Writes results/estimators.json.
"""

import argparse
import time

import numpy as np
from record import interval_of_mean, row, save
from scipy.stats import spearmanr

from stitchrl.ope.certification import Certification
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.problems import icu_policies
from stitchrl.problems.icu_sepsis import load

SIZES = (1_000, 5_000)


def estimated(size: int, seed: int) -> tuple[dict[str, np.ndarray], float]:
    """Values (policies,) by estimator on one log, and the seconds that all took."""
    log = load().simulate(size, seed, icu_policies.behavior())
    tables = [PolicyTable.of_states(log, p) for p in icu_policies.policies().values()]
    begun = time.perf_counter()
    certification = Certification(log, Behavior.logged(log), 1.0, len(tables), seed)
    found: dict[str, list[float]] = {}
    for table in tables:
        for estimate in certification.estimates(table):
            found.setdefault(estimate.name, []).append(estimate.value)
    seconds = time.perf_counter() - begun
    now = log.returns().mean()
    values = {name: np.nan_to_num(value, nan=now) for name, value in found.items()}
    return {name: np.asarray(value) for name, value in values.items()}, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=50)
    options = parser.parse_args()
    truth = np.array([*icu_policies.values()])
    reach = float(np.ptp(truth))
    rows = []
    for size in SIZES:
        drawn = [estimated(size, seed) for seed in range(options.logs)]
        seconds = np.array([spent for _, spent in drawn])
        names = list(drawn[0][0])
        print(f"{size:,} patients: {np.median(seconds):.2f} s for all, median")
        for name in names:
            values = np.stack([of_log[name] for of_log, _ in drawn])
            squares = ((values - truth) ** 2).mean(axis=1)
            order = np.array([float(spearmanr(one, truth)[0]) for one in values])
            order = np.nan_to_num(order)
            regret = (truth.max() - truth[values.argmax(axis=1)]) / reach
            shown = []
            for what, found in (("mse", squares), ("spearman", order), ("regret", regret)):
                low, high = interval_of_mean(found)
                entry = row(
                    f"{name}/{size}/{what}",
                    float(found.mean()),
                    unit=what,
                    n=options.logs,
                    low=low,
                    high=high,
                )
                rows.append(entry)
                shown.append(f"{what} {entry['value']:8.4f} [{low:.3f}, {high:.3f}]")
            print(f"{name:10} " + "  ".join(shown), flush=True)
        rows.append(
            row(
                f"seconds/{size}",
                float(np.median(seconds)),
                unit="seconds for 25 policies and all estimators",
                n=options.logs,
                low=float(seconds.min()),
                high=float(seconds.max()),
            )
        )
    save("estimators", rows, command="make bench-estimators")


if __name__ == "__main__":
    main()
