"""What several sections of a report need of a finished run, computed once."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from stitchrl.candidates import Candidate, densities, drawn_actions, table
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.evaluation.requests import Request
from stitchrl.job.reporting.labels import (
    LABELS,
    for_people,
    lower_first,
    member_label,
    mixture_label,
    upper_first,
)
from stitchrl.job.reporting.numbers import Amounts
from stitchrl.job.results import Results
from stitchrl.ope.base import Estimate
from stitchrl.ope.evidence import Kind
from stitchrl.ope.fqe_tabular import TabularFQE
from stitchrl.ope.importance import data_mean
from stitchrl.ope.refusals import Refusal
from stitchrl.ope.weights import Weights, log_ratio
from stitchrl.report.schema import Policy
from stitchrl.rewards import RewardTransform

BEHAVIOR = "behavior"
DRAWS = 10  # Continuous actions of a stochastic policy.
MOST_CELLS = 20_000_000  # Probabilities kept of each policy: rows x actions.


class Acting(NamedTuple):
    """What one policy does at the decisions of the certification split."""

    logged: np.ndarray  # float64 (size,): probability or density of what was logged.
    probabilities: np.ndarray | None  # float32 (shown, count): discrete actions only.


class Material:
    """A run's results, and what is derived from them."""

    def __init__(self, results: Results):
        self.results, self.plan = results, results.plan
        self.dataset: Dataset = results.certification
        verdicts = results.verdicts[: len(results.requests)]
        self.evidence = {verdict.evidence.name: verdict.evidence for verdict in verdicts}
        self._acting: dict[str, Acting | None] = {}

    @property
    def is_discrete(self) -> bool:
        return isinstance(self.dataset.actions, Choices)

    @cached_property
    def requests(self) -> dict[str, Request]:
        """By name; only those with evidence."""
        named = {request.name: request for request in self.results.requests}
        return {name: one for name, one in named.items() if name in self.evidence}

    @cached_property
    def candidates(self) -> dict[str, Candidate]:
        """Everything that can be followed in full, by name."""
        found = {candidate.name: candidate for candidate in self.results.candidates}
        for request in self.results.requests:
            found.setdefault(request.candidate.name, request.candidate)
        return found

    @cached_property
    def candidate_labels(self) -> dict[str, str]:
        """What people call the policies that can be followed in full."""
        learned = {one.plan.label: member_label(one.plan) for one in self.results.fitted}
        return {name: learned.get(name, LABELS.get(name, name)) for name in self.candidates}

    def inside(self, candidate: Candidate) -> str:
        """Its label in the middle of a sentence."""
        return lower_first(self.candidate_labels[candidate.name])

    @property
    def behavior_label(self) -> str:
        return upper_first(self.plan.behavior_name)

    @property
    def behavior(self) -> str:
        """Who made the log, in the middle of a sentence."""
        return lower_first(self.plan.behavior_name)

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        """The behavior, learned policies, mixtures, controls, external policies."""
        followed = [
            Policy(
                name=candidate.name,
                label=self.candidate_labels[candidate.name],
                kind=Kind(candidate.kind),
                certified=candidate.act,
            )
            for candidate in self.candidates.values()
        ]
        mixtures = [
            Policy(
                name=request.name,
                label=mixture_label(
                    self.candidate_labels[request.candidate.name],
                    request.share,
                    self.plan.behavior_name,
                ),
                kind=Kind.MIXTURE,
                certified="sample",
                share=request.share,
                of=request.candidate.name,
            )
            for request in self.results.requests
            if request.share < 1
        ]
        order = [Kind.POLICY, Kind.MIXTURE, Kind.CONTROL, Kind.EXTERNAL]
        others = sorted([*followed, *mixtures], key=lambda policy: order.index(policy.kind))
        behavior = Policy(
            name=BEHAVIOR,
            label=self.behavior_label,
            kind=Kind.BEHAVIOR,
            certified="sample",
            description="Whoever made the log: its returns are averaged.",
        )
        return (behavior, *others)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Name to label, of every policy but the behavior."""
        return {policy.name: policy.label for policy in self.policies[1:]}

    @cached_property
    def common_refusals(self) -> tuple[Refusal, ...]:
        """Of the run and of the log itself, whatever the policy."""
        results = self.results
        of_log = results.judge.certification.log_refusals if self.evidence else ()
        return (*results.refusals, *of_log)

    def say(self, text: str, *, about: str | None = None) -> str:
        """A sentence of the verdict, with labels in the place of names.

        Where it is `about` a mixture, that is called "this mixture".
        """
        labels = self.labels
        if about is not None and self.requests[about].share < 1:
            labels = labels | {about: "this mixture"}
        return for_people(text, labels)

    @cached_property
    def present(self) -> Estimate:
        """J(π_β) on the certification split, as the verdicts used it."""
        for evidence in self.evidence.values():
            return evidence.behavior
        return data_mean(self.dataset, discount=self.results.discount, level=0.95)

    @cached_property
    def amounts(self) -> Amounts:
        """How values are said in sentences."""
        discount = self.results.discount
        returns, outcome = self.dataset.returns(discount), self.plan.outcome
        return Amounts(returns, discount, outcome=outcome)

    @cached_property
    def reward(self) -> RewardTransform:
        """What learning saw of the reward."""
        splits = self.results.splits
        if splits is None or not self.plan.algorithms:
            return RewardTransform()
        return RewardTransform.named(self.plan.reward, splits.train)

    def own_estimate(self, candidate: Candidate) -> float | None:
        """What its learner believes at the estimand's discount, if that is finite."""
        own = self.results.judge.own_estimate(candidate)
        return own if own is not None and np.isfinite(own) else None

    @cached_property
    def rows(self) -> np.ndarray:
        """int64 (shown,): rows of the certification split, thinned if they are too many."""
        space, size = self.dataset.actions, self.dataset.size
        width = space.count if isinstance(space, Choices) else space.size
        shown = min(size, max(MOST_CELLS // width, 1))
        return np.unique(np.linspace(0, size - 1, shown).round().astype(np.int64))

    def acting(self, candidate: Candidate) -> Acting | None:
        """None for continuous actions taken with certainty, which have no density."""
        if candidate.name not in self._acting:
            self._acting[candidate.name] = self._act(candidate)
        return self._acting[candidate.name]

    def _act(self, candidate: Candidate) -> Acting | None:
        if self.is_discrete:
            policy = table(candidate, self.dataset)
            shown = policy.probabilities[self.rows].astype(np.float32)
            return Acting(policy.of_logged_action(self.dataset), shown)
        if candidate.act == "mode":
            return None
        return Acting(densities(candidate, self.dataset).densities, None)

    def probabilities(self, candidate: Candidate) -> np.ndarray:
        """float32 (shown, count): of discrete actions, at `rows`."""
        acting = self.acting(candidate)
        assert acting is not None and acting.probabilities is not None
        return acting.probabilities

    def amounts_taken(self, candidate: Candidate, observation: np.ndarray) -> np.ndarray:
        """float64 (n, dims): continuous actions in the log's units, their mean if drawn."""
        space = self.dataset.actions
        assert isinstance(space, Bounds)
        samples = 1 if candidate.act == "mode" else DRAWS
        drawn = drawn_actions(candidate, observation, samples=samples, seed=self.plan.seed)
        return space.from_unit(drawn.astype(np.float64)).mean(axis=1)

    @cached_property
    def fitted_log(self) -> TabularFQE:
        """The empirical model of the certification split. Only for tabular logs."""
        log = self.results.judge.certification.log
        assert log is not None
        return log.fit()

    def weights(self, request: Request) -> Weights | None:
        """Of its episodes; None where the verdict had none."""
        ratios = self.ratios(request)
        return None if ratios is None else Weights.of(self.dataset, ratios)

    def ratios(self, request: Request) -> np.ndarray | None:
        """float64 (size,): log π/β of what was logged; None where there are no weights."""
        acting = self.acting(request.candidate)
        if acting is None or self.evidence[request.name].effective_size is None:
            return None
        propensity = self.results.judge.known.behavior.propensity
        return log_ratio(acting.logged, propensity, share=request.share)

    def departure(self, candidate: Candidate) -> np.ndarray:
        """float64 (shown,): how far its actions are from the log's, in [0, 1].

        Of discrete actions (1 - π/β)+ of the logged action, whose mean is the total
        variation distance between π and β: the least share of decisions that change.
        """
        acting = self.acting(candidate)
        assert acting is not None
        policy = acting.logged[self.rows]
        propensity = self.results.judge.known.behavior.propensity[self.rows]
        is_usable = np.isfinite(propensity) & (propensity > 0)
        ratio = np.divide(policy, propensity, out=policy.copy(), where=is_usable)
        return np.clip(1 - ratio, 0.0, 1.0)
