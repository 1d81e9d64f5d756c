"""One self-contained HTML file from a report: no script, no request, equal bytes."""

import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from stitchrl.report import figures, format
from stitchrl.report.draw import draw_all
from stitchrl.report.focus import mixture_steps
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
        "level": format.level,
        "lower_first": lambda text: text[:1].lower() + text[1:],
        "number": format.number,
        "percent": format.percent,
        "prose": format.prose,
        "seconds": format.seconds,
        "slug": lambda text: re.sub(r"\W+", "-", text.lower()).strip("-"),
        "upper_first": lambda text: text[:1].upper() + text[1:],
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
    decide, steps = report.decide, mixture_steps(report)
    shown = {v.policy for _, v in steps} | {decide.best, decide.recommended}
    others = [v for v in decide.verdicts if v.policy not in shown]

    def is_mixture(name: str) -> bool:
        return report.policy(name).kind is Kind.MIXTURE

    weights = report.trust.weights if report.trust else ()
    choices = report.data.actions.choices if report.data.actions else ()
    return {
        "behavior_label": report.behavior_label,
        "decisions": DECISIONS,
        "estimate_lines": figures.estimate_lines(decide.estimates),
        "figures": draw_all(report, steps, values),
        "forest_key": _forest_key(report),
        "mixtures": steps,
        "numbers": {key: number for number, (key, _) in enumerate(sections, start=1)},
        "others": [v for v in others if not is_mixture(v.policy)],
        "other_mixtures": [v for v in others if is_mixture(v.policy)],
        "report": report,
        "rule": RULE,
        "sections": sections,
        "shown_choices": sorted(choices, key=lambda c: -c.share)[:SHOWN_CHOICES],
        "shown_decisions": list(dict.fromkeys(v.decision for _, v in steps)),
        "terms": TERMS,
        "terms_of": _terms_of(report, has_mixtures=bool(steps)),
        "total_seconds": sum(phase.seconds for phase in report.reproduce.phases),
        "verdict_of": {verdict.policy: verdict for verdict in decide.verdicts},
        "weights_of": {row.policy: row for row in weights},
    }


def _terms_of(report: Report, *, has_mixtures: bool) -> dict[str, list[str]]:
    """The terms each section explains: those that this report uses."""
    estimates, trust = report.decide.estimates, report.trust
    estimators = {row.estimator for row in estimates.rows} if estimates else set()
    closeup = trust.closeup if trust else None
    looked = {row.estimator for row in closeup.estimators} if closeup else set[str]()
    has_weights = has_mixtures or bool(trust and trust.weights)
    has_estimate = any(verdict.estimate for verdict in report.decide.verdicts)
    behavior = trust.behavior if trust else None
    used = {
        "Logged policy": bool(estimates) or has_mixtures,
        "Interval": bool(estimates) or has_estimate,
        "Mixture": has_mixtures,
        "WIS": "WIS" in estimators,
        "FQE": "FQE" in estimators,
        "ESS": has_weights or bool(estimates),
        "KL bits": has_weights,
        "Control": any(policy.kind is Kind.CONTROL for policy in report.policies),
        "Mean weight": has_weights,
        "Pareto's k": has_weights,
        "Unseen mass": has_weights,
        "DRL": "DRL" in looked,
        "MB": "MB" in looked,
        "Other estimators": bool(looked - {"WIS", "FQE", "DRL", "MB"}),
        "SLOPE": bool(closeup and closeup.clipping),
        "ECE": bool(behavior and behavior.ece),
    }
    return {
        section: [term for term in terms if used.get(term, True)]
        for section, terms in TERMS_OF.items()
    }


def _forest_key(report: Report) -> list[tuple[str, str, str]]:
    """(shape, color, meaning) of what the forest plot shows."""
    lines = figures.estimate_lines(report.decide.estimates)
    estimators = {row.estimator for row, _ in lines}
    own = report.decide.estimates.own if report.decide.estimates else ()
    key = [("square", "behavior", f"{report.behavior_label}: mean of the log")]
    if "WIS" in estimators:
        key.append(("dot", "wis", "WIS, weighted log"))
    if "FQE" in estimators:
        key.append(("diamond", "fqe", "FQE, fitted model"))
    if any(bounds for _, bounds in lines):
        key.append(("dotted", "fqe", "FQE, worst to best case"))
    if own:
        key.append(
            (
                "cross",
                "own",
                "what the learner itself believes: no evidence (arrow: off the scale)",
            )
        )
    if any(policy.kind is Kind.CONTROL for policy in report.policies):
        key.append(("ring", "muted", "hollow: a control, never recommended"))
    return key
