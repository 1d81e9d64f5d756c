"""The demo on five logs, held against the truth that only a simulated log has.

Each log is simulated anew (seeds 0 to 4) and goes through `stitchrl demo` as a user would
run it. Kept in .bench/demo, so that an interrupted bench goes on. Writes results/demo.json.
"""

import argparse
import json
import subprocess
import sys
import time
from math import log2
from pathlib import Path
from typing import Any

from record import row, save

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".bench" / "demo"
PROGRAM = Path(sys.executable).parent / "stitchrl"
SEEDS = 5
SPARE_BITS = 3.0


def run(seed: int, fresh: bool) -> dict[str, Any]:
    """The report of one demo, and how long the job took as a whole command."""
    place = WORK / str(seed)
    finished = WORK / f"{seed}.json"
    if fresh or not finished.is_file():
        command = [str(PROGRAM), "demo", "--seed", str(seed)]
        begun = time.monotonic()
        subprocess.run([*command, "--out", str(place)], check=True, cwd=ROOT)
        seconds = time.monotonic() - begun
        report = json.loads((place / "report.json").read_text())
        finished.write_text(json.dumps({"seconds": seconds, "report": report}))
    return json.loads(finished.read_text())


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """What the truth says of one report."""
    decide, truth = report["decide"], report["truth"]
    exact = {entry["policy"]: entry for entry in truth["values"]}
    kinds = {policy["name"]: policy["kind"] for policy in report["policies"]}
    best, recommended = decide["best"], decide["recommended"]
    bits = {entry["policy"]: entry for entry in report["trust"]["weights"]}
    clinicians = next(exact[name] for name, kind in kinds.items() if kind == "behavior")
    too_far = [
        verdict["policy"]
        for verdict in decide["verdicts"]
        if verdict["decision"] == "deploy"
        and (
            kinds[verdict["policy"]] == "control"
            or is_far(bits[verdict["policy"]], report["data"])
        )
    ]
    return {
        "best": best,
        "recommended": recommended,
        "decision": decide["decision"],
        "clinicians": clinicians["value"],
        "selected": exact[best]["value"],
        "recommended_value": exact[recommended]["value"] if recommended else None,
        "overestimate": exact["double_dqn"]["own"] - exact["double_dqn"]["value"],
        "report_says_so": any(
            "Double DQN" in sentence
            for sentence in (*truth["sentences"], *report["training"]["sentences"])
        ),
        "forbidden_deploys": len(too_far),
    }


def is_far(weights: dict[str, Any], data: dict[str, Any]) -> bool:
    certified = next(s for s in data["splits"] if s["name"] == "certification")
    bits = weights["kl_per_episode"]
    bits = float("inf") if bits in (None, "Infinity") else bits
    return bits > log2(certified["groups"]) + SPARE_BITS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="run all five again")
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    runs = [run(seed, arguments.fresh) for seed in range(SEEDS)]
    found = [figures(one["report"]) for one in runs]
    for seed, one in enumerate(found):
        print(seed, one)
    selected = [one["selected"] for one in found]
    over = [one["overestimate"] for one in found]
    gains = [
        one["recommended_value"] - one["clinicians"] for one in found if one["recommended"]
    ]
    seconds = sorted(one["seconds"] for one in runs)
    n = len(found)

    def spread(figure: str, value: float, values: list[float], unit: str) -> dict:
        return row(figure, value, unit=unit, n=n, low=min(values), high=max(values))

    survival = "probability of survival"
    rows = [
        spread("selected_true_value_mean", sum(selected) / n, selected, survival),
        row("selected_true_value_min", min(selected), unit=survival, n=n),
        row("clinicians_true_value", found[0]["clinicians"], unit=survival, n=n),
        spread("control_overestimate_min", min(over), over, survival),
        row(
            "control_overestimate_reported",
            sum(one["report_says_so"] for one in found),
            unit="reports",
            n=n,
        ),
        row(
            "forbidden_deploys",
            sum(one["forbidden_deploys"] for one in found),
            unit="verdicts",
            n=n,
        ),
        row(
            "recommended_gain_min",
            min(gains, default=0.0),
            unit=survival,
            n=len(gains),
            low=min(gains, default=None),
            high=max(gains, default=None),
        ),
        spread("job_seconds", seconds[n // 2], seconds, "seconds, whole command"),
    ]
    save("demo", rows, command="make bench-demo", runs=found)


if __name__ == "__main__":
    main()
