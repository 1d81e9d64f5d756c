"""Figures of moving away from the log: mixtures, changed decisions, distance in bits."""

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes

from stitchrl.ope.evidence import SPARE_BITS
from stitchrl.report.decide import StateGroup, Verdict
from stitchrl.report.figures import reference
from stitchrl.report.focus import shown_policies
from stitchrl.report.format import (
    Values,
    bits,
    count,
    in_two_lines,
    number,
    percent,
    shorten,
)
from stitchrl.report.schema import Kind, Report
from stitchrl.report.svg import COLOR, PAPER, SMALL, board, drawn, listing, to_svg
from stitchrl.report.words import DECISIONS


@drawn
def how_far(
    report: Report, steps: Sequence[tuple[float, Verdict]], values: Values
) -> Markup:
    """The value of each mixture by its share, with what the rule says about it."""
    estimates = report.decide.estimates
    assert estimates is not None
    known = [(share, v, v.estimate) for share, v in steps if v.estimate is not None]
    figure, axes = board(480, 340, margins=(62, 54, 34, 56))
    behavior = estimates.behavior
    inner = [e for _, _, e in known if e.low is not None][:-1] or [e for *_, e in known]
    ends = [end for e in [*inner, behavior] for end in (e.low, e.high) if end is not None]
    ends += [e.value for *_, e in known] + [behavior.value]
    room = 0.08 * ((max(ends) - min(ends)) or abs(max(ends)) or 1.0)
    low, high = min(ends) - room, max(ends) + room
    axes.set(xlim=(-0.05, 1.06), ylim=(low, high), ylabel=report.estimand.outcome)
    axes.set_xlabel("share of decisions made by the policy")
    shares = [share for share, *_ in known]
    axes.set_xticks([0, *shares], [percent(share) for share in [0, *shares]])
    axes.grid(axis="y", lw=0.6)
    axes.set_axisbelow(True)
    reference(axes, behavior, is_vertical=False)
    spoken = [f"Logged policy: {values.whole(behavior)}"]
    fitted = {
        row.policy: row.estimate.value
        for row in estimates.rows
        if row.estimator == "FQE" and row.completion in (None, "behavior")
    }
    for share, verdict, estimate in known:
        meaning, color = DECISIONS[verdict.decision], COLOR[verdict.decision.value]
        if estimate.low is not None and estimate.high is not None:
            axes.plot(
                [share, share],
                [max(estimate.low, low), min(estimate.high, high)],
                color=color,
                lw=2.4,
            )
            for end, edge, arrow in ((estimate.low, low, "v"), (estimate.high, high, "^")):
                if (end < edge) if arrow == "v" else (end > edge):
                    axes.plot(share, edge, marker=arrow, ms=7, color=color, clip_on=False)
        axes.plot(
            share, estimate.value, marker=meaning.marker, ms=10, color=color, zorder=4
        )
        if verdict.policy in fitted:
            axes.plot(
                share + 0.022,
                fitted[verdict.policy],
                marker="D",
                ms=5,
                mew=1.4,
                mec=COLOR["fqe"],
                mfc=COLOR["paper"],
            )
        spoken.append(f"{percent(share)}: {values.whole(estimate)}, {meaning.title}")
    _decision_names(axes, [(share, verdict) for share, verdict, _ in known])
    return to_svg(
        figure,
        name="how-far",
        title="Value of each mixture by the share of decisions the policy makes",
        description=listing(spoken),
    )


def _decision_names(axes: Axes, known: Sequence[tuple[float, Verdict]]) -> None:
    """Above the axes, once for neighbors of equal decision."""
    runs: list[list[tuple[float, Verdict]]] = []
    for step in known:
        if runs and runs[-1][-1][1].decision is step[1].decision:
            runs[-1].append(step)
        else:
            runs.append([step])
    for run in runs:
        decision = run[0][1].decision
        color, across = COLOR[decision.value], axes.get_xaxis_transform()
        first, last = run[0][0], run[-1][0]
        if last > first:
            axes.plot(
                [first, last],
                [1.04, 1.04],
                color=color,
                lw=1.5,
                transform=across,
                clip_on=False,
            )
        text = DECISIONS[decision].title.replace("Collect ", "Collect\n")
        axes.text(
            (first + last) / 2,
            1.06,
            text,
            transform=across,
            ha="center",
            va="bottom",
            color=color,
            weight="bold",
            linespacing=1.25,
        )


@drawn
def changes(group: StateGroup, *, quantity: str, name: str) -> Markup:
    """Dumbbells: each action before and after, in one group of states."""
    shown = percent if quantity == "share" else number
    figure, axes = board(440, 34 + 40 * len(group.changes), margins=(12, 4, 12, 30))
    top = max(max(change.logged, change.policy) for change in group.changes)
    bottom = min(min(change.logged, change.policy) for change in group.changes)
    start = 0.0 if bottom >= 0 else 1.2 * bottom
    axes.set(xlim=(start, 1.15 * top or 1.0), ylim=(len(group.changes) - 0.35, -0.65))
    axes.set(yticks=[])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(lambda tick, _: shown(tick))
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", lw=0.6)
    spoken = []
    for y, change in enumerate(group.changes):
        ends = (change.logged, change.policy)
        axes.text(
            start,
            y - 0.34,
            shorten(change.action, 40),
            va="center",
            fontsize=11.5,
            bbox=PAPER,
        )
        axes.plot(ends, [y, y], color=COLOR["muted"], lw=1.6, zorder=2)
        axes.plot(
            change.logged,
            y,
            "o",
            ms=8,
            mew=1.8,
            mec=COLOR["log"],
            mfc=COLOR["paper"],
            zorder=3,
            clip_on=False,
        )
        axes.plot(
            change.policy, y, "o", ms=8, color=COLOR["policy"], zorder=3, clip_on=False
        )
        spoken.append(
            f"{change.action}: logged {shown(change.logged)}, policy {shown(change.policy)}"
        )
    return to_svg(
        figure,
        name=name,
        title=f"{group.name}: actions whose use changes most",
        description=listing(spoken),
    )


@drawn
def distances(report: Report) -> Markup:
    """How many bits each candidate is from the log, against the bits the log has."""
    assert report.trust is not None
    shown = {policy.name for policy in shown_policies(report)}
    rows = [row for row in report.trust.weights if row.policy in shown]
    rows = [row for row in rows if row.kl_per_episode is not None]
    reach = max(row.log2_n for row in rows)
    far = [row.kl_per_episode or 0.0 for row in rows]
    allowed = reach + SPARE_BITS
    limit = max([d for d in far if d != float("inf")] + [allowed]) * 1.12
    labels = [in_two_lines(report.policy(row.policy).label, 30) for row in rows]
    height = 36 if any(len(lines) > 1 for lines in labels) else 24
    figure, axes = board(640, 70 + height * len(rows), margins=(210, 34, 46, 36))
    axes.set(xlim=(0, limit), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.set_xlabel("bits per episode")
    axes.axvspan(0, allowed, color=COLOR["behavior"], alpha=0.1, lw=0)
    axes.axvline(allowed, color=COLOR["behavior"], lw=1.2, ls=(0, (5, 3)))
    text = f"limit of the rule, log₂ {count(rows[0].n)} + 3: {allowed:.1f}"
    across = axes.get_xaxis_transform()
    side = "center" if allowed < 0.7 * limit else "right"
    axes.text(allowed, 1.02, text, transform=across, ha=side, **SMALL)
    spoken = [text]
    for y, (row, distance, lines) in enumerate(zip(rows, far, labels, strict=True)):
        is_control = report.policy(row.policy).kind is Kind.CONTROL
        color = COLOR["muted"] if is_control else COLOR["wis"]
        end = min(distance, 0.96 * limit)
        axes.plot([0, end], [y, y], color=color, lw=2)
        axes.plot(
            end,
            y,
            marker=">" if distance > end else "o",
            ms=7,
            color=color,
            mfc=COLOR["paper"] if is_control else color,
        )
        axes.text(
            -0.02,
            y,
            "\n".join(lines),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            linespacing=1.1,
        )
        axes.text(
            1.01, y, bits(distance), transform=axes.get_yaxis_transform(), va="center"
        )
        spoken.append(f"{' '.join(lines)}: {bits(distance)} bits")
    return to_svg(
        figure,
        name="distances",
        title="Distance of each policy from the log, in bits per episode",
        description=listing(spoken),
    )
