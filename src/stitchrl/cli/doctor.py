"""`stitchrl doctor`: what there is to compute with, and whether it computes rightly."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich import box
from rich.table import Table
from rich.text import Text

from stitchrl import artifacts, devices
from stitchrl.cli import machine, options
from stitchrl.cli.errors import REFUSED
from stitchrl.cli.output import AsJson, print_json, results, size

LITTLE_MEMORY, LITTLE_DISK = 2e9, 1e9


def doctor(threads: options.Threads = None, as_json: AsJson = False) -> None:
    """Versions, devices, threads, memory, disk, and a quick check that they work.

    Exits with 1 if a check fails.
    """
    machine.prepare(threads)
    facts = devices.describe()
    space = {"memory": memory(), "disk": float(shutil.disk_usage(Path.cwd()).free)}
    checks = {
        name: _tried(check)
        for name, check in (
            ("matrix products", _products),
            ("training", _training),
            ("saving", _saving),
        )
    }
    is_well = all(said.startswith("ok") for said in checks.values())
    if as_json:
        print_json({"machine": facts, **space, "checks": checks, "ok": is_well})
    else:
        results().print(_table(facts, space, checks))
    if not is_well:
        raise typer.Exit(REFUSED)


def memory() -> float | None:
    """Bytes this process may still use, by what the system and its container allow."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    facts = Path("/proc/meminfo")
    for line in facts.read_text().splitlines() if facts.exists() else []:
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.exists() and used.exists() and limit.read_text().strip().isdecimal():
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return float(free)


def _tried(check: Callable[[], str]) -> str:
    """What a check found; any error at all is a finding here."""
    try:
        return f"ok: {check()}"
    except Exception as error:
        return f"failed: {type(error).__name__}: {error}"


def _products() -> str:
    from stitchrl.job.dry_run import matmul_rate

    return f"{matmul_rate() / 1e9:,.0f} GFLOP/s in float32 on each device"


def _training() -> str:
    """Two members learn for a few updates, in one program over all devices."""
    import jax

    from stitchrl.algorithms import BC
    from stitchrl.experience import Experience
    from stitchrl.population import advance_members, gathered, start_members
    from stitchrl.testing import small_log
    from stitchrl.train import prepare

    experience = Experience.of(small_log("discrete"))
    members = [BC(hidden=(8, 8), batch_size=16)] * 2
    keys = [jax.random.key(seed) for seed in range(2)]
    started = start_members(members, experience, keys)
    data = prepare(members[0], experience)
    _, _, is_finite = advance_members(started, data, 20)
    if not np.asarray(gathered(is_finite))[:2].all():
        raise RuntimeError("numbers became infinite or undefined where they must not")
    return f"two members, {len(jax.devices())} device(s), all finite"


def _saving() -> str:
    """What is written is read again, and a flipped bit is found."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "artifact"
        values = np.arange(256, dtype=np.float32)
        files = {"weights.safetensors": artifacts.arrays_to_bytes({"values": values})}
        artifacts.save_directory(place, files)
        found = artifacts.load_directory(place)["weights.safetensors"]
        read = artifacts.bytes_to_arrays(found, source=str(place))["values"]
    if not np.array_equal(read, values):
        raise RuntimeError("what was read is not what was saved")
    return "read back what was written"


def _table(facts: dict[str, Any], space: dict[str, Any], checks: dict[str, str]) -> Table:
    table = Table(box=box.SIMPLE, show_header=False)
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    table.add_row("Versions", versions)
    table.add_row("System", f"{facts['system']}, {facts['processor'] or 'unknown CPU'}")
    what = f"{facts['device_count']} x {facts['device_kind']} ({facts['platform']})"
    table.add_row("Devices", what)
    table.add_row("Threads", str(facts["threads"]))
    for name, little in (("memory", LITTLE_MEMORY), ("disk", LITTLE_DISK)):
        free = space[name]
        text = Text("unknown" if free is None else f"{size(free)} free")
        if free is not None and free < little:
            text.append(f", which is little: {size(little)} are better", style="yellow")
        table.add_row(name.capitalize(), text)
    for name, said in checks.items():
        color = "green" if said.startswith("ok") else "red"
        table.add_row(f"Check: {name}", Text(said, style=color))
    return table
