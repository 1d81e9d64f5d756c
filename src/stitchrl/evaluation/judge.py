"""Gathering the evidence about policies on the certification split."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stitchrl.candidates import Candidate, densities, table
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.network_values import NetworkValues
from stitchrl.evaluation.requests import Request
from stitchrl.evaluation.split_models import SplitModels
from stitchrl.ope.certification import Certification, FittedValue
from stitchrl.ope.evidence import Evidence, Kind
from stitchrl.ope.policy_table import DensityTable, PolicyTable
from stitchrl.ope.refusals import Refusal, already_used, behavior_missed
from stitchrl.reuse import reused

OVERESTIMATE = 0.1  # Of the range of returns: how far a learner may exceed FQE.


def estimand_discount(dataset: Dataset, asked: float | None) -> float:
    """γ of the estimand: as asked; else 1 where episodes end or have a known horizon."""
    if asked is not None:
        return asked
    known = not dataset.truncated.any() or dataset.horizon is not None
    return 1.0 if known else 0.99


@dataclass(frozen=True, eq=False)
class Judge(SplitModels):
    """The certification split, and everything that is computed on it once."""

    certified: int  # Candidates judged together: what Bonferroni divides by.
    part: float = 1.0  # Of the whole log: this split.

    @cached_property
    def certification(self) -> Certification:
        """Closed-form estimators and intervals on this split."""
        return Certification(
            self.dataset,
            self.known.behavior,
            self.discount,
            candidates=self.certified,
            seed=self.seed,
            calibration_error=self.known.calibration_error,
            part=self.part,
        )

    def evidence(
        self, requests: list[Request], *, refusals: tuple[Refusal, ...] = ()
    ) -> list[Evidence]:
        """All numbers about each request, in order.

        A learner that believes far too much of its policy taints the mixtures, too.
        """
        if self.networks is not None:
            refusals = (*refusals, *self._missed(self.networks))
        found = [
            self._one(request, fitted, refusals)
            for request, fitted in zip(requests, self._fitted(requests))
        ]
        of_whole = {
            request.candidate.name: self._overestimates(request.candidate, evidence)
            for request, evidence in zip(requests, found)
            if request.share == 1
        }
        return [
            replace(one, overestimates=of_whole.get(request.candidate.name, False))
            for request, one in zip(requests, found)
        ]

    def _fitted(self, requests: list[Request]) -> list[FittedValue | None]:
        if self.networks is None:
            return [None] * len(requests)
        fitted = self.networks.evaluate(requests, in_full=self.certified)
        models = self.played(requests)
        return [one._replace(model=model) for one, model in zip(fitted, models)]

    def _missed(self, networks: NetworkValues) -> tuple[Refusal, ...]:
        if not self.has_whole_returns:
            return ()
        certification = self.certification
        missed = behavior_missed(
            networks.present, certification.present, certification.returns
        )
        return () if missed is None else (missed,)

    def _one(
        self, request: Request, fitted: FittedValue | None, refusals: tuple[Refusal, ...]
    ) -> Evidence:
        candidate, share = request
        again = already_used(reused(self.dataset, candidate.used), self.dataset.episodes)
        if again is not None:
            refusals = (*refusals, again)
        kind = Kind(candidate.kind) if share == 1 else Kind.MIXTURE
        return self.certification.evidence(
            self._policy(candidate),
            name=request.name,
            kind=kind,
            share=share,
            of=candidate.name if share < 1 else None,
            fitted=fitted,
            refusals=refusals,
        )

    def _policy(self, candidate: Candidate) -> PolicyTable | DensityTable | None:
        if isinstance(self.dataset.actions, Choices):
            return table(candidate, self.dataset)
        return None if candidate.act == "mode" else densities(candidate, self.dataset)

    def _overestimates(self, candidate: Candidate, evidence: Evidence) -> bool:
        """Whether its learner believes the impossible, or far more than FQE finds."""
        own = self.own_estimate(candidate)
        if own is None:
            return False
        bounds = evidence.bounds
        limit = bounds.high
        if evidence.fqe is not None:
            returns = self.certification.returns
            spread = float(np.ptp(np.quantile(returns, [0.05, 0.95]))) or bounds.width
            limit = min(limit, evidence.fqe.behavior + OVERESTIMATE * spread)
        return own > limit

    def own_estimate(self, candidate: Candidate) -> float | None:
        """What its learner promises, in raw rewards and at the estimand's discount.

        By how much it promises more than the log's own mean return, counted as the learner
        counts, added to that mean as the estimand counts. Exact for scaled rewards at the
        same discount; otherwise only as far as the policy's episodes are as long as the
        log's.
        """
        own, reward = candidate.own_estimate, candidate.reward
        if own is None:
            return None
        discount = self.discount if candidate.discount is None else candidate.discount
        here = self.dataset.returns(self.discount).mean()
        there = reward.returns(self.dataset, discount).mean()
        return own / reward.scale + float(here - there / reward.scale)
