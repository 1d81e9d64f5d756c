"""What a few trials add to an offline estimate: 76 policies of others, eight at a time.

    python benchmarks/budget.py

The policies, their returns and their FQE are those of A-OPS (Konyushkova et al. 2021, arXiv
2106.10251), in a file that is not ours to ship: STITCHRL_SHARED says where `data` with
aops_cartpole_swingup.npz lies (Apache-2.0). 1,000 subsets of eight; values are shares of
the range of all 76. Writes results/budget.json.
"""

import os
from pathlib import Path

import numpy as np
from record import interval_of_mean, row, save

from stitchrl.selection.curves import best_so_far

SHARED = Path(os.environ.get("STITCHRL_SHARED", "../shared")) / "data"
POLICIES = SHARED / "aops_cartpole_swingup.npz"
SUBSET, REPEATS, PULLS = 8, 1_000, 50
SHOWN = (1, 2, 3, 5, 10, 20, 50)


def main() -> None:
    if not POLICIES.is_file():
        raise SystemExit(f"There is no '{POLICIES}'. Say where: STITCHRL_SHARED=...")
    with np.load(POLICIES) as file:
        returns, estimates = file["returns"].astype(float), file["fqe_value"]
    sizes = {"subset": SUBSET, "repeats": REPEATS, "pulls": PULLS}
    told = best_so_far(returns, estimates, **sizes)
    alone = best_so_far(returns, None, **sizes)
    rows = []
    for pull in SHOWN:
        for name, values in (
            ("with FQE", told[:, pull - 1]),
            ("without", alone[:, pull - 1]),
            ("difference", told[:, pull - 1] - alone[:, pull - 1]),
        ):
            low, high = interval_of_mean(values)
            mean = float(values.mean())
            unit = "share of the range"
            rows.append(
                row(f"{name}/{pull}", mean, unit=unit, n=REPEATS, low=low, high=high)
            )
            print(f"{name:10} after {pull:2}: {mean:.3f} [{low:.3f}, {high:.3f}]")
    save("budget", rows, command="make bench-budget")


if __name__ == "__main__":
    main()
