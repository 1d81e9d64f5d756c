"""One self-contained HTML file from a report: no script, no request, equal bytes."""

import re
from functools import partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from stitchrl.report import (
    figures,
    figures_data,
    figures_moves,
    figures_training,
    figures_trust,
    format,
)
from stitchrl.report.decide import Verdict
from stitchrl.report.format import Values
from stitchrl.report.schema import Kind, Report
from stitchrl.report.words import DECISIONS, RULE, TERMS, TERMS_OF

SHOWN_CHOICES = 100


def render(report: Report) -> str:
    """The report as HTML. Equal reports give equal bytes; saving is the caller's."""
    values = Values(report)
    environment = Environment(
        loader=PackageLoader("stitchrl.report", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "about": format.about,
        "bits": format.bits,
        "count": format.count,
        "gain": values.gain,
        "gain_interval": values.gain_interval,
        "interval": values.interval,
        "lower_first": lambda text: text[:1].lower() + text[1:],
        "number": format.number,
        "percent": format.percent,
        "prose": format.prose,
        "seconds": format.seconds,
        "slug": lambda text: re.sub(r"\W+", "-", text.lower()).strip("-"),
        "value": values.value,
    }
    style = files("stitchrl.report").joinpath("templates/style.css").read_text("utf-8")
    environment.globals |= _context(report, values) | {"css": Markup(style)}
    html = environment.get_template("report.html").render()
    return re.sub(r"\n\s*\n+", "\n", html.strip()) + "\n"


def _context(report: Report, values: Values) -> dict[str, Any]:
    sections = [("decide", "Decide")]
    sections += [("trust", "Trust")] if report.trust else []
    sections += [("data", "Data")]
    sections += [("training", "Training")] if report.training else []
    sections += [("reproduce", "Reproduce")]
    sections += [("truth", "Truth")] if report.truth else []
    verdict_of = {verdict.policy: verdict for verdict in report.decide.verdicts}
    steps = mixture_steps(report)
    shown = {verdict.policy for _, verdict in steps} | {
        report.decide.best,
        report.decide.recommended,
    }
    weights = report.trust.weights if report.trust else ()
    behavior = [p.label for p in report.policies if p.kind is Kind.BEHAVIOR]
    choices = report.data.actions.choices if report.data.actions else ()
    return {
        "behavior_label": behavior[0] if behavior else "The logged policy",
        "decisions": DECISIONS,
        "estimate_lines": figures.estimate_lines(report.decide.estimates),
        "figures": _figures(report, steps, values),
        "mixtures": steps,
        "numbers": {key: number for number, (key, _) in enumerate(sections, start=1)},
        "others": [v for v in report.decide.verdicts if v.policy not in shown],
        "report": report,
        "rule": RULE,
        "sections": sections,
        "shown_choices": sorted(choices, key=lambda c: -c.share)[:SHOWN_CHOICES],
        "shown_decisions": list(dict.fromkeys(v.decision for _, v in steps)),
        "terms": TERMS,
        "terms_of": TERMS_OF,
        "total_seconds": sum(phase.seconds for phase in report.reproduce.phases),
        "verdict_of": verdict_of,
        "weights_of": {row.policy: row for row in weights},
    }


def mixture_steps(report: Report) -> list[tuple[float, Verdict]]:
    """Verdicts on mixtures by rising share; what they are made of is the last step."""
    policies = {policy.name: policy for policy in report.policies}
    steps, sources = [], set()
    for verdict in report.decide.verdicts:
        policy = policies[verdict.policy]
        if policy.kind is Kind.MIXTURE and policy.share is not None:
            steps.append((policy.share, verdict))
            sources.add(policy.of)
    if len(sources) == 1:
        steps += [(1.0, v) for v in report.decide.verdicts if v.policy in sources]
    return sorted(steps, key=lambda step: step[0])


def _figures(
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
        "actions": actions,
        "are_actions_shown_apart": are_apart,
        "training": _training(report),
        "exact": figures_trust.exact_values(report, values) if report.truth else None,
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
