"""Tabular FQE in which actions that were seldom tried borrow from their state: for ranking.

What follows (s, a) is taken to be what followed its own N rows and, as if in ROWS more,
what usually follows s: the posterior mean under a Dirichlet prior of weight ROWS around the
state's own frequencies. Where an action was never tried, one step goes as usual and the
policy goes on from there. Plain FQE believes single rows, and gives up at the first untried
action, which costs ranks. This one shrinks policies toward the behavior, which ranks do not
mind and intervals would: it is no estimate to certify by.

ROWS was chosen on logs of ICU-Sepsis other than those that `make bench-estimators` ranks;
from 1 to 12 the ranks there hardly differ.
"""

import numpy as np
import scipy

from stitchrl.ope.chain import Chain
from stitchrl.ope.fqe_tabular import TabularFQE, along

ROWS = 4.0


def pooled_value(fitted: TabularFQE, policy: np.ndarray, share: float = 1.0) -> float:
    """Of (1 - a) β̂ + a π from the start, a = `share`; `policy` is (S, count).

    States that the log reached but never acted in are worth its mean return, and those
    from which even with borrowed rows the policy never ends what the behavior is.
    """
    model, log = fitted.model, fitted.log
    mixed = model.mix(policy, share) if share < 1 else policy
    own = model.pair_count / (model.pair_count + ROWS)
    following, reward, kept = along(model, model.pair_policy(mixed) * own)
    usually = fitted.behavior
    borrowed = 1 - kept
    chain = Chain(
        (following + scipy.sparse.diags_array(borrowed) @ usually.chain.following).tocsr(),
        log.discount,
        log.horizon,
        fitted.tolerance,
    )
    completion = fitted.behavior_values
    known = reward + borrowed * usually.reward
    filled = np.where(model.state_count > 0, known, completion)
    return float(model.start @ chain.sums(np.where(chain.endless, completion, filled)))
