"""Progress as lines, and as one live line."""

import io

import pytest
from rich.console import Console

from stitchrl.cli.output import duration, size
from stitchrl.cli.progress import Logged, Watched
from stitchrl.fit import Progress


def progress(share: float, stopped: int = 0) -> Progress:
    return Progress("iql", round(1000 * share), 1000, share, 2345.6, 61.0, stopped)


def test_lines_come_every_few_seconds_and_at_the_end():
    stream = io.StringIO()
    tell = Logged(Console(file=stream, width=200))
    for message in ("train", progress(0.1), progress(0.2), progress(1.0, stopped=1), "odd"):
        tell(message)
    assert stream.getvalue().splitlines() == [
        "Training",
        " 10%  iql: update 100 of 1,000, 2,346 updates/s, 1 min 1 s left, all finite",
        "100%  iql: update 1,000 of 1,000, 2,346 updates/s, 1 min 1 s left, "
        "1 member stopped: not finite",
        "odd",
    ]


def test_a_live_line_shows_rate_time_left_and_health():
    stream = io.StringIO()
    tell = Watched(Console(file=stream, width=200, force_terminal=True))
    with tell.bars:
        tell("train")
        tell(progress(0.25, stopped=2))
        tell("a warning")
    shown = stream.getvalue()
    for part in ("Training iql", "25%", "2,346 updates/s", "1 min 1 s left", "a warning"):
        assert part in shown
    assert "2 members stopped: not finite" in shown


@pytest.mark.parametrize(
    "seconds, said",
    [(0.25, "0.2 s"), (45, "45 s"), (59.9, "1 min 0 s"), (200, "3 min 20 s")]
    + [(7500, "2 h 5 min")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    "count, said",
    [(512, "512 B"), (3_210_000, "3.2 MB"), (2.5e12, "2.5 TB"), (999, "999 B")],
)
def test_sizes(count, said):
    assert size(count) == said
