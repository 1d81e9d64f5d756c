"""Fitted values of a policy at each row of a log, from the closed form of FQE."""

from collections.abc import Sequence

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.cross_fitting import HeldOut
from stitchrl.ope.doubly_robust import RowValues
from stitchrl.ope.empirical_model import EmpiricalModel
from stitchrl.ope.fqe_tabular import TabularPolicy


def tabular_row_values(dataset: Dataset, parts: Sequence[HeldOut]) -> RowValues:
    """Q̂ and V̂ of a policy at each row, fitted to the other folds.

    Actions that a fit has not seen are worth what the behavior is worth there. V̂ is the
    mean of Q̂ under the policy, so that DR is unbiased whatever the fit. NaN after a
    truncated episode of which nobody knows where it stopped.
    """
    logged, expected = np.full((2, dataset.size), np.nan)
    values = RowValues(logged, expected, np.zeros(dataset.episodes))
    for part in parts:
        _fill(values, dataset, part.policy, part.held_out)
    return values


def _fill(
    values: RowValues, dataset: Dataset, here: TabularPolicy, episodes: np.ndarray
) -> None:
    """Write the values of these `episodes` (bool) into `values`."""
    fitted, policy = here.fitted, here.policy
    transitions, horizon = fitted.log.transitions, fitted.log.horizon
    state, final_state = transitions.row_state, transitions.final_state
    rows = episodes[dataset.episode]
    goes_on = episodes & ~dataset.terminated[dataset.last_row]
    left, left_at_end = np.zeros(dataset.size, int), np.zeros(dataset.episodes, int)
    if horizon is not None:
        left = horizon - dataset.step_in_episode
        left_at_end = horizon - dataset.lengths
        goes_on &= left_at_end > 0
    is_known = final_state < len(transitions.states)
    values.final[goes_on & ~is_known] = np.nan
    goes_on &= is_known
    v, completion = here.state_values, fitted.behavior_values
    for steps in np.union1d(left[rows], left_at_end[goes_on]):
        if horizon is None:
            q = _action_values(fitted.model, v, completion, fitted.log.discount)
        else:
            later = v[steps - 2] if steps > 1 else np.zeros(v.shape[1])
            fill = completion[steps - 1]
            q = _action_values(fitted.model, later, fill, fitted.log.discount)
        expected = (policy * q).sum(axis=1)
        now = rows & (left == steps)
        values.logged[now] = q[state[now], dataset.action[now]]
        values.expected[now] = expected[state[now]]
        after = goes_on & (left_at_end == steps)
        values.final[after] = expected[final_state[after]]


def _action_values(
    model: EmpiricalModel, later: np.ndarray, completion: np.ndarray, discount: float
) -> np.ndarray:
    """float64 (S, count): r̂ + γ E[`later`], or `completion` for what was never seen."""
    of = model.transitions
    following = model.triple_probability * np.append(later, 0.0)[of.triple_next]
    backup = np.bincount(of.triple_pair, following, len(of.pair_state))
    q = np.repeat(completion[:, None], of.actions, axis=1)
    seen = model.pair_count > 0
    pair_value = model.pair_reward + discount * backup
    q[of.pair_state[seen], of.pair_action[seen]] = pair_value[seen]
    return q
