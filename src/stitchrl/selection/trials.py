"""Spending a budget of trials, one episode at a time, on the policies that promise most."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from stitchrl.selection.online import Beliefs, Trials


class Trial(NamedTuple):
    """One episode that was really played."""

    policy: int
    returned: float
    steps: int


class Choice(NamedTuple):
    """What is believed after all trials; (policies,) each."""

    best: int  # Among those that were tried.
    tried: np.ndarray  # How often.
    mean: np.ndarray  # In the units of returns.
    deviation: np.ndarray


EVEN = 0.5  # Of a budget is shared out evenly.

Play = Callable[[int, int], tuple[float, int]]  # Policy and seed to return and steps.


def spend(
    beliefs: Beliefs,
    play: Play,
    *,
    budget: int,
    range_of_returns: tuple[float, float],
    before: tuple[Trial, ...] = (),
) -> Iterator[Trial]:
    """Trials up to the `budget`, those from `before` included, each as it ends.

    Half of the budget is shared out evenly, the most promising first, as far as it goes
    round: where offline estimates mislead and returns are bimodal, one bad episode must not
    end a policy. The rest goes by upper confidence bounds. Trial i is played with seed i,
    so that going on with the same budget repeats what would have been. Returns beyond the
    `range_of_returns` widen it.
    """
    tried, policies = [*before], len(beliefs.mean)
    order = np.argsort(-beliefs.mean, kind="stable")
    share = int(EVEN * budget) // policies
    while len(tried) < budget:
        trials = scaled(tried, policies, range_of_returns)[0]
        policy = int(order[trials.count[order].argmin()])
        if trials.count[policy] >= share:
            policy = beliefs.next(trials)
        trial = Trial(policy, *play(policy, len(tried)))
        tried.append(trial)
        yield trial


def chosen(
    beliefs: Beliefs, tried: list[Trial], range_of_returns: tuple[float, float]
) -> Choice:
    """The best so far. Raises `ValueError` before the first trial."""
    trials, low, width = scaled(tried, len(beliefs.mean), range_of_returns)
    mean, deviation = beliefs.after(trials)
    return Choice(beliefs.best(trials), trials.count, low + width * mean, width * deviation)


def scaled(
    tried: list[Trial], policies: int, range_of_returns: tuple[float, float]
) -> tuple[Trials, float, float]:
    """Trials with returns in [0, 1], the return that is 0, and the width of the range."""
    returned = [trial.returned for trial in tried]
    low = min([range_of_returns[0], *returned])
    width = max([range_of_returns[1], *returned]) - low or 1.0
    trials = Trials.none(policies)
    for trial in tried:
        trials = trials.after(trial.policy, (trial.returned - low) / width)
    return trials, low, width
