"""Models fitted to other episodes than those they are applied to.

For selection, and wherever the policy or the values may have been made from the same
episodes: fitted to itself, a log says what one would like to hear.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stitchrl.ope.base import Completions
from stitchrl.ope.fqe_tabular import PolicyInModel, TabularFQE, TabularLog
from stitchrl.splits import held_out_and_others


class CrossFit(NamedTuple):
    """Episodes held out, and a model of the others that starts where these do."""

    held_out: np.ndarray  # bool (episodes,)
    others: np.ndarray  # bool (episodes,): what the model is fitted to.
    model: TabularFQE


class HeldOut(NamedTuple):
    """A policy in the model of the other episodes."""

    fit: CrossFit
    policy: PolicyInModel


def cross_fits(log: TabularLog, fold: np.ndarray) -> tuple[CrossFit, ...]:
    """One model for each fold; `fold` (episodes,) keeps groups together."""
    return tuple(
        CrossFit(held_out, others, log.fit(others, start_weight=held_out))
        for held_out, others in held_out_and_others(fold)
    )


def in_folds(
    fits: Sequence[CrossFit], policy: np.ndarray, share: float = 1.0
) -> tuple[HeldOut, ...]:
    """A policy (S, count), or its mixture with the behavior, in the model of each fold."""
    return tuple(HeldOut(fit, fit.model.of(policy, share)) for fit in fits)


def cross_fitted(parts: Sequence[HeldOut]) -> Completions:
    """Mean over folds of the values at their start states."""
    lower = value = upper = 0.0
    for part in parts:
        share, found = part.fit.held_out.mean(), part.policy.completions
        lower += found.lower * share
        value += found.behavior * share
        upper += found.upper * share
    return Completions(float(lower), float(value), float(upper))
