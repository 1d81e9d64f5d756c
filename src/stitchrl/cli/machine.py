"""What a verb computes on: fixed before JAX starts, as `devices.prepare` demands."""

from stitchrl import devices
from stitchrl.kept_programs import keep_programs


def prepare(threads: int | None = None) -> None:
    """Use this many CPU threads (None: all), each as a device of its own; keep programs.

    A number of devices in XLA_FLAGS stays. Where JAX already runs in this process (a
    notebook, a test), what it runs on stays, unless other `threads` are demanded: then
    raises `RuntimeError`. Raises `ValueError` if the machine has fewer CPUs.
    """
    keep_programs()
    host_devices = None if devices.is_divided() else threads or devices.thread_count()
    try:
        devices.prepare(threads=threads, host_devices=host_devices)
    except RuntimeError:
        if threads is not None and threads != devices.thread_count():
            raise
