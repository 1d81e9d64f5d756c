"""What ails each trained member, by its curves and by what its log can add up to."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.diagnosis import FEWEST, Attainable, Curves, Diagnosis, diagnose
from stitchrl.fit import Fitted
from stitchrl.ope.base import Source
from stitchrl.ope.bounds import return_to_go_bounds, returns_to_go
from stitchrl.plan import MemberPlan, run_lengths
from stitchrl.rewards import RewardTransform

WIDER = 2  # How many times as wide every layer of a wider sibling is, at least.


def diagnoses_of(
    fitted: Sequence[Fitted], train: Dataset, reward: RewardTransform
) -> dict[int, Diagnosis]:
    """By member number. `train` is the log that was learned from, `reward` what was seen.

    A member has none if it learned no Q or was stopped, or if its curves are too short or
    not finite.
    """
    curves = {one.plan.number: curves_of(one) for one in fitted if one.stopped is None}
    attainable: dict[float, Attainable] = {}
    found = {}
    for one in fitted:
        mine = curves.get(one.plan.number)
        if mine is None:
            continue
        algorithm = one.plan.algorithm
        if algorithm.discount not in attainable:
            seen = attainable_of(train, reward, algorithm.discount)
            attainable[algorithm.discount] = seen
        seen = attainable[algorithm.discount]
        if getattr(algorithm, "has_entropy_in_values", False):
            seen = seen._replace(highest=np.inf)
        sibling = wider_than(one.plan, [other.plan for other in fitted])
        wider = None if sibling is None else curves.get(sibling.number)
        found[one.plan.number] = diagnose(mine, seen, wider=wider)
    return found


def curves_of(fitted: Fitted) -> Curves | None:
    """Of one member, from its metrics; None if these do not tell enough.

    Q of logged actions is of held-out ones: on noisy chains the policy was better at its
    peak than at that of the rows learned from.
    """
    records = [record for record in fitted.records if "q/logged" in record]
    if len(records) < FEWEST:
        return None

    def series(name: str) -> np.ndarray | None:
        values = np.array([record.get(name) for record in records], np.float64)
        return values if np.isfinite(values).all() else None

    logged = series("q/logged")
    if logged is None:
        return None
    algorithm = fitted.plan.algorithm
    errors = [series(f"{part}/critics/loss") for part in ("train", "held_out")]
    if getattr(algorithm, "has_squared_errors", False):
        critics = jax.tree.leaves(algorithm.action_value(fitted.state))[0].shape[0]
        errors = [None if error is None else error / critics for error in errors]
    else:
        errors = [None, None]
    # A fall of the rank may be harmless: the error tells.
    rank = None if errors[0] is None else series("q/rank")
    return Curves(
        steps=np.array([record["step"] for record in records], np.int64),
        logged=logged,
        policy=series("q/policy"),
        error=errors[0],
        held_out_error=errors[1],
        gap=series("train/critics/gap"),
        rank=rank,
    )


def attainable_of(train: Dataset, reward: RewardTransform, discount: float) -> Attainable:
    """What returns can be as a learner counts: its rewards, its discount.

    Declared bounds are of episodes as they end; a learner whose log was cut counts on,
    beyond them. There, and where nothing is declared, rewards alone are the limit. A
    declared horizon is none: learners do not see it.
    """
    bounds = train.reward_bounds
    if bounds is not None:
        bounds = (
            reward.scale * bounds[0] + reward.shift,
            reward.scale * bounds[1] + reward.shift,
        )
    seen = dataclasses.replace(
        train,
        reward=reward(train.reward),
        reward_bounds=bounds,
        # Of shifted rewards, the return depends on the length.
        return_bounds=_scaled(train.return_bounds, reward),
        horizon=None,
    )
    highest = largest_sum(seen.reward, seen.terminated, discount)
    if not train.truncated.any():
        declared = return_to_go_bounds(seen, discount)
        if declared.source is Source.DECLARED:
            highest = min(highest, float(declared.high.max()))
    logged = returns_to_go(seen, discount)
    # Costs that a cut episode still had before it were not seen.
    is_known = seen.reward.min() >= 0 or not train.truncated.any()
    return Attainable(
        highest=highest,
        usual=float(np.quantile(logged, 0.95)),
        mean=float(logged.mean()) if is_known else -np.inf,
        variance=float(logged.var()),
    )


def largest_sum(reward: np.ndarray, terminated: np.ndarray, discount: float) -> float:
    """The largest Q with Q = r + γ Q in some row that goes on, or Q = r in one that ends.

    No target made of these rows is above it, however they are stitched and wherever they
    were cut, if no next value was.
    """
    ends = float(reward[terminated].max(initial=-np.inf))
    goes_on = float(reward[~terminated].max(initial=-np.inf))
    if goes_on == -np.inf:
        return ends
    if discount == 1:
        return max(ends, np.inf if goes_on > 0 else 0.0)
    return max(ends, goes_on / (1 - discount))


def wider_than(member: MemberPlan, others: Sequence[MemberPlan]) -> MemberPlan | None:
    """The narrowest member with every hidden layer at least twice as wide, else equal."""
    sizes = np.array(getattr(member.algorithm, "hidden", ()))
    found = []
    for other in others:
        theirs = np.array(getattr(other.algorithm, "hidden", ()))
        is_sibling = (
            type(other.algorithm) is type(member.algorithm) and other.seed == member.seed
        )
        if not is_sibling or theirs.shape != sizes.shape or not sizes.size:
            continue
        as_wide = dataclasses.replace(member.algorithm, hidden=other.algorithm.hidden)
        if (theirs >= WIDER * sizes).all() and as_wide == other.algorithm:
            found.append(other)
    return min(found, key=lambda other: sum(other.algorithm.hidden), default=None)


def options_until(member: MemberPlan, updates: int) -> str:
    """With what options of the command line a member's training ends after so many.

    Update i has its key by its number, so that they are the same updates; schedules that
    go by the length of a run keep the one they had.
    """
    said = [f"--updates {updates}"]
    for key in run_lengths(type(member.algorithm), updates):
        if key not in member.options:
            value = _plain(getattr(member.algorithm, key))
            said.append(f"--option {member.name}.{key}={value}")
    return " ".join(said)


def _plain(number: float) -> str:
    """All digits, and no point after a whole number."""
    return repr(float(number)).removesuffix(".0")


def _scaled(bounds: Any, reward: RewardTransform) -> tuple[float, float] | None:
    if bounds is None or reward.shift != 0:
        return None
    return reward.scale * bounds[0], reward.scale * bounds[1]
