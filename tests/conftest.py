"""How every test runs: no silent promotion of shapes or types, float32, warnings fail."""

import atexit
import os
import tempfile

import pytest

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


def pytest_collection_modifyitems(items: list) -> None:
    """What shares programs runs in one process: a file, or one algorithm of many."""
    for item in items:
        group = str(item.path)
        if item.path.name == "test_all.py" and hasattr(item, "callspec"):
            group += item.callspec.id.replace("-", " ").split()[0]
        item.add_marker(pytest.mark.xdist_group(group))
