"""A sweep of 32 configurations of IQL beside d3rlpy's runs one by one: `make bench-sweep`.

    python benchmarks/sweep.py [--updates 2000]

One command of ours, `stitchrl train --no-ranking` on a Parquet log, against 2 of 32
processes of d3rlpy that train on the same log, times 16. All are timed from the shell to
their end, start-up included. Writes results/sweep.json; benchmarks/README.md explains.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import row, save
from speed import machine, versions
from start import write_log, write_mapping

EXPECTILES = (0.6, 0.7, 0.8, 0.9)
TEMPERATURES = (0.5, 1, 2, 3, 5, 7, 10, 20)
RUNS = len(EXPECTILES) * len(TEMPERATURES)
MEASURED = 2
PEER = """
import sys
import d3rlpy, numpy as np, pyarrow.parquet as pq

table = pq.read_table(sys.argv[1])
def columns(letter):
    names = [x for x in table.column_names if x[0] == letter and x[1:].isdigit()]
    return np.stack([table[name].to_numpy() for name in names], axis=1)
log = d3rlpy.dataset.MDPDataset(
    observations=columns("o"), actions=columns("a"), rewards=table["reward"].to_numpy(),
    terminals=table["terminated"].to_numpy().astype("float32"),
)
config = d3rlpy.algos.IQLConfig(batch_size=256, expectile=float(sys.argv[3]),
                                weight_temp=float(sys.argv[4]))
learner = config.create()
learner.fit(log, n_steps=int(sys.argv[2]), n_steps_per_epoch=int(sys.argv[2]),
            logger_adapter=d3rlpy.logging.NoopAdapterFactory(), show_progress=False)
learner.save_model(sys.argv[5])
"""


def timed(command: list[object], folder: Path) -> float:
    """Seconds of a command, from the shell to its end."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(folder)}
    environment.pop("XLA_FLAGS", None)
    start = time.perf_counter()
    ended = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, env=environment, cwd=folder
    )
    if ended.returncode:
        raise SystemExit(f"{command} failed:\n{ended.stdout}{ended.stderr}")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_log(folder / "log.parquet", 100_000)
        write_mapping(folder / "map.toml")
        (folder / "peer.py").write_text(PEER)
        words = ["-m", "stitchrl", "train", "log.parquet", "--mapping", "map.toml"]
        words += ["--out", "run", "--no-ranking"]
        words += ["--algorithms", "iql", "--seeds", 1, "--updates", options.updates]
        words += ["-o", f"iql.expectile={','.join(map(str, EXPECTILES))}"]
        words += ["-o", f"iql.inverse_temperature={','.join(map(str, TEMPERATURES))}"]
        peers = []
        for number in range(MEASURED):
            peer = [folder / "peer.py", "log.parquet", options.updates]
            peer += [EXPECTILES[number], TEMPERATURES[number], f"model{number}.pt"]
            peers.append(timed([sys.executable, *peer], folder))
            print(f"one run of d3rlpy {peers[-1]:8.1f} s", flush=True)
        trained = timed([sys.executable, *words], folder)
        print(f"{RUNS} of ours       {trained:8.1f} s", flush=True)
    all_peers = [RUNS * seconds for seconds in peers]
    expected = sum(all_peers) / len(all_peers)
    ratios = sorted(trained / seconds for seconds in all_peers)
    rows = [
        row("sweep_over_d3rlpy", trained / expected, unit="ratio", n=MEASURED,
            low=ratios[0], high=ratios[-1]),
        row("sweep", trained, unit="s", n=1, low=trained, high=trained),
        row("d3rlpy_run", expected / RUNS, unit="s", n=MEASURED, low=min(peers),
            high=max(peers)),
        row("configurations", RUNS, unit="runs", n=1, low=RUNS, high=RUNS),
    ]  # fmt: skip
    usual = options.updates == parser.get_default("updates")
    command = "make bench-sweep" + ("" if usual else f' ARGS="--updates {options.updates}"')
    save("sweep", rows, command=command, machine=machine(), versions=versions())
    for entry in rows:
        print("{figure:24s} {value:8.2f} {unit}  ({low:.2f} to {high:.2f})".format(**entry))


if __name__ == "__main__":
    main()
