"""How a benchmark is written down: machine, versions, command, date, rows of figures."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stitchrl import artifacts, devices

RESULTS = Path(__file__).parent / "results"
RESAMPLES = 2_000


def row(
    figure: str,
    value: float,
    *,
    unit: str,
    n: int,
    low: float | None = None,
    high: float | None = None,
) -> dict[str, Any]:
    """One figure: its value, and the lowest and highest (or an interval) of `n`."""
    numbers = {"value": value, "unit": unit, "n": n, "low": low, "high": high}
    return {"figure": figure, **numbers}


def interval_of_mean(values: np.ndarray) -> tuple[float, float]:
    """At 95 %, by resampling `values` (n,); equally many are always drawn alike."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def save(name: str, rows: Sequence[dict[str, Any]], *, command: str, **more: Any) -> None:
    """Write results/NAME.json."""
    facts = devices.describe()
    result = {
        "machine": f"{facts['processor']}, {facts['threads']} threads, {facts['system']}",
        "versions": facts["versions"],
        "command": command,
        "date": datetime.date.today().isoformat(),
        **more,
        "rows": list(rows),
    }
    artifacts.save_json(RESULTS / f"{name}.json", result)
