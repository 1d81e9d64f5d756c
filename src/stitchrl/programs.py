"""Room for compiled programs: each maps memory, and Linux gives a process so many maps."""

from pathlib import Path

import jax

MAPS = Path("/proc/self/maps")
LIMIT = Path("/proc/sys/vm/max_map_count")  # 65,530 where nobody has set another.
SHARE = 1 / 3  # Of the limit; the next stage alone may need as much again.


def make_room() -> None:
    """Forget compiled programs if they have used up much of what a process may map.

    XLA does not survive a map that is refused: the process ends by a segmentation fault,
    without a word. Call it between programs, never while one is traced. What is needed
    again is compiled again, to the same bits. Where there are no such files, on systems
    without that limit, nothing happens.
    """
    if not (MAPS.is_file() and LIMIT.is_file()):
        return
    used = MAPS.read_bytes().count(b"\n")
    if used > SHARE * int(LIMIT.read_text()):
        jax.clear_caches()
