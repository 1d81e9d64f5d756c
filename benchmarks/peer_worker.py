"""One unit of `peer.py`, in a process of its own: one side's runs, some seeds."""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import peer
import scores_task as task

from stitchrl import devices

devices.prepare(threads=1, host_devices=1)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from stitchrl import artifacts  # noqa: E402
from stitchrl.candidates import Candidate  # noqa: E402
from stitchrl.experience import Experience  # noqa: E402
from stitchrl.networks import MLP, Linear  # noqa: E402
from stitchrl.policies import Deterministic, Normalized  # noqa: E402
from stitchrl.train import train  # noqa: E402


def ours(runs: peer.Runs, seed: int, setting: task.Setting, experience: Experience) -> Any:
    """Our policy after all updates."""
    algorithm, key = setting.algorithm, jax.random.key(seed)
    state, _ = train(algorithm, experience, key, steps=runs.log.updates)
    return algorithm.policy(state)


def theirs(
    runs: peer.Runs, seed: int, setting: task.Setting, experience: Experience
) -> Deterministic:
    """d3rlpy's policy, as a network of ours."""
    with tempfile.TemporaryDirectory() as place:
        arrays, policy = Path(place) / "log.npz", Path(place) / "policy.npz"
        save_arrays(experience, arrays)
        script = [peer.THEIR_PYTHON, peer.HERE / "peer_d3rlpy.py", runs.name, arrays]
        numbers = [json.dumps(setting.described), runs.log.updates, seed]
        subprocess.run(
            [*map(str, [*script, *numbers, policy])], check=True, stdout=subprocess.DEVNULL
        )
        return policy_from(policy)


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


def unit(runs: peer.Runs, seeds: list[int]) -> None:
    """Train, score, write the cells."""
    dataset = task.load(runs.log)
    setting = task.setting(runs.log, runs.name, dataset)
    experience = Experience.of(dataset, setting.normalizer, setting.reward)
    learn = {"stitchrl": ours, "d3rlpy": theirs}[runs.side]
    for seed in seeds:
        begun = time.monotonic()
        policy = Normalized(learn(runs, seed, setting, experience), setting.normalizer)
        score = task.score(runs.log, Candidate(runs.name, "policy", "mode", policy), seed)
        path = runs.path(seed)
        artifacts.save_json(
            path,
            {
                "side": runs.side,
                "log": runs.log.name,
                "algorithm": runs.name,
                "seed": seed,
                "updates": runs.log.updates,
                "settings": setting.described,
                "score": score,
            },
        )
        print(f"{path.stem}: {score:.1f}, {time.monotonic() - begun:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=peer.SIDES)
    parser.add_argument("log")
    parser.add_argument("algorithm")
    parser.add_argument("seeds", type=int, nargs="+")
    options = parser.parse_args()
    log = next(log for log in peer.LOGS if log.name == options.log)
    unit(peer.Runs(options.side, log, options.algorithm), options.seeds)


if __name__ == "__main__":
    main()
