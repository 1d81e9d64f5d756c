"""Kill a training run at random moments; resumed, it must end as if nothing had happened.

Every trial starts the same small run (two populations, checkpoints after every chunk) in
a process of its own, kills it with SIGKILL at a random moment, and starts it again until
it is through. Final weights and metrics files must then equal those of an uninterrupted
run, bit for bit. Writes results/resume.json.
"""

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".bench" / "resume"
UPDATES, CHUNK, KILLS = 600, 20, 20


def work(directory: Path) -> None:
    """Train, or go on training, in `directory`."""
    from stitchrl import devices

    devices.prepare(host_devices=2)
    import jax

    jax.config.update("jax_compilation_cache_dir", str(WORK / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    import small_run

    small = {"hidden": [[16, 16]], "batch_size": [32]}
    grids = {"bc": small, "iql": small}
    small_run.train(
        directory, grids, updates=UPDATES, chunk=CHUNK, seconds_between_saves=0.0
    )


def digest(directory: Path) -> str:
    """SHA-256 of the last weights and of the metrics of every member, in order."""
    found = hashlib.sha256()
    for member in sorted(path for path in directory.iterdir() if path.is_dir()):
        weights = member / "checkpoint" / f"{UPDATES:012d}" / "weights.safetensors"
        found.update(weights.read_bytes())
        found.update((member / "metrics.jsonl").read_bytes())
    return found.hexdigest()


def start(directory: Path) -> subprocess.Popen:
    command = [sys.executable, __file__, "--work", str(directory)]
    return subprocess.Popen(command, cwd=ROOT)


def uninterrupted() -> tuple[str, float]:
    """The digest to be reached, and how many seconds a run takes once it is compiled."""
    directory, seconds = WORK / "whole", 0.0
    for _ in range(2):  # The first compiles.
        shutil.rmtree(directory, ignore_errors=True)
        begun = time.monotonic()
        assert start(directory).wait() == 0, "the uninterrupted run failed"
        seconds = time.monotonic() - begun
    return digest(directory), seconds


def interrupted(trial: int, seconds: float) -> tuple[str, int]:
    """The digest of a run killed at random moments, and how often it was killed."""
    directory, rng = WORK / f"killed-{trial}", random.Random(trial)
    shutil.rmtree(directory, ignore_errors=True)
    kills = 0
    while True:
        process = start(directory)
        try:
            # The first start is always killed, later ones only now and then.
            limit = rng.uniform(0, seconds) if kills == 0 or rng.random() < 0.3 else None
            code = process.wait(timeout=limit)
            assert code == 0, f"trial {trial} failed with code {code}"
            return digest(directory), kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1


def prove(trials: int) -> list[tuple[bool, int]]:
    """For each trial: whether it ended like the uninterrupted run, and its kills."""
    expected, seconds = uninterrupted()
    print(f"uninterrupted: {expected[:16]} in {seconds:.1f} s", flush=True)
    outcome = []
    for trial in range(trials):
        found, kills = interrupted(trial, seconds)
        outcome.append((found == expected, kills))
        print(
            f"trial {trial}: killed {kills} times, equal: {found == expected}", flush=True
        )
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="train in this directory, and end")
    parser.add_argument("--trials", type=int, default=KILLS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return
    outcome = prove(arguments.trials)
    from record import row, save

    equal, kills = sum(ok for ok, _ in outcome), sum(n for _, n in outcome)
    rows = [
        row("resumed_bit_for_bit", equal, unit="runs", n=len(outcome)),
        row("kills", kills, unit="kills", n=len(outcome)),
    ]
    save("resume", rows, command="make bench-resume")
    sys.exit(0 if equal == len(outcome) else 1)


if __name__ == "__main__":
    main()
