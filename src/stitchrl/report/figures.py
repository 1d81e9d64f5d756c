"""The forest plot: every estimate of every policy, with its interval."""

from typing import NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes

from stitchrl.report.decide import EstimateRow, Estimates
from stitchrl.report.focus import shown_policies
from stitchrl.report.format import Values, common_level, count, in_two_lines
from stitchrl.report.numbers import Estimate
from stitchrl.report.schema import Kind, Policy, Report
from stitchrl.report.svg import COLOR, SMALL, board, drawn, listing, to_svg

LINE = 21  # Height of one estimate, in CSS pixels.
GAP = 9  # Between policies.
NAME = 30  # Letters of a policy that fit into one line.
MARKERS = {"WIS": ("o", "wis"), "FQE": ("D", "fqe"), "own": ("x", "own")}


class Point(NamedTuple):
    """One line of the forest plot."""

    estimator: str
    estimate: Estimate
    bounds: tuple[float, float] | None  # Worst and best case for unseen actions.
    right: tuple[str, str]  # ESS, trust.


@drawn
def forest(report: Report, values: Values) -> Markup:
    """Every estimate of every policy with its interval, against the logged policy's."""
    estimates = report.decide.estimates
    assert estimates is not None
    policies = _in_groups(report)
    points = {policy.name: _points(estimates, policy) for policy in policies}
    policies = [policy for policy in policies if points[policy.name]]
    labels = {policy.name: _label(policy) for policy in policies}
    heights = {n: max(len(points[n]), len(label)) for n, label in labels.items()}
    lines = sum(heights.values())
    height = 74 + lines * LINE + (len(policies) + 1) * GAP + LINE
    figure, axes = board(980, height, margins=(252, 30, 318, 44))
    inside = height - 74
    axes.set(ylim=(inside, 0), yticks=[], xlabel=report.estimand.outcome)
    axes.set_xlim(*_limits(estimates.behavior, points))
    axes.spines["left"].set_visible(False)
    reference(axes, estimates.behavior, is_vertical=True)
    shown = [point.estimate for of in points.values() for point in of]
    shared = common_level([estimates.behavior, *shown])
    header = f"value ({shared} interval)" if shared else "value (interval, level)"
    for x, text, align in ((1.03, header, "left"), *_COLUMNS):
        axes.text(x, 1, text, transform=axes.transAxes, ha=align, **SMALL)
    y = GAP / 2 + LINE / 2
    behavior = report.behavior_label
    _estimate(axes, y, estimates.behavior, marker="s", color=COLOR["behavior"])
    n = count(estimates.behavior.n)
    said = values.whole(estimates.behavior, with_level=not shared)
    _name(axes, y, in_two_lines(behavior, NAME)[:1])
    _labels(axes, y, "mean", said, (n, ""))
    spoken = [_spoken(behavior, "mean", estimates.behavior, values)]
    y += LINE
    for policy in policies:
        axes.axhline(y - LINE / 2 + GAP / 2, color=COLOR["line"], lw=0.8, zorder=0)
        y += GAP
        label = policy.label + (" (control)" if policy.kind is Kind.CONTROL else "")
        _name(axes, y, labels[policy.name])
        following = y + heights[policy.name] * LINE
        for point in points[policy.name]:
            marker, color = MARKERS.get(point.estimator, ("P", "muted"))
            is_filled = policy.kind is not Kind.CONTROL
            if point.bounds:
                _bounds(axes, y, point.bounds, COLOR[color])
            _estimate(
                axes, y, point.estimate, marker=marker, color=COLOR[color], filled=is_filled
            )
            said = values.whole(point.estimate, with_level=not shared)
            _labels(axes, y, point.estimator, said, point.right)
            spoken.append(_spoken(label, point.estimator, point.estimate, values))
            y += LINE
        y = following
    return to_svg(
        figure,
        name="forest",
        title=f"{report.estimand.outcome} of every policy, by estimator, with intervals",
        description=listing(spoken),
    )


_COLUMNS = (
    (1.53, "ESS", "right"),
    (1.57, "trust", "left"),
)


def _in_groups(report: Report) -> list[Policy]:
    """Mixtures by rising share, then full policies, then controls."""
    order = [Kind.MIXTURE, Kind.POLICY, Kind.EXTERNAL, Kind.CONTROL]
    chosen = [policy for policy in shown_policies(report) if policy.kind in order]
    return sorted(chosen, key=lambda p: (order.index(p.kind), p.share or 0))


def estimate_lines(
    estimates: Estimates | None,
) -> list[tuple[EstimateRow, tuple[float, float] | None]]:
    """Each policy and estimator once, with worst and best case where there are such."""
    if estimates is None:
        return []
    ends = {
        (row.policy, row.estimator, row.completion): row.estimate.value
        for row in estimates.rows
    }
    lines = []
    for row in estimates.rows:
        if row.completion in (None, "behavior"):
            lower = ends.get((row.policy, row.estimator, "lower"))
            upper = ends.get((row.policy, row.estimator, "upper"))
            has_bounds = lower is not None and upper is not None
            lines.append((row, (lower, upper) if has_bounds else None))
    return lines


def _points(estimates: Estimates, policy: Policy) -> list[Point]:
    points = []
    for row, bounds in estimate_lines(estimates):
        if row.policy == policy.name:
            ess = count(row.ess) if row.ess is not None else ""
            right = (ess, row.trust or "")
            points.append(Point(row.estimator, row.estimate, bounds, right))
    for own in estimates.own:
        if own.policy == policy.name:
            points.append(Point("own", own.estimate, None, ("", "no evidence")))
    return points


def _limits(behavior: Estimate, points: dict[str, list[Point]]) -> tuple[float, float]:
    """Room for every estimate; arrows show intervals and beliefs that go beyond."""
    rows = [point for of in points.values() for point in of]
    every = [point.estimate for point in rows if point.estimator != "own"] + [behavior]
    low, high = min(e.value for e in every), max(e.value for e in every)
    ends = sorted(end for e in every for end in (e.low, e.high) if end is not None)
    inner = ends[len(ends) // 8 : len(ends) - len(ends) // 8] or [low, high]
    low, high = min(low, inner[0]), max(high, inner[-1])
    room = 0.05 * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


def reference(axes: Axes, behavior: Estimate, *, is_vertical: bool) -> None:
    """The logged policy's value as a dashed line, its interval as a band."""
    line, band = (
        (axes.axvline, axes.axvspan) if is_vertical else (axes.axhline, axes.axhspan)
    )
    if behavior.low is not None and behavior.high is not None:
        band(
            behavior.low, behavior.high, color=COLOR["behavior"], alpha=0.13, lw=0, zorder=0
        )
    line(behavior.value, color=COLOR["behavior"], lw=1.2, ls=(0, (5, 3)), zorder=1)


def _estimate(
    axes: Axes,
    y: float,
    estimate: Estimate,
    *,
    marker: str,
    color: str,
    filled: bool = True,
) -> None:
    if estimate.low is not None and estimate.high is not None:
        left, right = axes.get_xlim()
        axes.plot(
            [max(estimate.low, left), min(estimate.high, right)], [y, y], color=color, lw=2
        )
        for end, edge, arrow in ((estimate.low, left, "<"), (estimate.high, right, ">")):
            if (end < edge) if arrow == "<" else (end > edge):
                axes.plot(edge, y, marker=arrow, ms=6, color=color, clip_on=False)
    left, right = axes.get_xlim()
    if not left <= estimate.value <= right:  # A learner's belief, far from all evidence.
        is_beyond = estimate.value > right
        edge, arrow = (right, ">") if is_beyond else (left, "<")
        axes.plot(edge, y, marker=arrow, ms=7, color=color, clip_on=False, zorder=4)
        return
    axes.plot(
        estimate.value,
        y,
        marker=marker,
        ms=7,
        mew=1.8,
        mec=color,
        mfc=color if filled else COLOR["paper"],
        clip_on=False,
        zorder=4,
    )


def _bounds(axes: Axes, y: float, bounds: tuple[float, float], color: str) -> None:
    left, right = axes.get_xlim()
    ends = [min(max(end, left), right) for end in bounds]
    axes.plot(ends, [y, y], color=color, lw=1, ls=(0, (1, 1.5)))
    for end, edge in zip(bounds, ends, strict=True):
        if end == edge:
            axes.plot([end, end], [y - 4, y + 4], color=color, lw=1)


def _label(policy: Policy) -> list[str]:
    """In one line or two."""
    control = " (control)" if policy.kind is Kind.CONTROL else ""
    return in_two_lines(policy.label + control, NAME)


def _name(axes: Axes, y: float, lines: list[str]) -> None:
    across = axes.get_yaxis_transform()
    for line in lines:
        axes.text(-0.61, y, line, transform=across, va="center", ha="left")
        y += LINE


def _labels(
    axes: Axes,
    y: float,
    estimator: str,
    said: str,
    right: tuple[str, str],
) -> None:
    across = axes.get_yaxis_transform()
    place = {"transform": across, "va": "center"}
    axes.text(-0.02, y, estimator, ha="right", color=COLOR["muted"], **place)
    axes.text(1.03, y, said, ha="left", **place)
    axes.text(1.53, y, right[0], ha="right", **place)
    axes.text(1.57, y, right[1], ha="left", color=COLOR["muted"], **place)


def _spoken(label: str, estimator: str, estimate: Estimate, values: Values) -> str:
    said = values.whole(estimate)
    none = " (no interval)" if estimate.low is None else ""
    return f"{label}, {estimator}: {said}{none}"
