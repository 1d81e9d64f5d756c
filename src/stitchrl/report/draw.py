"""Which figures a report has: one for everything it has numbers for."""

from functools import partial
from typing import Any

from markupsafe import Markup

from stitchrl.report import (
    figures,
    figures_closeup,
    figures_data,
    figures_map,
    figures_moves,
    figures_training,
    figures_trust,
)
from stitchrl.report.decide import Verdict
from stitchrl.report.format import Values
from stitchrl.report.schema import Report


def draw_all(
    report: Report, steps: list[tuple[float, Verdict]], values: Values
) -> dict[str, Any]:
    """Every drawing the report has numbers for; absent ones are None."""
    decide, trust, data = report.decide, report.trust, report.data
    estimates, changes = decide.estimates, decide.changes
    model = trust.behavior if trust else None
    histogram = figures_data.histogram
    has_steps = any(verdict.estimate for _, verdict in steps)
    has_distances = trust and any(r.kl_per_episode is not None for r in trust.weights)
    actions, are_apart = _actions(report)
    return {
        "forest": figures.forest(report, values) if estimates else None,
        "how_far": figures_moves.how_far(report, steps, values)
        if estimates and has_steps
        else None,
        "changes": [
            figures_moves.changes(group, quantity=changes.quantity, name=f"changes-{i}")
            if group.changes
            else None
            for i, group in enumerate(changes.groups)
        ]
        if changes
        else [],
        "distances": figures_moves.distances(report) if has_distances else None,
        "calibration": figures_trust.calibration(model)
        if model and model.calibration
        else None,
        "propensities": histogram(
            model.propensities,
            name="propensities",
            title="Probabilities of the logged actions",
            label="probability of the logged action",
        )
        if model and model.propensities
        else None,
        "disagreement": figures_trust.disagreement(report)
        if trust and trust.disagreement
        else None,
        **_closeup(report, values),
        "returns": histogram(
            data.returns, name="returns", title="Returns of episodes", label="return"
        )
        if data.returns
        else None,
        "lengths": histogram(
            data.lengths, name="lengths", title="Lengths of episodes", label="decisions"
        )
        if data.lengths
        else None,
        "log_map": figures_map.log_map(data.audit.map)
        if data.audit and data.audit.map
        else None,
        "actions": actions,
        "are_actions_shown_apart": are_apart,
        "training": _training(report),
        "exact": figures_trust.exact_values(report, values) if report.truth else None,
    }


def _closeup(report: Report, values: Values) -> dict[str, Markup | None]:
    """Of the one policy that is looked at closely."""
    estimates = report.decide.estimates
    found = report.trust.closeup if report.trust else None
    if found is None or estimates is None:
        return dict.fromkeys(("estimators", "weights_over_time", "earned", "spread"))
    label = report.policy(found.policy).label
    outcome = report.estimand.outcome
    has_numbers = any(row.estimate for row in found.estimators)
    return {
        "estimators": figures_closeup.estimators(found, estimates, values)
        if has_numbers
        else None,
        "weights_over_time": figures_closeup.weights_over_time(found)
        if len(found.effective_sizes) > 1
        else None,
        "earned": figures_closeup.earned(found, values, outcome=outcome)
        if len(found.earned) > 1 and found.earned[0] is not None
        else None,
        "spread": figures_closeup.returns(found.returns, label=label, outcome=outcome)
        if found.returns and len(found.returns.points) > 2
        else None,
    }


def _actions(report: Report) -> tuple[list[Markup], bool]:
    use = report.data.actions
    if use is None:
        return [], False
    of = report.policy(use.policy).label if use.policy else None
    if use.dimensions:
        draw = partial(figures_data.action_density, of=of)
        return [draw(d, name=f"actions-{i}") for i, d in enumerate(use.dimensions)], True
    if not use.choices:
        return [], False
    grid = figures_data.grid_of([choice.label for choice in use.choices])
    if grid is None or len(grid.columns) > 8 or len(grid.rows) > 12:
        return [figures_data.action_bars(use, of=of, name="actions")], False
    shares = {"In the log": [choice.share for choice in use.choices]}
    if of:
        shares[of] = [choice.policy_share or 0.0 for choice in use.choices]
    top = max(max(share) for share in shares.values())
    return [
        figures_data.action_grid(
            use, grid, of=title, share=share, top=top, name=f"actions-{i}"
        )
        for i, (title, share) in enumerate(shares.items())
    ], True


def _training(report: Report) -> list[list[Markup]]:
    if report.training is None:
        return []
    estimates = report.decide.estimates
    return [
        [
            figures_training.curves(
                algorithm,
                kind=kind,
                curve=curve,
                behavior=estimates.behavior if estimates else None,
                name=f"training-{i}-{j}",
            )
            for j, (kind, curve) in enumerate(figures_training.curve_names(algorithm))
        ]
        for i, algorithm in enumerate(report.training.algorithms)
    ]
