"""The script for accelerators runs, at the smallest size and on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

from repository import ROOT, bench


def test_every_kind_of_part_runs(tmp_path: Path):
    out = tmp_path / "gpu.json"
    command = [ROOT / "benchmarks" / "gpu.sh", "--tiny", "--out", out]
    environment = os.environ | {"PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    found = json.loads(out.read_text())
    rates = {
        row["figure"]: row["value"] for row in found["rows"] if "rate" in row["figure"]
    }
    (score,) = (row for row in found["rows"] if row["figure"] == "score_float32")
    assert score["n"] == 2 and 0 <= score["low"] <= score["value"] <= score["high"] <= 1
    assert rates.keys() == {
        "iql_default_rate",
        "iql_population_2_rate",
        "iql_loop_of_8_unrolled_rate",
        "iql_loop_of_dispatches_rate",
    }
    assert min(rates.values()) > 0 and found["tiny"] and not found["failed"]


def test_xla_knows_every_setting():
    gpu = bench("gpu")
    flags = " ".join(gpu.SETTINGS.values())
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    subprocess.run(command, env=environment, check=True)
    names = [part.name for part in gpu.all_parts(tiny=False)]
    assert len(names) == len(set(names)) and "iql_population_1024" in names
