"""Who made a split of the log: logged propensities, else a fitted and checked model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stitchrl.behavior import network, tabular
from stitchrl.behavior.calibration import (
    Information,
    Reliability,
    Uniformity,
    information,
    reliability,
    uniformity,
)
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.policies import Normalized
from stitchrl.splits import folds


@dataclass(frozen=True, eq=False)
class KnownBehavior:
    """The behavior on one split, and how well it is known."""

    behavior: Behavior
    reliability: Reliability | None = None  # Of a fitted model of discrete actions.
    information: Information | None = None
    uniformity: Uniformity | None = None  # Of a fitted model of continuous actions.

    @property
    def calibration_error(self) -> float | None:
        """ECE of a fitted model; None where propensities are logged, and of densities."""
        return None if self.reliability is None else self.reliability.error


def imitations_of(dataset: Dataset, *, updates: int, seed: int) -> list[Normalized]:
    """Networks that imitate the log, one for each of two folds, blind to its episodes.

    They take half of the `updates` that a network which learns values takes.
    """
    fold = folds(dataset, seed)
    return network.imitate(dataset, fold=fold, updates=updates // 2, seed=seed)


def behavior_of(
    dataset: Dataset, imitations: Callable[[], list[Normalized]], *, seed: int
) -> KnownBehavior:
    """Logged propensities where there are any; else a model, cross-fitted in two folds.

    By frequencies where states are discrete, by `imitations_of` the dataset otherwise.
    """
    if dataset.propensity is not None:
        return KnownBehavior(Behavior.logged(dataset))
    fold = folds(dataset, seed)
    if isinstance(dataset.actions, Bounds):
        models = imitations()
        density = network.behavior_densities(dataset, fold, models).densities
        return KnownBehavior(
            Behavior(np.maximum(density, 1e-12), is_fitted=True),
            uniformity=uniformity(network.transforms(dataset, fold, models)),
        )
    assert isinstance(dataset.actions, Choices)
    if dataset.state_id is not None:
        table = tabular.behavior_table(dataset, fold)
    else:
        table = network.behavior_table(dataset, fold, imitations())
    return _checked(dataset, table)


def _checked(dataset: Dataset, table: PolicyTable) -> KnownBehavior:
    return KnownBehavior(
        Behavior.fitted(dataset, table),
        reliability(table.probabilities, dataset.action),
        information(table.probabilities, dataset.action),
    )
