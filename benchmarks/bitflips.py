"""Flip one bit in a saved file, 200 times: is it refused each time?

    python benchmarks/bitflips.py [RUN] [--flips 200] [--seed 0]

Without RUN, a small run directory is made. Each flip draws a file of the run, then a bit
of it. Two readers are asked: the one that commands use for this one file, and `verify`,
which looks at all. Writes benchmarks/results/bitflips.json; ends with status 1 if a flip
went unnoticed, or if an undamaged run is refused.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import optax
from record import row, save
from scipy.stats import beta

from stitchrl import artifacts
from stitchrl.checkpoint import save_checkpoint
from stitchrl.metrics_log import MetricsLog


def make_run(run: Path) -> None:
    """Two members with two checkpoints each, their metrics, plan, report and policy."""
    names = ("plan.json", "data.json", "candidates.json", "estimates.json", "report.json")
    plain = {"name": "iql", "discount": 0.99, "seeds": list(range(50))}
    artifacts.save_sealed(run, {name: artifacts.json_to_bytes(plain) for name in names})
    artifacts.save_sealed(run, {"report.html": b"<!doctype html>" + b"<p>word</p>" * 4000})
    for number in range(2):
        member = run / "members" / f"{number:03d}"
        log = MetricsLog(member / "metrics.jsonl")
        key = jax.random.key(number)
        for step in range(500, 10_001, 500):
            log.append({"step": step, "train/loss": 1 / step, "probe/q": step / 7})
            weights = {"weight": jax.random.normal(key, (64, 64)), "key": key}
            state = {
                "network": weights,
                "optimizer": optax.adam(0.1).init(weights["weight"]),
            }
            if step % 5000 == 0:
                save_checkpoint(member / "checkpoint", state, step=step, chunk=500)
    table = artifacts.arrays_to_bytes({"table": np.eye(60)})
    policy = {"weights.safetensors": table, "policy.json": artifacts.json_to_bytes(plain)}
    artifacts.save_directory(run / "policy", policy)
    artifacts.seal(run)


def read_as_commands_do(run: Path, place: Path) -> None:
    """Read the file at `place` by the reader that is meant for it."""
    owner = next(up for up in place.parents if (up / artifacts.MANIFEST).is_file())
    if owner != run:
        artifacts.load_directory(owner)
    elif place == run / artifacts.MANIFEST:
        artifacts.read_sealed(run, "plan.json")
    else:
        artifacts.read_sealed(run, place.relative_to(run).as_posix())


def refuses(read: Callable[[], object]) -> bool:
    try:
        read()
    except artifacts.ArtifactError:
        return True
    return False


def flip_and_read(run: Path, *, flips: int, seed: int) -> dict[str, int]:
    """How many flips were refused, by reader; every flip is undone after it."""
    draw = random.Random(seed)
    unsealed = {run / name for name in artifacts.verify(run)}
    if unsealed:
        print(f"Not sealed, so left out: {sorted(map(str, unsealed))}")
    files = (place for place in run.rglob("*") if place.is_file() and place.stat().st_size)
    places = sorted(place for place in files if place not in unsealed)
    for place in places:
        read_as_commands_do(run, place)
    refused = {"bitflips_refused_by_reader": 0, "bitflips_refused_by_verify": 0}
    for _ in range(flips):
        place = draw.choice(places)
        good = place.read_bytes()
        bit = draw.randrange(8 * len(good))
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        place.write_bytes(bad)
        for name, read in (
            ("bitflips_refused_by_reader", lambda at=place: read_as_commands_do(run, at)),
            ("bitflips_refused_by_verify", lambda: artifacts.verify(run)),
        ):
            if refuses(read):
                refused[name] += 1
            else:
                print(f"{name}: bit {bit} of {place.relative_to(run)} went unnoticed.")
        place.write_bytes(good)
    artifacts.verify(run)
    return refused


def share(figure: str, refused: int, flips: int) -> dict[str, object]:
    """A share with its exact 95 % interval (Clopper-Pearson)."""
    low = float(beta.ppf(0.025, refused, flips - refused + 1)) if refused else 0.0
    high = float(beta.ppf(0.975, refused + 1, flips - refused)) if refused < flips else 1.0
    value, unit = refused / flips, "share of flips"
    return row(figure, value, unit=unit, n=flips, low=low, high=high)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        if options.run:
            shutil.copytree(options.run, run)
        else:
            make_run(run)
        refused = flip_and_read(run, flips=options.flips, seed=options.seed)
    for figure, count in refused.items():
        print(f"{figure}: {count} of {options.flips}")
    rows = [share(figure, count, options.flips) for figure, count in refused.items()]
    save("bitflips", rows, command=" ".join(["make bench-bitflips", *sys.argv[1:]]))
    return 0 if min(refused.values()) == options.flips else 1


if __name__ == "__main__":
    sys.exit(main())
