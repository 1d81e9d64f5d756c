"""Figures of the log: histograms, and which actions are used."""

from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from stitchrl.report.data import ActionDimension, ActionUse
from stitchrl.report.format import count, number, percent, shorten
from stitchrl.report.numbers import Histogram
from stitchrl.report.svg import COLOR, board, drawn, listing, to_svg

SHOWN_ACTIONS = 20
SHOWN_BINS = 8
SHOWN_VALUES = 6


@drawn
def histogram(counts: Histogram, *, name: str, title: str, label: str) -> Markup:
    """How often each range of values occurs, with the mean."""
    figure, axes = board(440, 250, margins=(58, 26, 16, 46))
    axes.set_xlabel(f"{label} (n = {count(counts.n)})")
    edges, values = counts.edges, counts.values
    wide = np.diff(edges)
    if values is not None:  # Bars that stand apart, each over its one value.
        wide = np.full(len(values), 0.6 * wide.min())
    axes.bar(
        edges[:-1] if values is None else values,
        counts.counts,
        width=wide,
        align="edge" if values is None else "center",
        color=COLOR["log"],
        alpha=0.75,
        edgecolor=COLOR["paper"],
        lw=1,
    )
    axes.set_xlim(edges[0], edges[-1])
    axes.yaxis.set_major_formatter(lambda tick, _: count(tick))
    axes.locator_params(axis="y", nbins=5)
    if values is not None and len(values) <= SHOWN_VALUES:
        axes.set_xticks(values, [number(value) for value in values])
    else:
        axes.locator_params(axis="x", integer=all(float(e).is_integer() for e in edges))
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    spoken = [f"n = {count(counts.n)}"]
    if counts.mean is not None:
        axes.axvline(counts.mean, color=COLOR["ink"], lw=1.2, ls=(0, (4, 2)))
        axes.annotate(
            f"mean {number(counts.mean)}",
            (counts.mean, 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
        )
        spoken.append(f"mean {number(counts.mean)}")
    largest = sorted(np.argsort(counts.counts)[::-1][:SHOWN_BINS])
    for i in largest:
        if counts.counts[i]:
            inside = f"{number(edges[i])} to {number(edges[i + 1])}"
            where = inside if values is None else number(values[i])
            spoken.append(f"{where}: {count(counts.counts[i])}")
    return to_svg(figure, name=name, title=title, description=listing(spoken))


class Grid(NamedTuple):
    """Labels that are pairs: action `i` stands in row i // columns, column i % columns."""

    row_name: str
    column_name: str
    rows: list[str]
    columns: list[str]


def grid_of(labels: list[str]) -> Grid | None:
    """Rows and columns of labels that are all pairs, such as "fluid 1, drug 0"."""
    for separator in (", ", " x ", " × ", " + ", " / ", "|"):
        pairs = [label.split(separator) for label in labels]
        if any(len(pair) != 2 for pair in pairs):
            continue
        rows = list(dict.fromkeys(pair[0] for pair in pairs))
        columns = list(dict.fromkeys(pair[1] for pair in pairs))
        expected = [[row, column] for row in rows for column in columns]
        if min(len(rows), len(columns)) > 1 and pairs == expected:
            row_name, rows = _common(rows)
            column_name, columns = _common(columns)
            return Grid(row_name, column_name, rows, columns)
    return None


def _common(labels: list[str]) -> tuple[str, list[str]]:
    """The first word of all labels, if it is the same, and what is left of them."""
    split = [label.split(" ", 1) for label in labels]
    heads = {parts[0] for parts in split}
    if len(heads) == 1 and all(len(parts) == 2 for parts in split):
        return heads.pop(), [parts[1] for parts in split]
    return "", labels


@drawn
def action_grid(
    use: ActionUse, grid: Grid, *, of: str, share: list[float], top: float, name: str
) -> Markup:
    """Shares of actions that are pairs, as a table whose cells are shaded by share."""
    rows, columns = len(grid.rows), len(grid.columns)
    figure, axes = board(440, 96 + 44 * rows, margins=(76, 40, 12, 48))
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    axes.set_xticks(range(columns), [shorten(label, 9) for label in grid.columns])
    axes.set_yticks(range(rows), [shorten(label, 9) for label in grid.rows])
    axes.set(xlabel=shorten(grid.column_name, 40), ylabel=shorten(grid.row_name, 24))
    axes.set_title(shorten(of, 48), loc="left", fontsize=12.5, weight="bold", pad=12)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    spoken = []
    for i, part in enumerate(share):
        y, x = divmod(i, columns)
        strength = part / top if top else 0.0
        axes.bar(x, 0.92, 0.95, y - 0.46, color=COLOR["heat"], alpha=0.05 + 0.55 * strength)
        axes.text(
            x,
            y,
            percent(part),
            ha="center",
            va="center",
            fontsize=11,
        )
        if part >= 0.01:
            spoken.append(f"{use.choices[i].label}: {percent(part)}")
    return to_svg(
        figure, name=name, title=f"Use of actions: {of}", description=listing(spoken)
    )


@drawn
def action_bars(use: ActionUse, *, of: str | None, name: str) -> Markup:
    """Shares of the most used actions, the log's and the policy's."""
    ranked = sorted(use.choices, key=lambda c: -max(c.share, c.policy_share or 0.0))
    shown = ranked[:SHOWN_ACTIONS]
    figure, axes = board(640, 50 + 30 * len(shown), margins=(190, 6, 60, 40))
    axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel="share of decisions")
    axes.set_yticks(range(len(shown)), [shorten(choice.label, 28) for choice in shown])
    axes.tick_params(axis="y", length=0, labelcolor=COLOR["ink"])
    axes.xaxis.set_major_formatter(lambda tick, _: percent(tick))
    axes.grid(axis="x", lw=0.6)
    axes.set_axisbelow(True)
    spoken = []
    for y, choice in enumerate(shown):
        both = choice.policy_share is not None
        axes.barh(
            y - (0.18 if both else 0), choice.share, 0.34, color=COLOR["log"], alpha=0.75
        )
        text = f"{choice.label}: logged {percent(choice.share)}"
        if choice.policy_share is not None:
            axes.barh(y + 0.18, choice.policy_share, 0.34, color=COLOR["policy"])
            text += f", {of} {percent(choice.policy_share)}"
        spoken.append(text)
    return to_svg(
        figure, name=name, title="Use of actions in the log", description=listing(spoken)
    )


@drawn
def action_density(dimension: ActionDimension, *, of: str | None, name: str) -> Markup:
    """Shares of one continuous action by bin: the log as bars, the policy as a line."""
    figure, axes = board(440, 230, margins=(58, 14, 14, 46))
    edges = dimension.edges
    axes.bar(
        edges[:-1],
        dimension.share,
        width=np.diff(edges),
        align="edge",
        color=COLOR["log"],
        alpha=0.6,
        edgecolor=COLOR["paper"],
        lw=1,
    )
    if dimension.policy_share is not None:
        axes.stairs(dimension.policy_share, edges, color=COLOR["policy"], lw=2.2)
    axes.set_xlabel(shorten(dimension.name, 48))
    axes.set_xlim(edges[0], edges[-1])
    axes.yaxis.set_major_formatter(lambda tick, _: percent(tick))
    axes.locator_params(axis="y", nbins=5)
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    spoken = []
    for i, share in enumerate(dimension.share):
        text = f"{number(edges[i])} to {number(edges[i + 1])}: logged {percent(share)}"
        if dimension.policy_share is not None:
            text += f", {of} {percent(dimension.policy_share[i])}"
        spoken.append(text)
    return to_svg(
        figure,
        name=name,
        title=f"Use of {dimension.name} in the log",
        description=listing(spoken),
    )
