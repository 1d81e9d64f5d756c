"""How long each part of the job takes, and who is told that it begins."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stitchrl.fit import Progress

Tell = Callable[[str | Progress], None]


class Clock:
    """Wall seconds of each part of the job."""

    def __init__(self, tell: Tell):
        self.tell = tell
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.tell(name)
        begun = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begun
