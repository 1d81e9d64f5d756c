"""FQE and marginal ratios that are linear in features: closed forms for continuous logs."""

from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.doubly_robust import RowValues
from stitchrl.ope.marginal import MarginalParts
from stitchrl.ope.row_values import steps_left
from stitchrl.splits import held_out_and_others


class Features(NamedTuple):
    """φ along a log, for one policy; float64."""

    logged: np.ndarray  # (size, k): φ(s_t, a_t).
    expected: np.ndarray  # (size, k): E φ(s_t, a), a from the policy.
    final: np.ndarray  # (episodes, k): the same after the last row; NaN where unknown.


def quadratic(
    observation: np.ndarray,
    action: np.ndarray,
    variance: np.ndarray | None = None,
) -> np.ndarray:
    """float64 (n, k): 1, x and all products of two of x = (s, a); rows of (n, ·).

    With the `variance` (n, actions) of independent actions around `action`, what they are
    on average: exact, for squares of actions gain their variance.
    """
    x = np.concatenate([observation, action], axis=1).astype(np.float64)
    rows, columns = np.triu_indices(x.shape[1])
    products = x[:, rows] * x[:, columns]
    if variance is not None:
        first = observation.shape[1]
        for number in range(action.shape[1]):
            square = (rows == first + number) & (columns == first + number)
            products[:, square] += variance[:, [number]]
    return np.concatenate([np.ones((len(x), 1)), x, products], axis=1)


def linear_fqe(
    dataset: Dataset,
    features: Features,
    *,
    discount: float,
    horizon: int | None = None,
    episodes: np.ndarray | None = None,
) -> np.ndarray:
    """Weights (k,) of Q̂ = φ · w; with a horizon (horizon, k), for 1, 2, … steps to go.

    Without a horizon it is the fixed point of FQE, in one solve: least-squares temporal
    differences (Lagoudakis and Parr 2003; Duan et al. 2020, arXiv 2002.09516, for what it
    is worth off-policy). Fitted to `episodes` (bool), all by default. Rows of which nobody
    knows what followed are left out. Features that depend on one another share the weight.
    """
    following = _following(dataset, features)
    rows = _known(dataset, following, episodes)
    now, following, reward = features.logged[rows], following[rows], dataset.reward[rows]
    if horizon is None:
        system = now.T @ (now - discount * following)
        return np.linalg.lstsq(system, now.T @ reward)[0]
    solve = np.linalg.pinv(now)
    weights = [solve @ reward]
    for _ in range(1, horizon):
        weights.append(solve @ (reward + discount * following @ weights[-1]))
    return np.stack(weights)


def linear_row_values(
    dataset: Dataset,
    features: Features,
    *,
    discount: float,
    fold: np.ndarray,
    horizon: int | None = None,
) -> RowValues:
    """Q̂ and V̂ at each row, fitted to the other folds; NaN after unknown ends."""
    logged, expected = np.zeros((2, dataset.size))
    final = np.zeros(dataset.episodes)
    left = steps_left(dataset, horizon)
    for held_out, others in held_out_and_others(fold):
        weights = linear_fqe(
            dataset, features, discount=discount, horizon=horizon, episodes=others
        )
        rows, ends = held_out[dataset.episode], held_out & left.goes_on
        of_row = weights if horizon is None else weights[left.now[rows] - 1]
        of_end = weights if horizon is None else weights[left.after[ends] - 1]
        logged[rows] = (features.logged[rows] * of_row).sum(axis=1)
        expected[rows] = (features.expected[rows] * of_row).sum(axis=1)
        final[ends] = (features.final[ends] * of_end).sum(axis=1)
    return RowValues(logged, expected, final)


def linear_marginal(
    dataset: Dataset, features: Features, *, discount: float, fold: np.ndarray
) -> MarginalParts:
    """Minimax weight learning with linear w and Q, and the doubly robust form.

    w = φ · θ, where Σ w (φ - γ φ') is the sum of φ at starts: then w weighs the log's rows
    as the policy would visit them, as far as functions linear in φ can tell (Uehara, Huang,
    Jiang 2020, arXiv 1910.12809). Fitted to itself it says what `linear_fqe`
    says. Without a horizon: cut episodes go on. How thin a model is, features do not tell.
    """
    ratio, robust = np.zeros((2, dataset.episodes))
    values = linear_row_values(dataset, features, discount=discount, fold=fold)
    after = dataset.next_column(values.expected, values.final)
    residual = dataset.reward + discount * after - values.logged
    following, starts = _following(dataset, features), features.expected[dataset.first_row]
    for held_out, others in held_out_and_others(fold):
        rows = _known(dataset, following, others)
        now = features.logged[rows]
        system = (now - discount * following[rows]).T @ now / others.sum()
        theta = np.linalg.lstsq(system, starts[others].mean(axis=0))[0]
        here = _known(dataset, following, held_out)
        w = features.logged[here] @ theta
        of_row, size = dataset.episode[here], dataset.episodes
        ratio += np.bincount(of_row, w * dataset.reward[here], size)
        corrected = np.bincount(of_row, w * residual[here], size)
        first = values.expected[dataset.first_row]
        robust += np.where(held_out, first + corrected, 0.0)
    return MarginalParts(ratio, robust, thin_share=float("nan"))


def _following(dataset: Dataset, features: Features) -> np.ndarray:
    """float64 (size, k): E φ(s_{t+1}, a), 0 after termination, NaN where unknown."""
    final = np.where(dataset.terminated[dataset.last_row][:, None], 0.0, features.final)
    return dataset.next_column(features.expected, final)


def _known(
    dataset: Dataset, following: np.ndarray, episodes: np.ndarray | None
) -> np.ndarray:
    """bool (size,): rows of these episodes of which it is known what followed."""
    known = np.asarray(~np.isnan(following).any(axis=1))
    return known if episodes is None else known & episodes[dataset.episode]
