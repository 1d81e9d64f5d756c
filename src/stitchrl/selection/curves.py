"""How good the best policy so far is after each trial, where returns are known."""

import numpy as np

from stitchrl.selection.online import Beliefs, Trials


def best_so_far(
    returns: np.ndarray,
    estimates: np.ndarray | None,
    *,
    subset: int,
    repeats: int,
    pulls: int,
    seed: int = 0,
) -> np.ndarray:
    """float64 (repeats, pulls): true value of the best so far, of the range of all.

    `returns` (policies, n) ≥ 0 are trials to draw from, `estimates` (policies,) what was
    believed before, None: nothing. In each repeat a `subset` of policies is drawn and
    chosen among. A policy that nobody has tried is never the best. After Konyushkova et al.
    2021, arXiv 2106.10251.
    """
    scaled = returns / returns.max()
    value = returns.mean(axis=1)
    value = (value - value.min()) / np.ptp(value)
    rng = np.random.default_rng(seed)
    found = np.zeros((repeats, pulls))
    for number in range(repeats):
        drawn = rng.choice(len(value), subset, replace=False)
        told = None if estimates is None else estimates[drawn]
        beliefs, trials = Beliefs.of(subset, estimates=told), Trials.none(subset)
        for pull in range(pulls):
            policy = beliefs.next(trials)
            returned = scaled[drawn[policy], rng.integers(returns.shape[1])]
            trials = trials.after(policy, float(returned))
            found[number, pull] = value[drawn[beliefs.best(trials)]]
    return found
