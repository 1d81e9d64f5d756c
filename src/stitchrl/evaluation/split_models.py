"""What is fitted on one split of a log, once, whatever policies are then judged on it."""

from dataclasses import dataclass
from functools import cached_property

from stitchrl.dataset import Dataset
from stitchrl.evaluation.behavior import KnownBehavior, behavior_of, imitations_of
from stitchrl.evaluation.model_values import ModelValues
from stitchrl.evaluation.network_values import NetworkValues
from stitchrl.evaluation.requests import Request
from stitchrl.ope.dynamics import ModelValue
from stitchrl.ope.importance import data_mean
from stitchrl.policies import Normalized

LEVEL = 0.95  # Of the log's own mean, which models are held against.


@dataclass(frozen=True, eq=False)
class SplitModels:
    """One split of a log. Each model of it is fitted when it is first needed."""

    dataset: Dataset
    discount: float  # Of the estimand.
    updates: int  # Of every network fitted for evaluation.
    seed: int

    @cached_property
    def known(self) -> KnownBehavior:
        """Who made this split."""
        return behavior_of(self.dataset, lambda: self.imitations, seed=self.seed)

    @cached_property
    def imitations(self) -> list[Normalized]:
        """Networks that imitate this split."""
        return imitations_of(self.dataset, updates=self.updates, seed=self.seed)

    @cached_property
    def networks(self) -> NetworkValues | None:
        """FQE by networks; None where states are discrete: tables do it."""
        if self.dataset.is_tabular:
            return None
        return NetworkValues(
            self.dataset,
            self.imitations,
            discount=self.discount,
            updates=self.updates,
            seed=self.seed,
        )

    @cached_property
    def models(self) -> ModelValues | None:
        """Models of the process; None where states are discrete."""
        if self.dataset.is_tabular:
            return None
        return ModelValues(
            self.dataset,
            self.imitations,
            discount=self.discount,
            updates=self.updates,
            seed=self.seed,
        )

    def played(self, requests: list[Request]) -> list[ModelValue | None]:
        """By models of the process; None where there is none, or it cannot be played in.

        Heard only where it can be checked what they say of the present behavior.
        """
        if self.models is None:
            return [None] * len(requests)
        values = self.models.evaluate(requests)
        if not self.has_whole_returns:
            return values
        present = data_mean(self.dataset, discount=self.discount, level=LEVEL)
        returns = self.dataset.returns(self.discount)
        return [value and value.heard(present, returns) for value in values]

    @property
    def has_whole_returns(self) -> bool:
        """Whether the log's mean return is what fitted values are of."""
        return not self.dataset.truncated.any() or self.dataset.horizon is not None
