"""How a job is getting on: a bar on a terminal, a line every few seconds elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars

from stitchrl.cli.output import aside, duration

if TYPE_CHECKING:
    from stitchrl.fit import Progress

SECONDS_BETWEEN_LINES = 5.0
PHASES = {
    "validate": "Checking the log",
    "train": "Training",
    "rank": "Ranking policies on the selection split",
    "evaluate": "Judging on the certification split",
    "truth": "Solving for exact values",
    "report": "Writing the report",
}


Tell = Callable[["str | Progress"], None]


@contextmanager
def telling() -> Iterator[Tell]:
    """What a job tells how it goes: bars if a person watches, lines otherwise."""
    console = aside()
    if not console.is_terminal:
        yield Logged(console)
        return
    watched = Watched(console)
    with watched.bars:
        yield watched


def health(progress: "Progress") -> str:
    """Whether all members are still finite."""
    if not progress.stopped:
        return "all finite"
    what = "member" if progress.stopped == 1 else "members"
    return f"{progress.stopped} {what} stopped: not finite"


class Logged:
    """Plain lines: each phase once, training every few seconds."""

    def __init__(self, console: Console):
        self.console = console
        self.told = 0.0

    def __call__(self, message: "str | Progress") -> None:
        if isinstance(message, str):
            self._line(PHASES.get(message, message))
            return
        now = time.monotonic()
        if now - self.told < SECONDS_BETWEEN_LINES and message.share < 1:
            return
        self.told = now
        self._line(
            f"{message.share:4.0%}  {message.name}: update {message.step:,} of "
            f"{message.until:,}, {message.updates_per_second:,.0f} updates/s, "
            f"{duration(message.seconds_left)} left, {health(message)}"
        )

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)


class Watched:
    """One live line: phase, share, and while training rate, time left and health."""

    def __init__(self, console: Console):
        self.bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
        )
        self.task = self.bars.add_task("Starting", total=None, state="")

    def __call__(self, message: "str | Progress") -> None:
        if not isinstance(message, str):
            state = (
                f"{message.updates_per_second:,.0f} updates/s, "
                f"{duration(message.seconds_left)} left, {health(message)}"
            )
            description = f"Training {message.name}"[:48]
            self.bars.update(
                self.task,
                description=description,
                total=1.0,
                completed=message.share,
                state=state,
            )
        elif message in PHASES:
            self.bars.reset(self.task, total=None, description=PHASES[message], state="")
        else:
            self.bars.console.print(message, markup=False, soft_wrap=True)
