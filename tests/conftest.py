"""How every test runs: no silent promotion of shapes or types, float32, warnings fail."""

import atexit
import os
import tempfile
from typing import Any

import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if WORKER and hasattr(os, "sched_setaffinity"):
    # A core for each: threads of XLA that wait for one another's cores double the time.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(WORKER.removeprefix("gw")) % len(cores)]})

if "XLA_FLAGS" not in os.environ:
    # Programs are ready twice as soon, and no less exact: see `stitchrl.testing.subject`.
    os.environ["XLA_FLAGS"] = (
        "--xla_backend_optimization_level=1 --xla_cpu_use_fusion_emitters=false "
        "--xla_cpu_parallel_codegen_split_count=1"
    )

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Programs compiled once serve every process that the tests start.
    compiled = tempfile.TemporaryDirectory(prefix="stitchrl-compiled-")
    atexit.register(compiled.cleanup)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax  # noqa: E402  After its settings.

jax.config.update("jax_enable_x64", False)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


def group_of(item: Any) -> str:
    """What shares programs: the tests of a file, or of one algorithm of many."""
    group = str(item.path)
    if item.path.name == "test_all.py" and hasattr(item, "callspec"):
        group += item.callspec.id.replace("-", " ").split()[0]
    return group


def pytest_collection_modifyitems(items: list) -> None:
    """A group runs in one process."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))


def pytest_runtest_teardown(item: Any, nextitem: Any) -> None:
    """After a group its programs go, once they are many."""
    if nextitem is None or group_of(nextitem) != group_of(item):
        from stitchrl.programs import make_room  # Not before its types are checked.

        make_room()
