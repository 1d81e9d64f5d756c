"""One unit of `scores.py`, in a process of its own: an algorithm on a log, some seeds.

Compiles once, then for each seed: trains, scores the policy after each fifth of the run,
and evaluates the last one offline by FQE. Writes one JSON cell per seed.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import scores_task as task

from stitchrl import devices

devices.prepare(threads=1, host_devices=1)

import jax  # noqa: E402
import numpy as np  # noqa: E402

from stitchrl import artifacts  # noqa: E402
from stitchrl.candidates import Candidate, as_exported  # noqa: E402
from stitchrl.dataset import Dataset  # noqa: E402
from stitchrl.evaluation.network_values import NetworkValues  # noqa: E402
from stitchrl.evaluation.ranking import Ranking  # noqa: E402
from stitchrl.evaluation.requests import Request  # noqa: E402
from stitchrl.experience import Experience  # noqa: E402
from stitchrl.train import advance, prepare, start  # noqa: E402


def unit(log: task.Log, name: str, seeds: list[int], cells: Path) -> None:
    """Train and score these seeds."""
    dataset = task.load(log)
    setting = task.setting(log, name, dataset)
    experience = Experience.of(dataset, setting.normalizer, setting.reward)
    algorithm, every = setting.algorithm, log.updates // task.CHECKPOINTS
    data = prepare(algorithm, experience)
    for seed in seeds:
        spent = time.process_time()
        run, scores, training = start(algorithm, experience, jax.random.key(seed)), [], []
        for _ in range(task.CHECKPOINTS):
            begun = time.monotonic()
            run, _ = jax.block_until_ready(advance(algorithm, data, run, every))
            training.append(time.monotonic() - begun)
            policy = algorithm.policy(run.state)
            policy, act = as_exported(policy, setting.normalizer)
            candidate = Candidate(name, "policy", act, policy)
            scores.append(task.score(log, candidate, seed))
        fqe = offline_value(dataset, candidate)
        if not np.isfinite([*scores, fqe]).all():
            raise FloatingPointError(f"{log.name} {name} {seed}: {scores}, FQE {fqe}.")
        cell = {
            "log": log.name,
            "algorithm": name,
            "seed": seed,
            "updates": log.updates,
            "settings": setting.described,
            "scores": scores,
            "fqe": fqe,
            "seconds_per_update": min(training[1:]) / every,
            "core_seconds": time.process_time() - spent,
        }
        artifacts.save_json(cells / f"{log.name},{name},{seed}.json", cell)


def offline_value(dataset: Dataset, candidate: Candidate) -> float:
    """FQE on the log, as candidates are ranked by it: what selects among seeds."""
    how: dict[str, Any] = {"updates": task.FQE_UPDATES, "seed": 0}
    if dataset.is_tabular:
        ranking = Ranking(dataset, discount=1.0, **how)
        return ranking.values([Request(candidate)])[0]
    values = NetworkValues(dataset, [], discount=task.DISCOUNT, **how)
    return values.rank([Request(candidate)])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log")
    parser.add_argument("algorithm")
    parser.add_argument("cells", type=Path)
    parser.add_argument("seeds", type=int, nargs="+")
    options = parser.parse_args()
    log = next(log for log in task.LOGS if log.name == options.log)
    unit(log, options.algorithm, options.seeds, options.cells)


if __name__ == "__main__":
    main()
