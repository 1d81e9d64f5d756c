"""Ctrl-C ends the program at once, with code 130 and a line that says how to go on.

Everything is saved whole or not at all, so it may end anywhere, as by a power cut. An
exception instead would wait for a compiled program to return, and could be raised inside
one of the libraries' own callbacks, where it is lost or crashes the process.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stitchrl.cli.errors import INTERRUPTED
from stitchrl.cli.output import aside, remark

_farewells: list[Callable[[], str]] = [lambda: "Interrupted before anything was saved."]


def end_on_interrupt() -> None:
    """From now on Ctrl-C ends the process; call it first, in the main thread."""
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, lambda number, frame: None)

    def wait() -> None:
        while woken.recv(1)[0] != signal.SIGINT:
            pass
        waking.close()
        aside().show_cursor()
        remark(_farewells[-1]())
        os._exit(INTERRUPTED)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def farewell(say: Callable[[], str]) -> Iterator[None]:
    """What is said when the program is interrupted meanwhile."""
    _farewells.append(say)
    try:
        yield
    finally:
        _farewells.pop()
