"""The map of a log: where it went, how that ended, and where ways meet."""

import numpy as np
from markupsafe import Markup
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from stitchrl.report.audit import LogMap
from stitchrl.report.format import count, number, percent
from stitchrl.report.svg import COLOR, board, drawn, listing, to_svg

LARGEST = 28  # Diameter of the busiest site, in CSS pixels.
SMALLEST = 6
RING = 5  # By how much a ring is wider than its site.
SPOKEN = 8


@drawn
def log_map(found: LogMap) -> Markup:
    """Sites by when they are visited (across) and what follows on average (up)."""
    figure, axes = board(980, 460, margins=(70, 16, 24, 48))
    sites = found.sites
    step = np.array([site.step + 1 for site in sites])
    to_go = np.array([site.to_go for site in sites])
    visits = np.array([site.visits for site in sites])
    size = SMALLEST + (LARGEST - SMALLEST) * np.sqrt(visits / visits.max())
    axes.set(xlabel="decision of the episode, mean", ylabel="return from here on, mean")
    axes.set_xlim(*_around(step, 0.05))
    axes.set_ylim(*_around(to_go, 0.1))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=float(np.ptp(step)) > 3))
    axes.grid(lw=0.6)
    axes.set_axisbelow(True)
    if found.passages:
        ways = [
            [(step[p.start], to_go[p.start]), (step[p.end], to_go[p.end])]
            for p in found.passages
        ]
        counts = np.array([passage.count for passage in found.passages])
        width = 0.4 + 2.6 * np.sqrt(counts / counts.max())
        lines = LineCollection(
            ways, linewidths=list(width), colors=COLOR["muted"], alpha=0.35, zorder=1
        )
        axes.add_collection(lines)
    per_x, per_y = _unit(axes.get_xlim(), 886), _unit(axes.get_ylim(), 396)
    for x, y, width, site in zip(step, to_go, size, sites):
        axes.plot(x, y, "o", ms=width, color=COLOR["paper"], mew=0, zorder=2)
        axes.plot(
            x,
            y,
            "o",
            ms=width,
            color=COLOR["heat"],
            alpha=0.15 + 0.85 * site.tried,
            mec=COLOR["ink"],
            mew=0.6,
            zorder=3,
        )
        if site.meeting:
            turn = np.pi / 2 - 2 * np.pi * site.meeting * np.linspace(0, 1, 60)
            reach = (width + RING) / 2
            axes.plot(
                x + reach * per_x * np.cos(turn),
                y + reach * per_y * np.sin(turn),
                color=COLOR["policy"],
                lw=2,
                zorder=4,
            )
    return to_svg(
        figure, name="log-map", title="Where the log went", description=_said(found)
    )


def _around(values: np.ndarray, margin: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    reach = (high - low) or abs(high) or 1.0
    return low - margin * reach, high + margin * reach


def _unit(limits: tuple[float, float], pixels: int) -> float:
    """Units of data to a CSS pixel."""
    return (limits[1] - limits[0]) / pixels


def _said(found: LogMap) -> str:
    parts = [f"The {len(found.sites)} busiest places"]
    for site in found.sites[:SPOKEN]:
        met = (
            ""
            if site.meeting is None
            else f", {percent(site.meeting)} of worse meet better"
        )
        parts.append(
            f"around decision {number(site.step + 1)}: {count(site.visits)} visits, return "
            f"{number(site.to_go)}, {percent(site.tried)} of moves tried{met}"
        )
    return listing(parts)
