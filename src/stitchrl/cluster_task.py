"""What a machine of a cluster does: train members as `fit` would, send back their files."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jax
import numpy as np

from stitchrl import artifacts, devices
from stitchrl.checkpoint import checkpoint_at, saved_steps
from stitchrl.experience import Experience
from stitchrl.fit import Progress, fit
from stitchrl.kept_programs import keep_programs
from stitchrl.member_files import MemberFiles
from stitchrl.plan import MemberPlan
from stitchrl.probing import Probe


class Shipped(NamedTuple):
    """A log on its way: plain arrays, since JAX must not start before it is set up."""

    experience: Experience
    probe: Probe


class Trained(NamedTuple):
    """A member on its way back."""

    step: int
    checkpoint: dict[str, bytes]  # Its files, by name.
    metrics: bytes


def shipped(experience: Experience, probe: Probe) -> Shipped:
    """Both with NumPy arrays for those of JAX, and the random key as numbers."""
    plain = probe._replace(key=jax.random.key_data(probe.key))
    return jax.tree.map(np.asarray, Shipped(experience, plain))


def unpacked(log: Shipped) -> tuple[Experience, Probe]:
    """Undo `shipped`, on this machine's device."""
    key = jax.random.wrap_key_data(jax.device_put(log.probe.key))
    experience, probe = jax.device_put((log.experience, log.probe._replace(key=None)))
    return experience, probe._replace(key=key)


def train_members(
    plans: Sequence[MemberPlan],
    log: Shipped,
    *,
    updates: int,
    chunk: int,
    cpus: int,
    precision: str | None,
    versions: dict[str, str],
    report: Callable[[Progress], None],
    say: Callable[[str], None],
) -> list[Trained]:
    """Train all of them on `cpus` CPUs of this machine.

    Raises `RuntimeError` if its Python and libraries are not the `versions` demanded:
    numbers would not be comparable.
    """
    if devices.versions() != versions:
        different = " ".join(devices.differences(versions, devices.versions()))
        raise RuntimeError(
            f"Machine '{os.uname().nodename}' has other versions than the one that began: "
            f"{different} Install the same everywhere."
        )
    keep_programs()
    # Of several devices each has one thread; a single one would take the whole machine.
    divide = {"threads": 1 if cpus == 1 else None, "host_devices": max(1, cpus)}
    devices.prepare(precision=precision, **({} if devices.is_divided() else divide))
    begun, host = time.monotonic(), os.uname().nodename
    say(f"{len(plans)} of {plans[0].name} begin on '{host}'")
    experience, probe = unpacked(log)
    with TemporaryDirectory(prefix="stitchrl-") as name:
        fit(
            plans, experience, probe, updates=updates, chunk=chunk, directory=Path(name),
            report=report, seconds_between_saves=float("inf"),
        )  # fmt: skip
        trained = [_read(MemberFiles.of(Path(name), plan.number)) for plan in plans]
    say(
        f"{len(plans)} of {plans[0].name} came back from '{host}' after "
        f"{time.monotonic() - begun:.0f} s"
    )
    return trained


def _read(place: MemberFiles) -> Trained:
    (step,) = saved_steps(place.checkpoints)
    files = artifacts.load_directory(checkpoint_at(place.checkpoints, step))
    return Trained(step, files, place.metrics.read_bytes())


def save_members(
    plans: Sequence[MemberPlan], trained: Sequence[Trained], directory: Path
) -> None:
    """As `fit` leaves them; metrics first, since a checkpoint says that all is there."""
    for plan, one in zip(plans, trained):
        place = MemberFiles.of(directory, plan.number)
        artifacts.save_file(place.metrics, one.metrics)
        artifacts.save_directory(checkpoint_at(place.checkpoints, one.step), one.checkpoint)
