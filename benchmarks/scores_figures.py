"""Figures of the scores, from what is committed: nothing is trained, no log is loaded.

    python benchmarks/scores_figures.py

A figure compares algorithms on several logs. One is in it only if every seed has a score on
every log of it: an aggregate over other logs would be another quantity. Scores are those of
the last policy, as in README.md. Writes figures/scores-*.svg.
"""

import json
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from stitchrl.aggregates import interquartile_mean
from stitchrl.report.figures_scores import improvements, intervals, profiles

HERE = Path(__file__).parent
RESULTS, FIGURES = HERE / "results", HERE / "figures"
MAZES = ("pointmaze-medium", "pointmaze-large")
HOPPER = ("hopper-replay-zoo-v0", "hopper-medium-zoo-v0", "hopper-expert-zoo-v0")
LABEL = "score (0: random actions, 100: an expert)"
BASELINE = "filtered cloning"  # What learning values has to beat.
WORDS = {
    "bc": "cloning",
    "filtered_bc": "filtered cloning",
    "rvs": "RvS-R",
    "awac": "AWAC",
    "awr": "AWR",
    "one_step": "one-step RL",
    "iql": "IQL",
    "xql": "XQL",
    "cql": "CQL",
    "td3_bc": "TD3+BC",
    "rebrac": "ReBRAC",
    "td3": "TD3 (control)",
    "sac": "SAC (control)",
}


@cache
def results() -> dict[str, Any]:
    return json.loads((RESULTS / "scores.json").read_text())


def compared(logs: Sequence[str]) -> dict[str, np.ndarray]:
    """float64 (seeds, logs) of who ran on all of these logs, the best IQM first."""
    settings = [one for one in results()["settings"] if one["name"] in logs]
    settings.sort(key=lambda one: logs.index(one["name"]))
    everywhere = set.intersection(*({*complete(one)} for one in settings))
    found = {
        WORDS[name]: np.transpose([last_scores(log, name) for log in settings])
        for name in sorted(everywhere)
    }
    return dict(sorted(found.items(), key=lambda item: -interquartile_mean(item[1])))


def complete(log: dict[str, Any]) -> list[str]:
    """Names of algorithms of which every seed has a score on this log."""
    scored = {row["figure"] for row in results()["rows"] if row["n"] == log["seeds"]}
    return [n for n in log["algorithms"].split() if f"{log['name']}/{n}/last" in scored]


def last_scores(log: dict[str, Any], name: str) -> list[float]:
    """Of each seed; their mean must be the one of scores.json."""
    cells = [
        json.loads((RESULTS / "scores" / f"{log['name']},{name},{seed}.json").read_text())
        for seed in range(log["seeds"])
    ]
    last = [cell["scores"][-1] for cell in cells]
    (kept,) = (
        one for one in results()["rows"] if one["figure"] == f"{log['name']}/{name}/last"
    )
    if not np.isclose(kept["value"], np.mean(last)):
        raise ValueError(
            f"scores.json says {kept['value']} of {log['name']}/{name}, but the mean "
            f"of its cells is {np.mean(last)}: run `make bench-scores ARGS=--table`."
        )
    return last


def drawings() -> dict[str, str]:
    """Every figure by the name of its file, without the ending."""
    draw = partial(intervals, label=LABEL)
    both = compared(MAZES + HOPPER)
    others = [(name, BASELINE) for name in both if name != BASELINE]
    return {
        "scores-mazes": draw(compared(MAZES), name="scores-mazes"),
        "scores-hopper": draw(compared(HOPPER), name="scores-hopper"),
        "scores-both": draw(both, name="scores-both"),
        "scores-profiles": profiles(both, label=LABEL),
        "scores-improvements": improvements(both, pairs=others),
    }


def write() -> None:
    """All figures, where README.md shows them from."""
    FIGURES.mkdir(exist_ok=True)
    for name, svg in drawings().items():
        (FIGURES / f"{name}.svg").write_text(svg)
        print(f"{FIGURES / name}.svg")


if __name__ == "__main__":
    write()
