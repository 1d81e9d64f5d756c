"""Compiled programs stay on disk: the same job, started again, compiles nothing."""

import os
import stat
import sys
from pathlib import Path
from typing import Any

from stitchrl.artifacts.files import make_private_directory

DISABLED = "JAX_ENABLE_COMPILATION_CACHE"
PLACE = "JAX_COMPILATION_CACHE_DIR"
EVERY_PROGRAM = {  # JAX alone would keep those that took over a second.
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": 0.0,
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": -1,
}
MOST_BYTES = 2**30


def keep_programs() -> Path | None:
    """Let JAX keep what it compiles, and find it there in the next process.

    The place is `stitchrl/programs` in the user's folder for caches (XDG_CACHE_HOME, or
    ~/.cache); it may be removed at any time. What the user has said to JAX, another place
    or none (JAX_COMPILATION_CACHE_DIR, JAX_ENABLE_COMPILATION_CACHE=false), stays. Returns
    the place, or None where nothing is kept: also if others may write there, since what is
    found there is run, or nobody may.
    """
    if os.environ.get(DISABLED, "true").lower() in ("false", "0"):
        return None
    if not os.environ.get(PLACE):
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        place = Path(base) / "stitchrl" / "programs"
        if not _is_ours(place):
            return None
        _forget_oldest(place, MOST_BYTES)
        _say({PLACE: str(place)})
    _say(EVERY_PROGRAM)
    return Path(os.environ[PLACE])


def _is_ours(place: Path) -> bool:
    """Whether the folder exists, or could be made, and nobody else may write in it."""
    try:
        make_private_directory(place)
        found = place.stat()
    except OSError:
        return False
    is_shared = bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return is_own and not is_shared and os.access(place, os.W_OK)


def _forget_oldest(place: Path, most: int) -> None:
    """Remove the programs that were kept first, until the rest takes `most` bytes."""
    found = []
    for path in place.iterdir():
        try:
            facts = path.stat()
        except FileNotFoundError:  # Another process was faster.
            continue
        found.append((facts.st_mtime_ns, facts.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most:
            return
        path.unlink(missing_ok=True)
        total -= size


def _say(settings: dict[str, Any]) -> None:
    """To JAX, which reads its environment when it is imported, and the place when it first
    compiles. What the environment says already stays."""
    new = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update({name: str(value) for name, value in new.items()})
    if new and "jax" in sys.modules:
        import jax
        from jax.experimental.compilation_cache import compilation_cache

        for name, value in new.items():
            jax.config.update(name.lower(), value)
        compilation_cache.reset_cache()
