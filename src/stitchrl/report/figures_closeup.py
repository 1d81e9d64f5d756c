"""Figures about one policy: estimators, weights over time, the spread of returns."""

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from stitchrl.ope.base import Family
from stitchrl.report.closeup import Closeup, Distribution
from stitchrl.report.decide import Estimates
from stitchrl.report.figures import reference
from stitchrl.report.format import Values, count, percent
from stitchrl.report.numbers import Estimate
from stitchrl.report.svg import COLOR, SMALL, board, drawn, listing, to_svg

LINE = 22
START = -0.5  # Of the names of families, in widths of the axes.
FAMILIES = {
    Family.WEIGHTS: ("weights", "o", "wis"),
    Family.COMBINED: ("both", "s", "worth"),
    Family.VALUES: ("values", "D", "fqe"),
    Family.MARGINAL: ("visits", "^", "own"),
    Family.MODEL: ("model", "v", "behavior"),
}


@drawn
def estimators(closeup: Closeup, estimates: Estimates, values: Values) -> Markup:
    """A line for each estimator that says something, families together."""
    rows = [row for row in closeup.estimators if row.estimate is not None]
    families = list(FAMILIES)
    rows = sorted(rows, key=lambda row: families.index(row.family))
    figure, axes = board(440, 60 + LINE * len(rows), margins=(126, 14, 62, 46))
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.set_xlim(*_limits([row.estimate for row in rows], estimates.behavior))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.spines["left"].set_visible(False)
    reference(axes, estimates.behavior, is_vertical=True)
    left, right = axes.get_xlim()
    spoken = []
    for y, row in enumerate(rows):
        assert row.estimate is not None
        word, marker, role = FAMILIES[row.family]
        color, found = COLOR[role], row.estimate
        if found.low is not None and found.high is not None:
            ends = [min(max(end, left), right) for end in (found.low, found.high)]
            axes.plot(ends, [y, y], color=color, lw=2)
        inside = min(max(found.value, left), right)
        arrow = "<" if found.value < left else ">" if found.value > right else marker
        axes.plot(inside, y, marker=arrow, ms=7, color=color, clip_on=False)
        transform = axes.get_yaxis_transform()
        style = {**SMALL, "va": "center"}
        is_first = y == 0 or rows[y - 1].family is not row.family
        if is_first:
            axes.text(START, y, word, transform=transform, **style)
            if y:
                axes.axhline(
                    y - 0.5, color=COLOR["line"], lw=0.8, xmin=START, clip_on=False
                )
        axes.text(-0.03, y, row.estimator, transform=transform, ha="right", va="center")
        axes.text(1.04, y, values.value(found.value), transform=transform, va="center")
        spoken.append(f"{row.estimator} ({word}) {values.whole(found, with_level=True)}")
    return to_svg(
        figure,
        name="estimators",
        title="What every estimator says this policy is worth",
        description=listing(spoken),
    )


@drawn
def weights_over_time(closeup: Closeup) -> Markup:
    """How many episodes speak about the policy after each decision."""
    sizes, going = closeup.effective_sizes, closeup.still_going
    figure, axes = board(440, 270, margins=(56, 14, 20, 46))
    steps = range(1, len(sizes) + 1)
    axes.set(xlabel="decisions", ylabel="episodes", ylim=(0, 1.05 * closeup.n))
    axes.set_xlim(0.5, max(len(sizes), 2) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    axes.plot(steps, going, color=COLOR["behavior"], lw=1.4, ls=(0, (5, 3)))
    axes.plot(steps, sizes, "o-" if len(sizes) <= 40 else "-", ms=3.5, color=COLOR["wis"])
    shown = sorted({0, len(sizes) // 4, len(sizes) // 2, len(sizes) - 1})
    spoken = [
        f"after decision {count(t + 1)}: {count(sizes[t])} effective episodes, "
        f"{count(going[t])} still going"
        for t in shown
    ]
    return to_svg(
        figure,
        name="weights-over-time",
        title="Effective episodes after each decision",
        description=listing(spoken),
    )


@drawn
def earned(closeup: Closeup, values: Values, *, outcome: str) -> Markup:
    """What the policy and the log have earned after each decision."""
    policy = [value for value in closeup.earned if value is not None]
    logged = closeup.logged_earned
    figure, axes = board(440, 270, margins=(70, 14, 20, 46))
    axes.set(xlabel="decisions", ylabel=outcome, xlim=(0.5, len(logged) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter(lambda tick, _: values.value(tick))
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    dashes = {"color": COLOR["behavior"], "lw": 1.6, "ls": (0, (5, 3))}
    axes.plot(range(1, len(logged) + 1), list(logged), **dashes)
    axes.plot(range(1, len(policy) + 1), policy, color=COLOR["wis"], lw=2)
    spoken = [
        f"after decision {count(t + 1)}: {values.value(policy[t])}, in the log "
        f"{values.value(logged[t])}"
        for t in sorted({len(policy) * k // 4 for k in range(1, 4)} | {len(policy) - 1})
    ]
    return to_svg(
        figure,
        name="earned",
        title="What is earned after each decision",
        description=listing(spoken),
    )


@drawn
def returns(found: Distribution, *, label: str, outcome: str) -> Markup:
    """Two distribution functions and the band around the policy's."""
    figure, axes = board(440, 270, margins=(56, 14, 20, 46))
    axes.set(ylim=(0, 1.02), xlabel=outcome, ylabel="share of episodes up to here")
    axes.yaxis.set_major_formatter(lambda tick, _: percent(tick))
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    points, policy = list(found.points), list(found.policy)
    low = [max(share - found.band, 0.0) for share in policy]
    high = [min(share + found.band, 1.0) for share in policy]
    axes.fill_between(points, low, high, step="post", color=COLOR["wis"], alpha=0.15, lw=0)
    dashes = {"color": COLOR["behavior"], "lw": 1.6, "ls": (0, (5, 3))}
    axes.step(points, list(found.log), where="post", **dashes)
    axes.step(points, policy, where="post", color=COLOR["wis"], lw=2)
    spoken = [
        f"up to {points[i]:.4g}: {percent(found.log[i])} in the log, {percent(policy[i])} "
        f"under {label}"
        for i in sorted({len(points) * k // 4 for k in range(4)})
    ]
    return to_svg(
        figure,
        name="spread",
        title="How returns are spread, in the log and under the policy",
        description=listing(spoken),
    )


def _limits(found: list[Estimate | None], behavior: Estimate) -> tuple[float, float]:
    """Room for all values but those far off, which become arrows."""
    every = [one for one in [*found, behavior] if one is not None]
    values = sorted(one.value for one in every)
    low, high = values[len(values) // 8], values[-1 - len(values) // 8]
    for one in every:
        if one.low is not None and one.high is not None:
            low, high = min(low, one.low), max(high, one.high)
    reach = (high - low) or abs(high) or 1.0
    inside = [value for value in values if low - reach < value < high + reach]
    low, high = min([low, *inside]), max([high, *inside])
    return low - 0.04 * reach, high + 0.04 * reach
