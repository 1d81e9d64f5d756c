"""Estimators for logs of single decisions: a context, an action, a reward.

Each gives one part per round; the mean of the parts is the estimate. w is π / β of the
logged action, q̂ a fitted reward. Swaminathan and Joachims 2015 for SNIPW, Dudík et al.
2014 for DR, Wang et al. 2017, arXiv 1612.01205, for Switch, Su et al. 2020, arXiv
1907.09623, for DRos, Metelli et al. 2021 (NeurIPS) for sub-Gaussian weights.
"""

from typing import NamedTuple

import numpy as np


class Rounds(NamedTuple):
    """What was logged, and what a model says of it; float64 (n,) each."""

    reward: np.ndarray
    weight: np.ndarray  # w = π(a|x) / β(a|x).
    logged: np.ndarray  # q̂(x, a) of the logged action.
    expected: np.ndarray  # Σ_a π(a|x) q̂(x, a).


def ipw(rounds: Rounds) -> np.ndarray:
    """Inverse propensity weighting: w r. Unbiased."""
    return rounds.weight * rounds.reward


def snipw(rounds: Rounds) -> np.ndarray:
    """Self-normalized: w r / mean w. NaN if no round has weight."""
    return normalized(rounds.weight) * rounds.reward


def direct_method(rounds: Rounds) -> np.ndarray:
    """What the model says. As wrong as the model."""
    return rounds.expected


def doubly_robust(rounds: Rounds) -> np.ndarray:
    """The model, corrected by weighted residuals. Unbiased if w or q̂ is right."""
    return _corrected(rounds, rounds.weight)


def self_normalized_doubly_robust(rounds: Rounds) -> np.ndarray:
    """DR with w / mean w."""
    return _corrected(rounds, normalized(rounds.weight))


def switch(rounds: Rounds, *, threshold: float) -> np.ndarray:
    """DR where w ≤ `threshold`, the model alone elsewhere (Wang et al.)."""
    return _corrected(rounds, np.where(rounds.weight <= threshold, rounds.weight, 0.0))


def optimistic_shrinkage(rounds: Rounds, *, strength: float) -> np.ndarray:
    """DRos: w becomes λ w / (w² + λ), λ = `strength`; 0 is the model, ∞ is DR."""
    if np.isinf(strength):
        return doubly_robust(rounds)
    weight = rounds.weight
    with np.errstate(invalid="ignore"):
        shrunk = strength * weight / (weight**2 + strength)
    return _corrected(rounds, np.where(weight > 0, shrunk, 0.0))


def sub_gaussian_ipw(rounds: Rounds, *, strength: float) -> np.ndarray:
    """w becomes w / (1 - λ + λ w), λ = `strength` in [0, 1]: bounded by 1 / λ."""
    return sub_gaussian(rounds.weight, strength) * rounds.reward


def sub_gaussian_doubly_robust(rounds: Rounds, *, strength: float) -> np.ndarray:
    """DR with sub-Gaussian weights."""
    return _corrected(rounds, sub_gaussian(rounds.weight, strength))


def sub_gaussian(weight: np.ndarray, strength: float) -> np.ndarray:
    """float64 (n,): w / (1 - λ + λ w). Raises `ValueError` unless 0 ≤ λ ≤ 1."""
    if not 0 <= strength <= 1:
        raise ValueError(f"'strength' must be in [0, 1], but is {strength:.6g}.")
    return np.divide(
        weight,
        1 - strength + strength * weight,
        out=np.zeros_like(weight, float),
        where=weight > 0,
    )


def normalized(weight: np.ndarray) -> np.ndarray:
    """float64 (n,): w / mean w; NaN if all are 0."""
    mean = weight.mean()
    return weight / mean if mean > 0 else np.full(len(weight), np.nan)


def _corrected(rounds: Rounds, weight: np.ndarray) -> np.ndarray:
    return rounds.expected + weight * (rounds.reward - rounds.logged)
