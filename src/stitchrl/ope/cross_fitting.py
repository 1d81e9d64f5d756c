"""Models fitted to other episodes than those they are applied to.

For selection, and wherever the policy or the values may have been made from the same
episodes: fitted to itself, a log says what one would like to hear.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stitchrl.ope.base import Completions
from stitchrl.ope.fqe_tabular import TabularFQE, TabularLog, TabularPolicy


class Fold(NamedTuple):
    """Episodes held out, and a model of the others that starts where these do."""

    held_out: np.ndarray  # bool (episodes,)
    others: np.ndarray  # bool (episodes,): what the model is fitted to.
    fitted: TabularFQE


class HeldOut(NamedTuple):
    """The same with one policy in it."""

    held_out: np.ndarray  # bool (episodes,)
    others: np.ndarray  # bool (episodes,)
    policy: TabularPolicy


def cross_fits(log: TabularLog, fold: np.ndarray) -> tuple[Fold, ...]:
    """One model for each fold; `fold` (episodes,) keeps groups together.

    A single fold, as of a log with one group, is fitted to itself.
    """
    found = []
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        others = held_out if held_out.all() else ~held_out
        found.append(Fold(held_out, others, log.fit(others, start_weight=held_out)))
    return tuple(found)


def in_folds(
    folds: Sequence[Fold], policy: np.ndarray, share: float = 1.0
) -> tuple[HeldOut, ...]:
    """A policy (S, count), or its mixture with the behavior, in the model of each fold."""
    return tuple(
        HeldOut(fold.held_out, fold.others, fold.fitted.of(policy, share)) for fold in folds
    )


def cross_fitted(parts: Sequence[HeldOut]) -> Completions:
    """Mean over folds of the values at their start states."""
    lower = value = upper = 0.0
    for part in parts:
        share, found = part.held_out.mean(), part.policy.completions
        lower += found.lower * share
        value += found.behavior * share
        upper += found.upper * share
    return Completions(float(lower), float(value), float(upper))
