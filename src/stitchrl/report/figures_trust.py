"""Figures about trust and truth: calibration, disagreement of policies, exact values."""

import numpy as np
from markupsafe import Markup

from stitchrl.report.format import Values, count, in_two_lines, percent, shorten
from stitchrl.report.schema import Kind, Policy, Report
from stitchrl.report.svg import COLOR, SMALL, board, drawn, listing, to_svg
from stitchrl.report.trust import BehaviorModel


@drawn
def calibration(model: BehaviorModel) -> Markup:
    """How often actions were taken, against the probability they were given."""
    figure, axes = board(440, 330, margins=(62, 12, 26, 46))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel("probability given")
    axes.set_ylabel("share taken")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([0, 0.25, 0.5, 0.75, 1])
        axis.set_major_formatter(lambda tick, _: percent(tick))
    axes.grid(lw=0.6)
    axes.set_axisbelow(True)
    axes.plot([0, 1], [0, 1], color=COLOR["muted"], lw=1.2, ls=(0, (5, 3)))
    spoken = []
    for point in model.calibration:
        if point.low is not None and point.high is not None:
            axes.plot(
                [point.predicted] * 2, [point.low, point.high], color=COLOR["wis"], lw=2
            )
        spoken.append(
            f"given {percent(point.predicted)}, taken {percent(point.observed)} "
            f"of {count(point.n)}"
        )
    axes.plot(
        [point.predicted for point in model.calibration],
        [point.observed for point in model.calibration],
        "o-",
        color=COLOR["wis"],
        lw=1.2,
        ms=6,
        clip_on=False,
    )
    return to_svg(
        figure,
        name="calibration",
        title="Calibration of the probabilities of logged actions",
        description=listing(spoken),
    )


@drawn
def disagreement(report: Report) -> Markup:
    """Share of decisions in which two policies act differently."""
    assert report.trust is not None and report.trust.disagreement is not None
    table = report.trust.disagreement
    size = len(table.policies)
    labels = [shorten(report.policy(name).label, 28) for name in table.policies]
    cell = 52
    figure, axes = board(200 + cell * size, 36 + 34 * size, margins=(190, 30, 10, 6))
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    axes.set_yticks(range(size), [f"{label}  {i + 1}" for i, label in enumerate(labels)])
    axes.set_xticks(range(size), [str(i + 1) for i in range(size)])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=COLOR["ink"])
    axes.spines[:].set_visible(False)
    spoken = []
    for y, row in enumerate(table.share):
        for x, share in enumerate(row):
            if x == y:
                axes.text(x, y, "–", ha="center", va="center", color=COLOR["muted"])
                continue
            axes.bar(x, 0.9, 0.93, y - 0.45, color=COLOR["heat"], alpha=0.05 + 0.55 * share)
            axes.text(
                x,
                y,
                percent(share),
                ha="center",
                va="center",
                fontsize=11,
            )
            if x < y:
                spoken.append(f"{labels[x]} and {labels[y]}: {percent(share)}")
    return to_svg(
        figure,
        name="disagreement",
        title="Share of decisions in which two policies act differently",
        description=listing(spoken),
    )


@drawn
def exact_values(report: Report, values: Values) -> Markup:
    """What every policy is worth in truth, and what its learner believes."""
    assert report.truth is not None
    truth = report.truth
    rows = sorted(truth.values, key=lambda row: row.value)
    known = [row.value for row in rows]
    known += [truth.optimum] if truth.optimum is not None else []
    reach = np.ptp(known) or 1.0  # What is believed far beyond it becomes an arrow.
    near = (min(known) - reach, max(known) + reach)
    owns = [row.own for row in rows if row.own is not None]
    known += [own for own in owns if near[0] <= own <= near[1]]
    low, high = min(known) - 0.06 * reach, max(known) + 0.06 * reach
    names = {
        row.policy: in_two_lines(_called(report.policy(row.policy)), 30) for row in rows
    }
    height = 36 if any(len(lines) > 1 for lines in names.values()) else 25
    figure, axes = board(760, 84 + height * len(rows), margins=(226, 32, 128, 46))
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=report.estimand.outcome)
    axes.set_xlim(low, high)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", lw=0.6)
    across, along = axes.get_yaxis_transform(), axes.get_xaxis_transform()
    for x, heading in ((1.12, "exact"), (1.27, "believes")):
        axes.text(x, 1.01, heading, transform=axes.transAxes, ha="right", **SMALL)
    spoken = []
    if truth.optimum is not None:
        axes.axvline(truth.optimum, color=COLOR["muted"], lw=1.2)
        text = f"optimum {values.value(truth.optimum)}"
        axes.text(
            truth.optimum,
            1.01,
            text,
            transform=along,
            ha="right" if truth.optimum > (low + 2 * high) / 3 else "center",
            va="bottom",
            color=COLOR["muted"],
        )
        spoken.append(text)
    for y, row in enumerate(reversed(rows)):
        policy = report.policy(row.policy)
        is_control, is_behavior = policy.kind is Kind.CONTROL, policy.kind is Kind.BEHAVIOR
        color = COLOR["behavior"] if is_behavior else COLOR["worth"]
        text = f"{_called(policy)}: exact {values.value(row.value)}"
        if is_behavior:
            axes.axvline(row.value, color=color, lw=1.2, ls=(0, (5, 3)))
        if row.own is not None:
            inside = min(max(row.own, low), high)
            arrow = "<" if row.own < low else ">" if row.own > high else "x"
            axes.plot([row.value, inside], [y, y], color=COLOR["own"], lw=1.2)
            axes.plot(inside, y, arrow, ms=8, mew=2, color=COLOR["own"], clip_on=False)
            text += f", believes {values.value(row.own)}"
        axes.plot(
            row.value,
            y,
            marker="s" if is_behavior else "o",
            ms=8,
            mew=1.8,
            mec=color,
            mfc=COLOR["paper"] if is_control else color,
        )
        own = "" if row.own is None else values.value(row.own)
        place = {"transform": across, "va": "center", "ha": "right"}
        axes.text(-0.02, y, "\n".join(names[row.policy]), linespacing=1.1, **place)
        axes.text(1.12, y, values.value(row.value), **place)
        axes.text(1.27, y, own, color=COLOR["own"], **place)
        spoken.append(text)
    return to_svg(
        figure,
        name="exact",
        title="Exact value of every policy",
        description=listing(spoken),
    )


def _called(policy: Policy) -> str:
    return policy.label + (" (control)" if policy.kind is Kind.CONTROL else "")
