"""Fitted values of a policy at each row of a log, from the closed form of FQE."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.cross_fitting import HeldOut
from stitchrl.ope.doubly_robust import RowValues


def tabular_row_values(dataset: Dataset, parts: Sequence[HeldOut]) -> RowValues:
    """Q̂ and V̂ of a policy at each row, fitted to the other folds.

    Actions that a fit has not seen are worth what the behavior is worth there. V̂ is the
    mean of Q̂ under the policy, so that DR is unbiased whatever the fit. NaN after a
    truncated episode of which nobody knows where it stopped.
    """
    logged, expected = np.full((2, dataset.size), np.nan)
    values = RowValues(logged, expected, np.zeros(dataset.episodes))
    steps = steps_left(dataset, parts[0].policy.chain.horizon)
    for part in parts:
        _fill(values, dataset, part, steps)
    return values


class StepsLeft(NamedTuple):
    """What remains of the horizon; all 0 where none binds."""

    now: np.ndarray  # int64 (size,): decisions from each row on.
    after: np.ndarray  # int64 (episodes,): after the last row.
    goes_on: np.ndarray  # bool (episodes,): neither terminated nor at the horizon.


def steps_left(dataset: Dataset, horizon: int | None) -> StepsLeft:
    """Of each row and after each episode."""
    goes_on = ~dataset.terminated[dataset.last_row]
    if horizon is None:
        none, after = np.zeros(dataset.size, int), np.zeros(dataset.episodes, int)
        return StepsLeft(none, after, goes_on)
    after = horizon - dataset.lengths
    return StepsLeft(horizon - dataset.step_in_episode, after, goes_on & (after > 0))


def _fill(values: RowValues, dataset: Dataset, part: HeldOut, left: StepsLeft) -> None:
    """Write the values of the episodes that are held out into `values`."""
    here, transitions = part.policy, part.policy.fitted.log.transitions
    state, final_state = transitions.row_state, transitions.final_state
    rows = part.fit.held_out[dataset.episode]
    goes_on = part.fit.held_out & left.goes_on
    is_known = final_state < len(transitions.states)
    values.final[goes_on & ~is_known] = np.nan
    goes_on &= is_known
    for steps in np.union1d(left.now[rows], left.after[goes_on]):
        q = here.action_values(int(steps))
        expected = (here.policy * q).sum(axis=1)
        now = rows & (left.now == steps)
        values.logged[now] = q[state[now], dataset.action[now]]
        values.expected[now] = expected[state[now]]
        after = goes_on & (left.after == steps)
        values.final[after] = expected[final_state[after]]
