"""What only some commands need is not loaded on the way to the first update."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PARTS = ("integrate", "interpolate", "linalg", "optimize", "sparse", "spatial", "special")
LATE = {"h5py", "matplotlib", "pyarrow.csv", "ray", "scipy.stats"}
LATE |= {f"scipy.{part}" for part in PARTS}
ON_THE_WAY = """
import json, sys
import stitchrl.cli, stitchrl.cli.planning, stitchrl.cli.working, stitchrl.job.stages
from stitchrl.sources import load
from stitchrl.splits import split
split(load(sys.argv[1]), seed=0)
print(json.dumps(sorted(sys.modules)))
"""


def test_training_from_a_parquet_file_begins_without_them(tmp_path: Path):
    columns = {
        "episode": np.arange(20),
        "observation": np.linspace(0, 1, 20),
        "action": np.arange(20) % 2,
        "reward": np.ones(20),
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    command = [sys.executable, "-c", ON_THE_WAY, str(tmp_path / "log.parquet")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(json.loads(ended.stdout.splitlines()[-1]))
    assert loaded >= {"jax", "optax", "stitchrl.fit"}
    assert not loaded & LATE
