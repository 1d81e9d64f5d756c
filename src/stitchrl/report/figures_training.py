"""Figures of training: one number over updates, all seeds of one algorithm."""

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from stitchrl.report.format import number, shorten
from stitchrl.report.numbers import Estimate
from stitchrl.report.svg import COLOR, board, drawn, listing, to_svg
from stitchrl.report.training import AlgorithmTraining, Curve, Worth

SHOWN_POINTS = 150
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))


def curve_names(algorithm: AlgorithmTraining) -> list[tuple[str, str]]:
    """(kind, name) of every curve: own estimates first, then losses, then held-out."""
    order = ["own_estimate", "loss", "held_out"]
    names = dict.fromkeys((c.kind, c.name) for m in algorithm.members for c in m.curves)
    return sorted(names, key=lambda pair: order.index(pair[0]))


@drawn
def curves(
    algorithm: AlgorithmTraining,
    *,
    kind: str,
    curve: str,
    behavior: Estimate | None,
    name: str,
) -> Markup:
    """One line per seed; own estimates are held against what the policy is worth."""
    figure, axes = board(320, 230, margins=(56, 34, 12, 42))
    is_own = kind == "own_estimate"
    axes.set_title(
        "own estimate" if is_own else shorten(curve, 34),
        loc="left",
        fontsize=12,
        color=COLOR["ink"],
        pad=10,
    )
    axes.set_xlabel("updates")
    axes.grid(axis="y", lw=0.6)
    axes.locator_params(axis="both", nbins=5)
    axes.xaxis.set_major_formatter(_thousands)
    axes.yaxis.set_major_formatter(lambda tick, _: number(round(tick, 10)))
    spoken, last = [], []
    for position, member in enumerate(algorithm.members):
        for line in member.curves:
            if (line.kind, line.name) != (kind, curve):
                continue
            steps, values = _thinned(line)
            axes.plot(
                steps,
                values,
                color=COLOR[f"seed_{position % 4}"],
                ls=DASHES[position % 4],
                lw=1.6,
            )
            known = np.flatnonzero(~np.isnan(values))
            if not len(known):
                spoken.append(f"seed {member.seed}: never finite")
                continue
            end = known[-1]
            if member.stopped:
                axes.plot(steps[end], values[end], "X", ms=9, color=COLOR["do_not_deploy"])
            last.append(float(values[end]))
            spoken.append(
                f"seed {member.seed}: from {number(float(values[known[0]]))} to "
                f"{number(float(values[end]))}{', stopped' if member.stopped else ''}"
            )
    if is_own and algorithm.worth and last:
        spoken.append(_worth(axes, algorithm.worth, float(np.mean(last))))
    elif is_own and behavior is not None:
        axes.axhline(behavior.value, color=COLOR["behavior"], lw=1.2, ls=(0, (5, 3)))
        spoken.append(f"Logged policy: {number(behavior.value)}")
    return to_svg(
        figure,
        name=name,
        title=f"{algorithm.name}, {curve} over training",
        description=listing(spoken),
    )


def _worth(axes: Axes, worth: Worth, believed: float) -> str:
    """The line to hold it against, named above the axes, where no curve can be."""
    estimate = worth.estimate
    if estimate.low is not None and estimate.high is not None:
        axes.axhspan(estimate.low, estimate.high, color=COLOR["worth"], alpha=0.15, lw=0)
    axes.axhline(estimate.value, color=COLOR["worth"], lw=2)
    text = f"worth {number(estimate.value)} ({worth.source})"
    axes.set_title(f"— {text}", loc="right", fontsize=12, color=COLOR["worth"], pad=10)
    return f"believes {number(believed)}, {text}"


def _thinned(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """At most `SHOWN_POINTS` points: means of neighbors, so that no wiggle is invented."""
    steps = np.asarray(curve.steps, float)
    values = np.asarray([np.nan if v is None else v for v in curve.values], float)
    if len(steps) <= SHOWN_POINTS:
        return steps, values
    pieces = np.array_split(np.arange(len(steps)), SHOWN_POINTS)
    return (
        np.array([steps[piece].mean() for piece in pieces]),
        np.array([values[piece].mean() for piece in pieces]),
    )


def _thousands(tick: float, _: object) -> str:
    return f"{tick / 1000:g}k" if tick >= 1000 else f"{tick:g}"
