"""Twenty-five policies for ICU-Sepsis, from bad to best, whose exact values are known.

What estimators rank should be of many kinds: near the log and far from it, stochastic and
greedy, planned on little data, short-sighted, and one made to be bad.
"""

from functools import cache

import numpy as np
from scipy.sparse import csr_array

from stitchrl.problems.icu_sepsis import DEATH, SURVIVAL, load
from stitchrl.problems.tabular import TabularMDP

MIXTURES = (0.1, 0.3, 0.5, 1.0)  # Of the optimum in the behavior.
TEMPERATURES = (0.002, 0.005, 0.01, 0.03)  # Of softmax policies of Q*.
NOISE = (0.005, 0.01, 0.02, 0.05)  # Standard deviations on Q*, of greedy policies.
PATIENTS = 500  # In each log that is planned on.
PLANS = range(8)  # Seeds of those logs; the later half is mixed with the behavior.


@cache
def behavior() -> np.ndarray:
    """(716, 25): π_β = .8 clinicians + .2 chance."""
    problem = load()
    return 0.8 * problem.clinicians + 0.2 / problem.mdp.actions


@cache
def policies() -> dict[str, np.ndarray]:
    """Name and probabilities (716, 25) of each."""
    problem, now = load(), behavior()
    best, q = problem.mdp.optimal(1.0)
    count = problem.mdp.actions
    found = {
        f"optimum, {share:.0%}": (1 - share) * now + share * best for share in MIXTURES
    }
    for temperature in TEMPERATURES:
        weight = np.exp((q - q.max(axis=1, keepdims=True)) / temperature)
        softmax = weight / weight.sum(axis=1, keepdims=True)
        found[f"softmax at {temperature}"] = softmax
    for number, deviation in enumerate(NOISE):
        noise = np.random.default_rng(number).normal(0, deviation, q.shape)
        found[f"greedy, noise {deviation}"] = np.eye(count)[(q + noise).argmax(axis=1)]
    for seed in PLANS:
        plan = planned(seed)
        is_mixed = seed >= len(PLANS) // 2
        name = f"planned on log {seed}" + (", half" if is_mixed else "")
        found[name] = 0.5 * now + 0.5 * plan if is_mixed else plan
    shortsighted, _ = problem.mdp.optimal(0.5)
    return found | {
        "behavior": now,
        "chance": np.full_like(now, 1 / count),
        "most usual": np.eye(count)[problem.clinicians.argmax(axis=1)],
        "worst, half": 0.5 * now + 0.5 * worst(),
        "shortsighted": shortsighted,
    }


@cache
def values() -> np.ndarray:
    """float64 (25,): probability of survival under each, exactly."""
    mdp = load().mdp
    return np.array([mdp.value(policy, 1.0) for policy in policies().values()])


def planned(seed: int) -> np.ndarray:
    """(716, 25): greedy in the model of a small log, where unseen actions kill."""
    log = load().simulate(PATIENTS, seed, behavior())
    states, actions = behavior().shape
    assert log.state_id is not None
    ended = np.where(log.reward > 0, SURVIVAL, DEATH)
    following = np.where(log.terminated, ended, log.next_state_id)
    pair = log.state_id * actions + log.action
    pairs = states * actions
    unseen = np.setdiff1d(np.arange(pairs), pair)
    row = np.concatenate([pair, unseen])
    column = np.concatenate([following, np.full(len(unseen), DEATH)])
    share = 1 / np.bincount(row)[row]  # Of its pair's rows; equal entries add up.
    return _optimum_of(csr_array((share, (row, column)), (pairs, states)), SURVIVAL, 0.99)


@cache
def worst() -> np.ndarray:
    """(716, 25): who acts so dies as often as can be."""
    return _optimum_of(load().mdp.transition, DEATH, 1.0)


def _optimum_of(transition: csr_array, goal: int, discount: float) -> np.ndarray:
    mdp = load().mdp
    process = TabularMDP.create(
        transition=transition,
        reward=(np.arange(mdp.states) == goal)[None, None],
        start=mdp.start,
        terminal=mdp.terminal,
    )
    return process.optimal(discount)[0]
