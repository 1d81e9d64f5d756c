"""What an algorithm needs of a log, and which algorithms a log can serve."""

from collections.abc import Collection, Iterable

import numpy as np

from stitchrl.algorithms import ALGORITHMS, USUAL, find
from stitchrl.dataset import Dataset
from stitchrl.findings import Finding, Severity
from stitchrl.spaces import Spec

# What a class says in `needs`: as the end of "It needs ...", and what a log without it is.
NEEDS = {
    "rewards": (
        "rewards by which one policy can be better than another",
        "every row has the same reward, and no end of an episode makes it rarer",
    ),
    "returns": (
        "episodes whose returns differ",
        "every episode has the same return",
    ),
    "next_action": (
        "rows after which another action is known, or nothing follows",
        "no row that can be learned from is followed by another one or by an end",
    ),
}


def met_by(dataset: Dataset) -> frozenset[str]:
    """Which of `NEEDS` this log meets."""
    reward, kept = dataset.reward, dataset.has_next
    is_constant = bool((reward == reward[0]).all())
    # Where every step costs the same, ending sooner is better, if episodes can end.
    has_rewards = not is_constant or bool(reward[0] != 0 and dataset.terminated.any())
    is_followed = kept & np.append(kept[1:], False) & ~dataset.episode_end
    met = {
        "rewards": has_rewards,
        "returns": bool(np.ptp(dataset.returns()) > 0),
        "next_action": bool((is_followed | dataset.terminated).any()),
    }
    return frozenset(name for name, is_met in met.items() if is_met)


def unmet(cls: type, met: Collection[str]) -> list[str]:
    """What this algorithm needs and does not get."""
    return [need for need in getattr(cls, "needs", ()) if need not in met]


def served(names: Iterable[str], spec: Spec, met: Collection[str]) -> list[str]:
    """Those of these algorithms that fit the actions and get what they need."""
    kind = type(spec.action)
    fit = [name for name in names if kind in ALGORITHMS[name]]
    return [name for name in fit if not unmet(ALGORITHMS[name][kind], met)]


def lack(name: str, spec: Spec, met: Collection[str]) -> str | None:
    """What `name` needs and does not get, and what fits instead; None if it gets all."""
    missing = unmet(find(name, spec.action), met)
    if not missing:
        return None
    needed = " and ".join(NEEDS[need][0] for need in missing)
    found = "; ".join(NEEDS[need][1] for need in missing)
    able = ", ".join(served(ALGORITHMS, spec, met))
    return (
        f"'{name}' cannot learn from this log. It needs {needed}, but {found}. "
        f"Algorithms that fit: {able}."
    )


def left_out(spec: Spec, met: Collection[str]) -> list[Finding]:
    """Notes on the usual algorithms that a log without these needs cannot serve."""
    lacks = (lack(name, spec, met) for name in USUAL[type(spec.action)])
    return [Finding("LEFT_OUT", Severity.NOTE, said, "") for said in lacks if said]


def require_met(name: str, spec: Spec, met: Collection[str]) -> None:
    """Raise `ValueError` saying what `name` needs, and which algorithms can do without."""
    if said := lack(name, spec, met):
        raise ValueError(said)
