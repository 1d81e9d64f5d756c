"""Learned against the present policy that decides whether to send notifications.

    python benchmarks/notifications.py [--seeds 10]

Each seed is a log of its own (2,000 users, four weeks), learned from by double DQN and by
discrete CQL with their defaults, and a world of its own (10,000 users, four weeks) in which
the learned and the present policy have the same luck. Figures are changes in percent, means
over seeds with bootstrap intervals. The present policy without its exploration stands
beside them: nothing is learned in it. Simulator and settings were fixed before the first
run. A cell is kept in .bench/notifications as soon as it is finished.
"""

import argparse
import functools
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from record import row, save

from stitchrl import artifacts
from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.experience import Experience
from stitchrl.normalizer import Normalizer
from stitchrl.policies import Normalized, action_probabilities
from stitchrl.problems.notifications import (
    PARAMETERS,
    Objectives,
    log,
    rollout,
    threshold_policy,
)
from stitchrl.problems.notifications.simulator import behavior
from stitchrl.train import train

CELLS = Path(__file__).parents[1] / ".bench" / "notifications"
USERS, WORLD, STEPS = 2_000, 10_000, 20_000
DISCOUNT = 0.99  # Of a block of six hours: looks about 25 days ahead.
LEARNED = {
    "double_dqn": DoubleDQN(discount=DISCOUNT, hidden=(64, 64)),
    "cql": DiscreteCQL(discount=DISCOUNT, hidden=(64, 64)),
}
WITHOUT = "without_exploration"
# In percent of the present policy: double DQN and CQL in the authors' A/B tests.
PUBLISHED = {
    "double_dqn": {"weekly_active": -0.69, "volume": 7.72, "click_through": -7.79},
    "cql": {
        "sessions": 0.24, "weekly_active": 0.18, "volume": -1.73, "click_through": 2.26,
    },
}  # fmt: skip


@jax.jit
def probabilities(policy: Any, observation: Any) -> Any:
    return jax.vmap(lambda one: action_probabilities(policy, one, 2))(observation)


@jax.jit
def mean_promise(policy: Any, critics: Any, observation: Any) -> Any:
    """Mean Q of what the policy does."""

    def promise(one):
        scaled = policy.scale(one)
        return critics(scaled, policy.policy.mode(scaled)).mean()

    return jax.vmap(promise)(observation).mean()


def acting(policy: Any):
    return lambda observation: np.asarray(
        probabilities(policy, jnp.asarray(observation, jnp.float32))
    )


def per_block(found: Objectives) -> float:
    """The reward, as it is learned from, of a user and block."""
    p = PARAMETERS
    clicks = found.volume * found.click_through
    daily = found.sessions + p.click_reward * clicks - p.send_cost * found.volume
    return daily / p.blocks


def learn(name: str, seed: int) -> dict[str, Any]:
    """What one seed of one algorithm achieves, and what it promised."""
    dataset = log(USERS, seed)
    normalizer = Normalizer.fit(dataset)
    experience, algorithm = Experience.of(dataset, normalizer), LEARNED[name]
    begun = time.monotonic()
    state, _ = train(algorithm, experience, jax.random.key(seed), STEPS)
    policy = Normalized(algorithm.policy(state), normalizer)
    seen = jnp.asarray(dataset.observation[:: PARAMETERS.blocks + 1])
    promised = float(mean_promise(policy, algorithm.action_value(state), seen))
    seconds = time.monotonic() - begun
    found = rollout(acting(policy), users=WORLD, seed=world(seed))
    return {
        "found": found._asdict(),
        "promised": promised * (1 - DISCOUNT),
        "achieved": per_block(found),
        "seconds": seconds,
    }


def world(seed: int) -> int:
    """The seed of the world in which policies of log `seed` are tried."""
    return 1_000 + seed


def present(name: str, seed: int) -> dict[str, Any]:
    """The present policy, with or without the exploration that made the log."""
    policy = threshold_policy(PARAMETERS.threshold) if name == WITHOUT else behavior()
    return {"found": rollout(policy, users=WORLD, seed=world(seed))._asdict()}


def cell(name: str, seed: int) -> dict[str, Any]:
    """One unit of work, from the last run if it got that far."""
    path = CELLS / f"{name}-{seed}.json"
    if not path.is_file():
        result = learn(name, seed) if name in LEARNED else present(name, seed)
        artifacts.save_json(path, result)
        print(name, seed, result, flush=True)
    return json.loads(path.read_text())


def mean_row(figure: str, values: np.ndarray, unit: str) -> dict[str, Any]:
    """The mean over seeds with its 95 % bootstrap interval."""
    draws = np.random.default_rng(0).integers(len(values), size=(10_000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    mean = float(values.mean())
    return row(figure, mean, unit=unit, n=len(values), low=float(low), high=float(high))


def rows_of(name: str, cells: list[dict], baseline: list[dict]) -> list[dict[str, Any]]:
    def column(results: list[dict], objective: str) -> np.ndarray:
        return np.array([result["found"][objective] for result in results])

    rows = []
    for objective in Objectives._fields:
        change = 100 * (column(cells, objective) / column(baseline, objective) - 1)
        rows.append(mean_row(f"{name}_{objective}", change, "% of the present policy"))
    if name in LEARNED:
        promise = np.array([one["promised"] / one["achieved"] for one in cells])
        rows.append(mean_row(f"{name}_promise", promise, "times what is achieved"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    CELLS.mkdir(parents=True, exist_ok=True)
    names = (WITHOUT, *LEARNED)
    finished = functools.cache(cell)
    for seed in range(options.seeds):
        for name in ("present", *names):
            finished(name, seed)
    every = {
        name: [finished(name, seed) for seed in range(options.seeds)]
        for name in ("present", *names)
    }
    rows = [
        found for name in names for found in rows_of(name, every[name], every["present"])
    ]
    for found in rows:
        print(f"{found['figure']}: {found['value']:+.2f} {found['unit']}")
    save("notifications", rows, command="make bench-notifications", published=PUBLISHED)


if __name__ == "__main__":
    main()
