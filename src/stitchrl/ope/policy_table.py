"""Policies as arrays: what a trained, external, tabular or mixed policy does at each row.

Estimators need nothing else of a policy, so that all of them are weighed alike.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stitchrl.dataset import Choices, Dataset

RARE = 0.01  # Actions less likely than this are cut from a softmax policy.
TOLERANCE = 1e-4  # Float32 softmaxes sum to 1 only about.


@dataclass(frozen=True, eq=False)
class PolicyTable:
    """Probabilities of discrete actions at every row and every final observation.

    Build it with `create`, which checks and normalizes.
    """

    probabilities: np.ndarray  # float64 (size, count)
    final_probabilities: np.ndarray  # float64 (episodes, count); NaN where nothing follows.

    @classmethod
    def create(cls, probabilities: Any, final_probabilities: Any) -> "PolicyTable":
        """Check that rows are distributions and make them sum to 1 in float64.

        Raises `ValueError` naming the first row that is none.
        """
        return cls(
            _distributions("probabilities", probabilities, may_be_missing=False),
            _distributions("final_probabilities", final_probabilities, may_be_missing=True),
        )

    @classmethod
    def of_states(cls, dataset: Dataset, states: np.ndarray) -> "PolicyTable":
        """The policy that does `states[s]` (state_count, count) wherever `state_id` is s.

        Raises `ValueError` if the log has no state ids, or ids beyond the table.
        """
        if dataset.state_id is None or dataset.final_state_id is None:
            raise ValueError("A policy by state needs 'state_id', which this log lacks.")
        largest = int(max(dataset.state_id.max(), dataset.final_state_id.max()))
        if largest >= len(states):
            raise ValueError(
                f"The policy tells of {len(states)} states, but 'state_id' reaches "
                f"{largest}. Give one row per state, `state_count` rows in all."
            )
        states = np.asarray(states, np.float64)
        final = np.where(
            dataset.final_state_id[:, None] >= 0, states[dataset.final_state_id], np.nan
        )
        return cls.create(states[dataset.state_id], final)

    def of_logged_action(self, dataset: Dataset) -> np.ndarray:
        """float64 (size,): probability of what was done. Raises `ValueError` on shapes."""
        count = dataset.actions.count if isinstance(dataset.actions, Choices) else 0
        if self.probabilities.shape != (dataset.size, count):
            raise ValueError(
                f"'probabilities' must be ({dataset.size}, {count}), one row per decision "
                f"and one column per action, but is {self.probabilities.shape}."
            )
        return self.probabilities[np.arange(dataset.size), dataset.action]

    def mix(self, behavior: "PolicyTable", share: float) -> "PolicyTable":
        """Act by this policy with probability `share` at each decision, else as before."""
        return PolicyTable(
            (1 - share) * behavior.probabilities + share * self.probabilities,
            (1 - share) * behavior.final_probabilities + share * self.final_probabilities,
        )

    def without_rare(self, threshold: float = RARE) -> "PolicyTable":
        """Never take actions less likely than `threshold`; the most likely one stays."""
        return replace(
            self,
            probabilities=_cut(self.probabilities, threshold),
            final_probabilities=_cut(self.final_probabilities, threshold),
        )


@dataclass(frozen=True, eq=False)
class DensityTable:
    """A stochastic policy over continuous actions: its density at each logged action."""

    densities: np.ndarray  # float64 (size,), in the units of the log's propensities.

    def of_logged_action(self, dataset: Dataset) -> np.ndarray:
        """float64 (size,): density of what was done. Raises `ValueError` on shapes."""
        if self.densities.shape != (dataset.size,):
            raise ValueError(
                f"'densities' must be ({dataset.size},), one per decision, but is "
                f"{self.densities.shape}."
            )
        return np.asarray(self.densities, np.float64)


@dataclass(frozen=True, eq=False)
class Behavior:
    """Who made the log: how likely each logged action was, and more where it is known."""

    propensity: (
        np.ndarray
    )  # float64 (size,): of the logged action; a density if continuous.
    is_fitted: bool  # Estimated from the log, so that nothing built on it is guaranteed.
    table: PolicyTable | None = None  # All actions, where known or fitted.

    @classmethod
    def logged(cls, dataset: Dataset) -> "Behavior":
        """As the log has it. Raises `ValueError` if it has no propensities."""
        if dataset.propensity is None:
            raise ValueError(
                "This log has no 'propensity' column. Map one, or fit a behavior model."
            )
        return cls(dataset.propensity, is_fitted=False)

    @classmethod
    def fitted(cls, dataset: Dataset, table: PolicyTable) -> "Behavior":
        """From a model of who logged the data; its rows should be cross-fitted."""
        return cls(table.of_logged_action(dataset), is_fitted=True, table=table)


def _distributions(name: str, values: Any, *, may_be_missing: bool) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise ValueError(
            f"'{name}' must have one row per decision and one column per action, but has "
            f"shape {values.shape}."
        )
    total = values.sum(axis=1)
    is_missing = np.isnan(values).all(axis=1) & may_be_missing
    is_wrong = ~((np.abs(total - 1) <= TOLERANCE) & (values >= 0).all(axis=1)) & ~is_missing
    if is_wrong.any():
        row = int(np.flatnonzero(is_wrong)[0])
        raise ValueError(
            f"Each row of '{name}' must be probabilities that sum to 1, but "
            f"{is_wrong.sum():,} rows are not: row {row} sums to {total[row]:.6g} with "
            f"smallest entry {values[row].min():.6g}. Give probabilities, not logits or "
            "log-probabilities."
        )
    return values / total[:, None]


def _cut(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    keep = probabilities >= np.minimum(threshold, probabilities.max(axis=1, keepdims=True))
    kept = np.where(keep | np.isnan(probabilities), probabilities, 0.0)
    return kept / kept.sum(axis=1, keepdims=True)
