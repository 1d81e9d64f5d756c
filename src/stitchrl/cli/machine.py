"""What a verb computes on: fixed before JAX starts, as `devices.prepare` demands."""

import os

from stitchrl import devices
from stitchrl.kept_programs import keep_programs


def prepare(threads: int | None = None, precision: str | None = None) -> None:
    """Use this many CPU threads (None: all), each as a device of its own; keep programs.

    Products of matrices take in float32, unless another `precision` is named here or in
    JAX_DEFAULT_MATMUL_PRECISION: JAX alone would round to tensorfloat32 on GPUs.

    A number of devices in XLA_FLAGS stays. Where JAX already runs in this process (a
    notebook, a test), what it runs on stays, unless other `threads` are demanded: then
    raises `RuntimeError`. Raises `ValueError` if the machine has fewer CPUs.
    """
    keep_programs()
    is_said = bool(os.environ.get(devices.PRECISION))
    if precision is None and not is_said and not devices.has_started():
        precision = "float32"
    host_devices = None if devices.is_divided() else threads or devices.thread_count()
    try:
        devices.prepare(threads=threads, host_devices=host_devices, precision=precision)
    except RuntimeError:
        if threads is not None and threads != devices.thread_count():
            raise
