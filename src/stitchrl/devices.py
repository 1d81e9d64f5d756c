"""What a run computes on: set before JAX starts, recorded, compared on resume.

The same bits come out only on the same platform, versions and number of threads.
"""

import functools
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEVICE_COUNT = "--xla_force_host_platform_device_count"
# A device with one thread: it has no second for parts of a matrix product, nor for
# operations side by side, in whose order memory is used less well.
ONE_THREAD = (
    "--xla_cpu_multi_thread_eigen",
    "--xla_cpu_enable_concurrency_optimized_scheduler",
)
# What products of matrices take in. Unless told, JAX rounds to tensorfloat32 on GPUs.
PRECISION = "JAX_DEFAULT_MATMUL_PRECISION"
PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
JAX_NAMES = ("default", "high", "highest")  # What else JAX takes for one of these.
LIBRARIES = ("stitchrl", "jax", "jaxlib", "numpy", "scipy", "optax")


def prepare(
    *,
    threads: int | None = None,
    host_devices: int | None = None,
    precision: str | None = None,
) -> None:
    """Fix the CPU threads, the devices that the CPU is divided into, and the precision.

    None: as it is. `precision` is that of matrix products on an accelerator, of inputs and
    not of sums: CPUs always take float32.

    Call it before anything computes with JAX, which reads both once. `host_devices` over
    1, or 1 with one thread, gives each device a thread of its own for matrix products:
    then a member's numbers are the same for any number of devices. What the user has put in
    XLA_FLAGS stays. Raises `ValueError` if the machine or XLA_FLAGS say otherwise, and
    `RuntimeError` if JAX has already started with other settings.
    """
    if precision is not None:
        _use_precision(precision)
    if has_started():
        _require_unchanged(threads, host_devices)
        return
    if host_devices is not None:
        _require_positive("host_devices", host_devices)
    if threads is not None:
        _require_positive("threads", threads)
        _use_threads(threads)
    if host_devices is not None:
        _use_host_devices(host_devices)


def _use_precision(precision: str) -> None:
    if precision not in PRECISIONS + JAX_NAMES:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)}, but is '{precision}'."
        )
    os.environ[PRECISION] = precision
    if "jax" in sys.modules:
        import jax

        jax.config.update(PRECISION.lower(), precision)


def precision() -> str | None:
    """That of matrix products; None: as JAX has it."""
    import jax

    return jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]


def is_divided() -> bool:
    """Whether XLA_FLAGS say already into how many devices the CPU is divided."""
    return DEVICE_COUNT in os.environ.get("XLA_FLAGS", "")


def _require_positive(name: str, count: int) -> None:
    if count < 1:
        raise ValueError(f"{name} must be 1 or more, but is {count}. Leave it out for all.")


def _use_threads(count: int) -> None:
    if count == thread_count():
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError(
            f"threads = {count}: this system does not let a process choose its CPUs. Leave "
            f"it out, which uses {thread_count()}."
        )
    allowed = sorted(os.sched_getaffinity(0))
    if count > len(allowed):
        raise ValueError(
            f"threads = {count}, but this process may use {len(allowed)} CPUs. Ask for at "
            "most that many, or allow it more (taskset, container limits)."
        )
    # Not always the first: processes side by side would all wait for the same CPUs.
    first = os.getpid() % len(allowed)
    chosen = (allowed * 2)[first : first + count]
    os.sched_setaffinity(0, chosen)  # JAX makes one thread for each.


def _use_host_devices(count: int) -> None:
    flags = os.environ.get("XLA_FLAGS", "").split()
    said = [flag.partition("=")[2] for flag in flags if flag.startswith(f"{DEVICE_COUNT}=")]
    if said and said[-1] == str(count):
        return
    if said:
        raise ValueError(
            f"host_devices = {count}, but XLA_FLAGS says {DEVICE_COUNT}={said[-1]}. Remove "
            "one of the two."
        )
    if count == 1 < thread_count():
        return  # As it is: one device with all threads.
    flags.append(f"{DEVICE_COUNT}={count}")
    for name in ONE_THREAD:
        if not any(flag.startswith(f"{name}=") for flag in flags):
            flags.append(f"{name}=false")
    os.environ["XLA_FLAGS"] = " ".join(flags)


def has_started() -> bool:
    """Whether JAX has made its devices; importing it alone does not."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bridge.backends_are_initialized()


def _require_unchanged(threads: int | None, host_devices: int | None) -> None:
    import jax

    now = {"threads": thread_count(), "host_devices": jax.local_device_count("cpu")}
    asked = {"threads": threads, "host_devices": host_devices}
    for name, count in asked.items():
        if count is not None and count != now[name]:
            raise RuntimeError(
                f"{name} = {count}, but JAX has already started with {now[name]}, and "
                "keeps that until the process ends. Call stitchrl.devices.prepare before "
                "anything else uses JAX, or start a new process."
            )


def thread_count() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def versions() -> dict[str, str]:
    """Of Python and of the libraries that numbers depend on."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **found}


def describe() -> dict[str, Any]:
    """Everything that the bits of a run depend on beside its plan. Starts JAX."""
    import jax

    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "device_kind": devices[0].device_kind,
        "device_count": len(devices),
        "threads": thread_count(),
        "system": f"{sys.platform}-{platform.machine()}",
        "processor": _processor(),
        # CPUs have but one.
        "precision": "float32" if devices[0].platform == "cpu" else precision(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "versions": versions(),
    }


def _processor() -> str:
    """The model of the CPU: XLA compiles for exactly that."""
    facts = Path("/proc/cpuinfo")
    for line in facts.read_text().splitlines() if facts.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One sentence for each entry of `describe()` that is not as recorded; [] if none."""
    before, after = _flat(recorded), _flat(now)
    if before.get("platform") == "cpu":  # Not recorded at first; CPUs have but one.
        before = {"precision": "float32", **before}
    return [
        f"{name} was {before.get(name, 'not recorded')!r} and is "
        f"{after.get(name, 'not known')!r} now."
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


def _flat(entries: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in entries.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} of {key}": item for key, item in value.items()}
        else:
            flat[name] = value
    return flat
