"""How every test runs: no silent promotion of shapes or types, float32, warnings fail."""

import atexit
import os
import re
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


def group_of(node: str) -> str:
    """What shares programs: the tests of a file, or of one algorithm of many."""
    path, _, name = node.partition("::")
    if path.endswith("/test_all.py"):
        return path + re.split(r"[\]\- ]", name.partition("[")[2])[0]
    shares_runs = path.startswith("tests/job/test_reporting")
    return "tests/job/test_reporting" if shares_runs else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A group runs in one process. (`--dist loadgroup` is deaf with pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    is_usual = config.getoption("dist") == "load"  # What `-n` alone asks for.
    return Grouped(config, log) if is_usual else None


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After a group its programs go, once they are many."""
    if nextitem is None or group_of(nextitem.nodeid) != group_of(item.nodeid):
        from stitchrl.programs import make_room  # Not before its types are checked.

        make_room()
