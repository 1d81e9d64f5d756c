"""Room for compiled programs: each maps memory, and Linux gives a process so many maps."""

from pathlib import Path

import jax

MAPS = Path("/proc/self/maps")
LIMIT = Path("/proc/sys/vm/max_map_count")  # 65,530 where nobody has set another.
SHARE = 1 / 3  # Of the limit; the next stage alone may need as much again.
_left = 0  # Maps after programs were last forgotten: what else the process needs.


def make_room() -> None:
    """Forget compiled programs if they have used up much of what a process may map.

    XLA does not survive a map that is refused: the process ends by a segmentation fault,
    without a word. Call it between programs, never while one is traced. All programs of
    the process go, the caller's own, too; what is needed again is compiled again, on the
    CPU to the same bits. Where there are no such files, on systems without that limit,
    nothing happens.
    """
    global _left
    if not (MAPS.is_file() and LIMIT.is_file()):
        return
    if _maps() - _left > SHARE * int(LIMIT.read_text()):
        jax.clear_caches()
        _left = _maps()


def _maps() -> int:
    return MAPS.read_bytes().count(b"\n")
