"""Section 1, what would change: the decisions that differ most from the log's."""

import numpy as np

from stitchrl.candidates import Candidate, table
from stitchrl.dataset import Bounds, Choices
from stitchrl.job.reporting.groups import Group, Grouping, state_groups
from stitchrl.job.reporting.labels import lower_first, upper_first
from stitchrl.job.reporting.material import Material
from stitchrl.job.reporting.numbers import estimate
from stitchrl.ope.chain import NEGLIGIBLE
from stitchrl.ope.fqe_tabular import follow
from stitchrl.report.format import number, percent
from stitchrl.report.schema import ActionChange, StateGroup, WhatWouldChange

SHOWN_ACTIONS = 4
LEAST_CHANGE = 0.01  # Of the decisions in a group: smaller changes are not shown.


def changes_of(material: Material) -> WhatWouldChange | None:
    """By group of states; None if there is no policy to compare the log with."""
    candidate = compared(material)
    if candidate is None:
        return None
    if material.is_discrete:
        return _shares(material, candidate)
    return _means(material, candidate)


def compared(material: Material) -> Candidate | None:
    """Whose decisions are held against the log's: the recommended, else the best policy.

    Of a mixture it is the policy that is mixed in.
    """
    recommendation, best = material.results.recommendation, material.results.best
    nearest = recommendation.verdict
    names = (
        recommendation.name,
        best.name if best is not None else None,
        nearest.evidence.name if nearest is not None else None,
    )
    for name in names:
        if name is not None and name in material.requests:
            return material.requests[name].candidate
    return None


def _shares(material: Material, candidate: Candidate) -> WhatWouldChange:
    """Discrete actions: how often each is taken."""
    departure = material.departure(candidate)
    grouping = state_groups(material.dataset, material.rows, departure)
    gains = _gains(material, candidate)
    groups = [
        _group_of_shares(material, candidate, group, departure, gains)
        for group in grouping.groups
    ]
    sentences = [*_in_full(material, candidate), _overall(material, candidate)]
    most = max(groups, key=lambda group: group.changed or 0.0)
    sentences.append(
        f"{_where(material, grouping, most.name)} ({most.n:,} decisions), "
        f"{material.inside(candidate)} decides otherwise at least "
        f"{percent(most.changed)} of the time: {lower_first(most.sentence)}"
    )
    sentences += _units(material, grouping)
    if gains is not None:
        sentences.append(
            "The expected difference per decision is what would follow if this one "
            "decision were the policy's and all later ones as logged, in the model fitted "
            "to the log."
        )
    return WhatWouldChange(
        policy=candidate.name,
        quantity="share",
        changed=float(departure.mean()),
        groups=groups,
        sentences=sentences,
    )


def _overall(material: Material, candidate: Candidate) -> str:
    """Of each choice that is made, the label whose share changes most, wherever."""
    space = material.dataset.actions
    assert isinstance(space, Choices)
    taken = space.split(material.dataset.action[material.rows])
    each = material.probabilities(candidate).mean(axis=0, dtype=np.float64)
    number_of = space.split(np.arange(space.count))
    parts = []
    for i, labels in enumerate(space.parts or (space.labels,)):
        logged = np.bincount(taken[:, i], minlength=len(labels)) / len(taken)
        policy = np.bincount(number_of[:, i], each, minlength=len(labels))
        most = int(np.abs(policy - logged).argmax())
        name = f"{space.names[i]} {labels[most]}" if space.parts else labels[most]
        shares = (
            f"{percent(min(float(policy[most]), 1.0))} instead of {percent(logged[most])}"
        )
        parts.append(f"{name} ({shares})")
    return f"Over all decisions, what changes most: {', '.join(parts)}."


def _group_of_shares(
    material: Material,
    candidate: Candidate,
    group: Group,
    departure: np.ndarray,
    gains: np.ndarray | None,
) -> StateGroup:
    space, rows = material.dataset.actions, material.rows[group.rows]
    assert isinstance(space, Choices)
    logged = np.bincount(material.dataset.action[rows], minlength=space.count) / len(rows)
    policy = material.probabilities(candidate)[group.rows].mean(axis=0, dtype=np.float64)
    change = np.abs(policy - logged)
    order = np.argsort(-change, kind="stable")[:SHOWN_ACTIONS]
    changes = [
        ActionChange(
            action=space.labels[action],
            logged=float(logged[action]),
            policy=min(float(policy[action]), 1.0),
        )
        for action in order
        if change[action] >= LEAST_CHANGE
    ]
    return StateGroup(
        name=group.name,
        n=len(rows),
        changed=float(departure[group.rows].mean()),
        changes=changes,
        difference=None if gains is None else estimate(float(gains[group.rows].mean())),
        sentence=_more_and_less(changes),
    )


def _more_and_less(changes: list[ActionChange]) -> str:
    """More often A (24 % instead of 9 %), less often B (6 % instead of 18 %)."""
    parts = []
    for word, sign in (("more often", 1), ("less often", -1)):
        moved = [c for c in changes if sign * (c.policy - c.logged) > 0]
        if moved:
            shares = f"{percent(moved[0].policy)} instead of {percent(moved[0].logged)}"
            parts.append(f"{word} {moved[0].action} ({shares})")
    return (
        upper_first(", ".join(parts) or "the shares of actions stay about the same") + "."
    )


def _gains(material: Material, candidate: Candidate) -> np.ndarray | None:
    """float64 (shown,): Σ_a π(a|s) Q^β(s, a) - V^β(s), in closed form, else None.

    An unseen action counts as what the behavior is worth there.
    """
    log = material.results.judge.certification.log
    if log is None or log.horizon is not None:
        return None
    fitted, of = material.fitted_log, log.transitions
    policy = of.policy(table(candidate, material.dataset))
    following, reward, seen = follow(fitted.model, policy)
    now = fitted.behavior_values
    instead = reward + log.discount * (following @ now) + (1 - seen) * now
    gain = instead - now
    gain[np.abs(gain) < NEGLIGIBLE] = 0.0  # What rounding leaves of a solve.
    return gain[of.row_state[material.rows]]


def _means(material: Material, candidate: Candidate) -> WhatWouldChange:
    """Continuous actions: how much of each, in their own units."""
    dataset, rows = material.dataset, material.rows
    space = dataset.actions
    assert isinstance(space, Bounds)
    policy = material.amounts_taken(candidate, dataset.observation[rows])
    logged = dataset.action[rows].astype(np.float64)
    width = np.subtract(space.high, space.low)
    departure = (np.abs(policy - logged) / width).mean(axis=1)
    grouping = state_groups(dataset, rows, departure)
    groups = [
        _group_of_means(group, space, logged[group.rows], policy[group.rows])
        for group in grouping.groups
    ]
    most = max(grouping.groups, key=lambda group: float(departure[group.rows].mean()))
    said = next(g.sentence for g in groups if g.name == most.name)
    return WhatWouldChange(
        policy=candidate.name,
        quantity="mean",
        groups=groups,
        sentences=[
            *_in_full(material, candidate),
            f"Over all decisions: {lower_first(_most_changed(space, logged, policy)[1])}",
            f"{_where(material, grouping, most.name)} ({len(most.rows):,} decisions), "
            f"{material.inside(candidate)} departs most from the log: {lower_first(said)}",
            *_units(material, grouping),
        ],
    )


def _group_of_means(
    group: Group, space: Bounds, logged: np.ndarray, policy: np.ndarray
) -> StateGroup:
    changes, sentence = _most_changed(space, logged, policy)
    return StateGroup(
        name=group.name, n=len(group.rows), changes=changes, sentence=sentence
    )


def _most_changed(
    space: Bounds, logged: np.ndarray, policy: np.ndarray
) -> tuple[list[ActionChange], str]:
    before, after = logged.mean(axis=0), policy.mean(axis=0)
    width = np.subtract(space.high, space.low)
    order = np.argsort(-np.abs(after - before) / width, kind="stable")[:SHOWN_ACTIONS]
    changes = [
        ActionChange(action=space.names[i], logged=float(before[i]), policy=float(after[i]))
        for i in order
    ]
    most = changes[0]
    means = f"{number(most.policy)} instead of {number(most.logged)}"
    return changes, f"On average {most.action} is {means}."


def _in_full(material: Material, candidate: Candidate) -> list[str]:
    """What is shown is the policy in full, whatever share of it is recommended."""
    request = material.requests.get(material.results.recommendation.name or "")
    if request is None or request.share == 1:
        return []
    return [
        f"This describes {material.inside(candidate)} followed in full, not the "
        f"recommended mixture, which follows it in {percent(request.share)} of decisions "
        "and changes accordingly fewer."
    ]


def _units(material: Material, grouping: Grouping) -> list[str]:
    """What the numbers in the names of groups are, where they are no measurements."""
    truth = material.results.truth
    if truth is None or not truth.units or grouping.by in ("", "state"):
        return []
    return [f"Numbers of {grouping.by} are {truth.units}."]


def _where(material: Material, grouping: Grouping, name: str) -> str:
    """In patients with SOFA 10 to 14."""
    if not grouping.by:
        return "In all decisions"
    if grouping.by == "state":
        return f"In {lower_first(name)}"
    units = material.plan.group_name
    return f"With {name}" if units == "episodes" else f"In {units} with {name}"
