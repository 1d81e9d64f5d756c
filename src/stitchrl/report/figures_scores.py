"""Figures of scores over runs and tasks: aggregates, profiles, who beats whom.

Scores are a dict from the name of an algorithm to float (runs, tasks), as in `aggregates`,
whose numbers and bootstrap these are. What comes back is a whole SVG file as text.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from math import ceil, log10
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stitchrl import aggregates
from stitchrl.aggregates import REPLICATES, stratified_bootstrap
from stitchrl.report.format import fixed, number, percent, shorten
from stitchrl.report.format import level as percent_of
from stitchrl.report.svg import COLOR, SMALL, board, drawn, listing, standalone, to_svg

LINE = 24  # Height of one interval, in CSS pixels.
TOGETHER = 4  # So many profiles share one panel; of more, each has its own.
COLUMNS = 4
PANEL, GAP = (160, 130), (16, 48)
LEFT, TOP, BOTTOM = 72, 32, 12
FINEST = 400  # Thresholds; where there are more scores, they are spaced evenly.
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
STATISTICS = {
    "iqm": ("IQM", aggregates.interquartile_mean),
    "median": ("median", aggregates.median_score),
    "mean": ("mean", aggregates.mean_score),
    "optimality_gap": ("optimality gap", aggregates.optimality_gap),
}


class Line(NamedTuple):
    """One line of a figure of intervals."""

    label: str
    value: float
    low: float
    high: float


@drawn
def intervals(
    scores: Mapping[str, np.ndarray],
    *,
    statistic: str = "iqm",
    target: float = 1.0,
    label: str = "normalized score",
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
    name: str = "scores-intervals",
) -> Markup:
    """One aggregate of each algorithm with its bootstrap interval, in the order given.

    `statistic` is "iqm", "median", "mean" or "optimality_gap", the gap below `target`.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"Statistics are {', '.join(STATISTICS)}, but not {statistic!r}.")
    scores = aggregates.comparable(scores)
    word, aggregate = STATISTICS[statistic]
    scale = label
    if statistic == "optimality_gap":
        aggregate = partial(aggregate, target=target)
        scale = f"{label}, short of {number(target)}: less is better"
    lines = []
    for algorithm, one in scores.items():
        found = stratified_bootstrap(
            aggregate, one, level=level, replicates=replicates, seed=seed
        )
        lines.append(Line(algorithm, aggregate(one), found.low, found.high))
    said = partial(fixed, decimals=_decimals(lines))
    figure, axes = board(760, 76 + LINE * len(lines), margins=(190, 30, 190, 46))
    axes.set_xlim(*_limits([end for line in lines for end in (line.low, line.high)]))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(lambda tick, _: number(round(tick, 10)))
    axes.set_xlabel(f"{scale}; {_counted(scores)}")
    spoken = _draw_lines(
        axes, lines, said, length=24, header=f"{word} ({percent_of(level)} interval)"
    )
    title = f"{word} with {percent_of(level)} intervals: {scale}"
    return _file(figure, scores, spoken, name=name, title=title)


@drawn
def improvements(
    scores: Mapping[str, np.ndarray],
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
    name: str = "scores-improvements",
) -> Markup:
    """How likely a run of the first of a pair beats one of the second on the same task.

    All pairs, unless `pairs` says which. A hollow point: its interval contains one half.
    """
    scores = aggregates.comparable(scores)
    pairs = list(combinations(scores, 2)) if pairs is None else list(pairs)
    unknown = [one for pair in pairs for one in pair if one not in scores]
    if unknown or not pairs:
        raise ValueError(
            f"Pairs must be of two among {', '.join(scores)}, one pair at least"
            + (f", but {unknown[0]!r} has no scores." if unknown else ".")
        )
    lines = []
    for ours, theirs in pairs:
        statistic = aggregates.probability_of_improvement
        both = scores[ours], scores[theirs]
        found = stratified_bootstrap(
            statistic, *both, level=level, replicates=replicates, seed=seed
        )
        pair = f"{shorten(ours, 20)} over {shorten(theirs, 20)}"
        lines.append(Line(pair, statistic(*both), found.low, found.high))
    figure, axes = board(760, 76 + LINE * len(lines), margins=(270, 30, 200, 46))
    axes.set(xlim=(-0.02, 1.02), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(lambda tick, _: percent(tick))
    axes.axvline(0.5, color=COLOR["behavior"], lw=1.2, ls=(0, (5, 3)), zorder=1)
    axes.text(
        0.5, 1, "one half", transform=axes.get_xaxis_transform(), ha="center", **SMALL
    )
    axes.set_xlabel(f"how likely a run of the first scores higher; {_counted(scores)}")
    spoken = _draw_lines(
        axes,
        lines,
        percent,
        length=44,
        header=f"probability ({percent_of(level)} interval)",
        contested=0.5,
    )
    title = f"Probability of improvement, with {percent_of(level)} intervals"
    return _file(figure, scores, spoken, name=name, title=title)


def _draw_lines(
    axes: Axes,
    lines: list[Line],
    said: Callable[[float], str],
    *,
    length: int,
    header: str,
    contested: float = np.nan,
) -> list[str]:
    """A line for each with its numbers to the right; the same in words."""
    axes.set(ylim=(len(lines) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", lw=0.6)
    axes.set_axisbelow(True)
    axes.text(1.04, 1, header, transform=axes.transAxes, **SMALL)
    place = {"transform": axes.get_yaxis_transform(), "va": "center"}
    if any(line.low <= contested <= line.high for line in lines):
        key = "hollow: could be either"
        axes.text(-0.04, 1, key, transform=axes.transAxes, ha="right", **SMALL)
    spoken = []
    for y, line in enumerate(lines):
        is_open = line.low <= contested <= line.high
        numbers = f"{said(line.value)} ({said(line.low)} to {said(line.high)})"
        axes.plot([line.low, line.high], [y, y], color=COLOR["wis"], lw=2)
        axes.plot(
            line.value,
            y,
            "o",
            ms=7,
            mew=1.8,
            mec=COLOR["wis"],
            mfc=COLOR["paper" if is_open else "wis"],
            clip_on=False,
            zorder=4,
        )
        axes.text(-0.04, y, shorten(line.label, length), ha="right", **place)
        axes.text(1.04, y, numbers, **place)
        spoken.append(f"{line.label}: {numbers}")
    return spoken


@drawn
def profiles(
    scores: Mapping[str, np.ndarray],
    *,
    thresholds: np.ndarray | None = None,
    label: str = "normalized score",
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
    name: str = "scores-profiles",
) -> Markup:
    """The share of runs above each score, with a pointwise bootstrap band.

    Up to four algorithms share a panel. Of more, each has one, with the others behind it.
    """
    scores = aggregates.comparable(scores)
    at = _thresholds(scores, thresholds)
    shares = {n: aggregates.performance_profile(one, at) for n, one in scores.items()}
    settings = {"level": level, "replicates": replicates, "seed": seed}
    bands = {n: aggregates.profile_band(one, at, **settings) for n, one in scores.items()}
    groups = [[*scores]] if len(scores) <= TOGETHER else [[one] for one in scores]
    x_label = f"{label}; {_counted(scores)}"
    figure, panels = _panels(len(groups), x_label, "share of runs above")
    for axes, group in zip(panels, groups, strict=True):
        axes.set(ylim=(0, 1.02), xlim=(at[0], at[-1]), yticks=[0, 0.5, 1])
        axes.yaxis.set_major_formatter(lambda tick, _: percent(tick))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda tick, _: number(round(tick, 10)))
        axes.grid(axis="y", lw=0.6)
        axes.set_axisbelow(True)
        for other in shares if len(groups) > 1 else ():
            x, y = _corners(at, shares[other])
            axes.step(x, y, where="post", color=COLOR["log"], lw=0.8, alpha=0.6)
        for position, one in enumerate(group):
            color = COLOR[f"seed_{position}"]
            x, low, high = _corners(at, *bands[one])
            axes.fill_between(x, low, high, step="post", color=color, alpha=0.15, lw=0)
            x, y = _corners(at, shares[one])
            dash = DASHES[position]
            axes.step(
                x, y, where="post", color=color, ls=dash, lw=2, label=shorten(one, 22)
            )
        if len(groups) == 1:
            place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.03)}
            axes.legend(frameon=False, handlelength=2.6, **place)
        else:
            axes.set_title(shorten(group[0], 21), loc="left", fontsize=12, pad=6)
    spoken = []
    for one, share in shares.items():
        low, high = bands[one]
        shown = [len(at) * quarter // 4 for quarter in (1, 2, 3)]
        parts = [
            f"{percent(share[i])} ({percent(low[i])} to {percent(high[i])}) of runs above "
            f"{number(at[i])}"
            for i in sorted({*shown})
        ]
        spoken.append(f"{one}: {', '.join(parts)}")
    title = f"Share of runs above each score, with {percent_of(level)} bands: {label}"
    return _file(figure, scores, spoken, name=name, title=title)


def _panels(count: int, x_label: str, y_label: str) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes, in rows, and one label for all of each direction."""
    if count == 1:
        figure, axes = board(760, 330, margins=(62, 14, 210, 46))
        axes.set(xlabel=x_label, ylabel=y_label)
        return figure, [axes]
    (width, height), (beside, below) = PANEL, GAP
    columns = min(count, COLUMNS)
    across = LEFT + columns * (width + beside)
    down = TOP + ceil(count / columns) * (height + below) + BOTTOM
    figure, panels = Figure(figsize=(across / 72, down / 72)), []
    for place in range(count):
        row, column = divmod(place, columns)
        left = LEFT + column * (width + beside)
        bottom = down - TOP - row * (height + below) - height
        inside = left / across, bottom / down, width / across, height / down
        panels.append(figure.add_axes(inside))
        panels[-1].tick_params(labelleft=column == 0)
    style: dict[str, Any] = {"color": COLOR["muted"], "ha": "center", "va": "center"}
    middle = LEFT + (columns * (width + beside) - beside) / 2
    figure.text(middle / across, 14 / down, x_label, **style)
    figure.text(12 / across, 0.5, y_label, rotation=90, **style)
    return figure, panels


def _file(
    figure: Figure,
    scores: dict[str, np.ndarray],
    spoken: list[str],
    *,
    name: str,
    title: str,
) -> Markup:
    description = listing([*spoken, f"{_counted(scores)}, stratified bootstrap"])
    svg = to_svg(figure, name=name, title=title, description=description)
    return standalone(svg, name=name)


def _thresholds(scores: dict[str, np.ndarray], given: np.ndarray | None) -> np.ndarray:
    if given is not None:
        given = np.asarray(given, np.float64)
        if given.ndim != 1 or len(given) < 2 or not (np.diff(given) > 0).all():
            raise ValueError("Thresholds must be a list of two or more rising numbers.")
        return given
    found = np.unique(np.concatenate([one.ravel() for one in scores.values()]))
    low, high = _limits(found)
    if len(found) > FINEST:
        return np.linspace(low, high, FINEST)
    return np.array([low, *found, high])


def _corners(at: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Where steps begin, and the ends: what lies between changes nothing."""
    moves = np.any([np.diff(one, prepend=np.nan) != 0 for one in values], axis=0)
    moves[-1] = True
    return [at[moves], *(one[moves] for one in values)]


def _limits(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    room = 0.04 * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


def _decimals(lines: list[Line]) -> int:
    """Enough to show a hundredth of the typical interval."""
    widths = [line.high - line.low for line in lines if line.high > line.low]
    return min(max(2 - ceil(log10(np.median(widths))), 0), 6) if widths else 2


def _counted(scores: dict[str, np.ndarray]) -> str:
    """3 runs on each of 5 tasks"""
    runs = sorted({len(one) for one in scores.values()})
    tasks = next(iter(scores.values())).shape[1]
    each = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    return f"{each} runs on " + (f"each of {tasks} tasks" if tasks > 1 else "one task")
