"""Marginal ratios: how much more often a policy visits each (s, a) than the log does.

They do not multiply along an episode, so that their variance does not grow with its length;
in exchange the process must be Markov in the states of the log. Exact in the model of the
log: visits by linear solve, over counts.
"""

from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.fqe_tabular import TabularFQE, TabularLog


class MarginalParts(NamedTuple):
    """Parts of each episode, whose means are the estimates; float64 (episodes,)."""

    ratio: np.ndarray  # Σ_t w r: marginalized importance sampling.
    robust: np.ndarray  # V̂(s_0) + Σ_t w (r + γ V̂(s') - Q̂): double reinforcement learning.


def marginal(
    dataset: Dataset, log: TabularLog, policy: np.ndarray, *, fold: np.ndarray
) -> MarginalParts:
    """What `policy` (S, count) is worth by ratios w, V̂ and Q̂ fitted to the other folds.

    w(s, a) is the expected Σ γ^t 1(s, a) under the policy over the log's mean count of
    (s, a) in an episode. Where a horizon binds, each step to go has its own w, V̂ and Q̂,
    and each row tells about all of them, as the process is the same at all times.

    The robust form is right if w or Q̂ is; its parts are its influence function, from which
    an interval follows (Kallus and Uehara 2022, arXiv 1909.05850, Eq. 5; Xie, Ma, Wang
    2019, arXiv 1906.03393 for the ratios). A single fold is fitted to itself: then both
    are FQE, if every action of the policy was seen.
    """
    parts = MarginalParts(*np.zeros((2, dataset.episodes)))
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        fitted = log.fit(held_out if held_out.all() else ~held_out)
        episodes = (held_out if held_out.all() else ~held_out).sum()
        _add(parts, fitted, policy, held_out, int(episodes))
    return parts


def _add(
    parts: MarginalParts,
    fitted: TabularFQE,
    policy: np.ndarray,
    held_out: np.ndarray,
    episodes: int,
) -> None:
    """Parts of the `held_out` episodes (bool) from a model of so many other `episodes`."""
    model, log = fitted.model, fitted.log
    of, discount = log.transitions, log.discount
    rows = held_out[of.row_episode]
    triple, of_episode = of.row_triple[rows], of.row_episode[rows]
    visits = np.atleast_2d(fitted.visits(policy))  # (steps, S), or a single row.
    v = np.atleast_2d(fitted.state_values(policy))
    per_episode = np.where(model.pair_count > 0, model.pair_count, np.inf) / episodes
    taken = model.pair_policy(policy) / per_episode
    pair = of.triple_pair
    weight, correction = np.zeros((2, len(pair)))
    for step, visited in enumerate(visits):
        left = 0 if log.horizon is None else log.horizon - step - 1  # Index into V̂.
        if log.horizon is None:
            later = v[0]
        else:
            later = v[left - 1] if left > 0 else np.zeros(v.shape[1])
        following = np.append(later, 0.0)[of.triple_next]
        backup = np.bincount(pair, model.triple_probability * following, len(taken))
        q = model.pair_reward + discount * backup
        w = (visited[of.pair_state] * taken)[pair]
        weight += w
        correction += w * (discount * following - q[pair])
    earned = weight[triple] * of.row_reward[rows]
    size = len(held_out)
    parts.ratio[:] += np.bincount(of_episode, earned, size)
    residual = np.bincount(of_episode, earned + correction[triple], size)
    first = v[-1][of.first_state]  # With all steps to go.
    parts.robust[:] += np.where(held_out, first + residual, 0.0)
