"""How a benchmark is written down: machine, versions, command, date, rows of figures."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stitchrl import artifacts, devices

RESULTS = Path(__file__).parent / "results"


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
