"""The first half of the job: split, train everything, and rank what came out."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stitchrl.algorithms import is_control
from stitchrl.candidates import Candidate, as_exported
from stitchrl.cluster import fit_on_cluster
from stitchrl.dataset import Dataset
from stitchrl.diagnosis import Diagnosis
from stitchrl.evaluation.ranking import Ranking
from stitchrl.evaluation.requests import Request
from stitchrl.experience import Experience
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.fit import Fitted, fit
from stitchrl.job.clock import Tell
from stitchrl.job.diagnoses import diagnoses_of
from stitchrl.normalizer import Normalizer
from stitchrl.plan import Plan, members
from stitchrl.probing import make_probe
from stitchrl.rewards import RewardTransform
from stitchrl.splits import Splits, split
from stitchrl.value_iteration import ValueIteration

FEWEST_GROUPS = 5  # So that each of the three parts has one.


class Trained(NamedTuple):
    """What training left."""

    splits: Splits
    fitted: list[Fitted]
    candidates: list[Candidate]  # Best of the seeds of each, best first; controls too.
    ranking: dict[str, float]  # Their values on the selection split; {}: not ranked.
    ranked_on: Ranking  # Where these come from.
    set_aside: int  # Policies that weights ranked too low for FQE (`plan.keep`).

    @property
    def aside(self) -> list[str]:
        """What is to be said of these: a line, or none."""
        return said_aside(self.set_aside)

    diagnoses: dict[int, Diagnosis]  # By member number; of those that have curves of Q.


def parts_of(plan: Plan, dataset: Dataset) -> Splits:
    """Train, selection and certification.

    Raises `DataError` if there are too few groups to have all three.
    """
    if dataset.groups < FEWEST_GROUPS:
        finding = Finding(
            "TOO_FEW",
            Severity.ERROR,
            f"Learning, choosing and certifying need separate groups, {FEWEST_GROUPS} at "
            f"the very least, but this log has {dataset.groups}.",
            "Log more episodes (patients, users, robots), or evaluate a fixed policy "
            "without training: --algorithms none --policy uniform.",
        )
        raise DataError([finding])
    return split(dataset, plan.seed)


def train_all(
    plan: Plan,
    splits: Splits,
    *,
    discount: float,
    directory: Path,
    tell: Tell,
    cluster: str | None = None,
    ranked: bool = True,
) -> Trained:
    """Train every member of the plan and rank their policies on the selection split.

    With `cluster`, members are trained on the Ray cluster at this address. Not `ranked`,
    every policy is a candidate, in the order of the plan.
    """
    normalizer = normalizer_of(plan, splits.train)
    reward = RewardTransform.named(plan.reward, splits.train)
    sampled = plan.sampling.of(splits.train)
    experience = Experience.of(
        splits.train, normalizer, reward, weight=sampled.weight, n_steps=plan.n_steps
    )
    plans = members(plan, splits.train.spec)
    fitted: list[Fitted] = []
    if plans:
        probe = make_probe(
            splits.selection, normalizer, reward, seed=plan.seed, n_steps=plan.n_steps
        )
        train = partial(fit_on_cluster, address=cluster) if cluster else fit
        fitted = train(
            plans,
            experience,
            probe,
            updates=plan.updates,
            chunk=plan.chunk,
            directory=directory,
            report=tell,
            say=tell,
        )
    every = [candidate_of(one, normalizer, reward) for one in fitted if one.stopped is None]
    if plan.tabular and splits.train.is_tabular:
        every.append(tabular_candidate(splits))
    ranking = Ranking(
        splits.selection, discount=discount, updates=plan.fqe_updates, seed=plan.seed
    )
    trained = Trained(
        splits=splits,
        fitted=fitted,
        candidates=every,
        ranking={},
        ranked_on=ranking,
        set_aside=0,
        diagnoses=diagnoses_of(fitted, splits.train, reward),
    )
    if not ranked:
        return trained
    tell("rank")
    kept = _kept(every, ranking, plan.keep)
    ordered = _ordered(kept, ranking)
    return trained._replace(
        candidates=[candidate for _, candidate in ordered],
        ranking={candidate.name: value for value, candidate in ordered},
        set_aside=len(every) - len(kept),
    )


def _ordered(kept: list[Candidate], ranking: Ranking) -> list[tuple[float, Candidate]]:
    """Values and candidates, the best first, of each name one: the best of its seeds."""
    values = ranking.values([Request(candidate) for candidate in kept])
    best: dict[str, tuple[float, Candidate]] = {}
    for value, candidate in zip(values, kept):
        known = best.get(candidate.name)
        if known is None or value > known[0]:
            best[candidate.name] = (value, candidate)
    return sorted(best.values(), key=lambda pair: -pair[0])


def said_aside(count: int) -> list[str]:
    """A line about policies that were set aside, if any were."""
    if not count:
        return []
    return [f"Set aside, because weights ranked them too low for FQE: {count} more."]


def _kept(every: list[Candidate], ranking: Ranking, keep: int | None) -> list[Candidate]:
    """Controls, and the candidates that come to the second stage."""
    rivals = [candidate for candidate in every if candidate.kind == "policy"]
    if keep is None or keep >= len(rivals):
        return every
    first = ranking.first_by_weights([Request(candidate) for candidate in rivals], keep)
    staying = [rivals[position] for position in first]
    return [one for one in every if one.kind != "policy" or one in staying]


def normalizer_of(plan: Plan, train: Dataset) -> Normalizer:
    """Fitted on what is learned from, unless the plan leaves observations as they are."""
    if plan.normalize is False:
        return Normalizer.identity(train.observation.shape[1])
    return Normalizer.fit(train)


def candidate_of(
    fitted: Fitted, normalizer: Normalizer, reward: RewardTransform
) -> Candidate:
    """A member's policy as it would be exported."""
    algorithm = fitted.plan.algorithm
    policy, act = as_exported(algorithm.policy(fitted.state), normalizer)
    last = fitted.records[-1] if fitted.records else {}
    return Candidate(
        name=fitted.plan.label,
        kind="control" if is_control(algorithm) else "policy",
        act=act,
        policy=policy,
        members=(fitted.plan.number,),
        own_estimate=last.get("own_estimate"),
        discount=getattr(algorithm, "discount", None),
        reward=reward,
    )


def tabular_candidate(splits: Splits) -> Candidate:
    """Value iteration on the training split."""
    planner = ValueIteration()
    policy = planner.fit(splits.train)
    selection = splits.selection
    assert selection.state_id is not None
    starts = selection.state_id[selection.first_row]
    return Candidate(
        name="value_iteration",
        kind="policy",
        act="sample",
        policy=policy,
        own_estimate=float(np.mean(policy.values[starts])),
        discount=planner.discount,
    )
