"""Marginal ratios: how much more often a policy visits each (s, a) than the log does.

They do not multiply along an episode, so that their variance does not grow with its length;
in exchange the process must be Markov in the states of the log. Exact in the model of the
log: visits by linear solve, over counts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.ope.cross_fitting import HeldOut

FEW = 50  # Rows of a pair in the other folds, below which its value is little known.


class MarginalParts(NamedTuple):
    """Parts of each episode, whose means are the estimates, and how far to trust them."""

    ratio: np.ndarray  # float64 (episodes,), Σ_t w r: marginalized importance sampling.
    robust: np.ndarray  # …, V̂(s_0) + Σ_t w (r + γ V̂(s') - Q̂): double RL.
    thin_share: float  # Of the policy's discounted decisions: in pairs with under FEW rows.


def marginal(dataset: Dataset, parts: Sequence[HeldOut]) -> MarginalParts:
    """What a policy is worth by ratios w, V̂ and Q̂ fitted to the other folds.

    w(s, a) is the expected Σ γ^t 1(s, a) under the policy over the log's mean count of
    (s, a) in an episode. Where a horizon binds, each step to go has its own w, V̂ and Q̂,
    and each row tells about all of them, as the process is the same at all times.

    The robust form is right if w or Q̂ is; its parts are its influence function, from which
    an interval follows (Kallus and Uehara 2022, arXiv 1909.05850; Xie, Ma, Wang
    2019, arXiv 1906.03393 for the ratios). It holds where hardly any of the policy's
    decisions are thin. A single fold is fitted to itself: then both are FQE, if every
    action of the policy was seen.
    """
    found = [_held_out(part) for part in parts]
    thin = [part.fit.held_out.mean() * one.thin_share for part, one in zip(parts, found)]
    ratio, robust = np.sum([one[:2] for one in found], axis=0)
    return MarginalParts(ratio, robust, float(sum(thin)))


def _held_out(part: HeldOut) -> MarginalParts:
    """Parts of the episodes that are held out, from a model of the others; 0 elsewhere."""
    (held_out, others, fitted), here = part
    model, of, discount = fitted.model, here.fitted.log.transitions, here.chain.discount
    rows = held_out[of.row_episode]
    triple, of_episode = of.row_triple[rows], of.row_episode[rows]
    start = np.bincount(of.first_state, others, len(of.states)) / others.sum()
    visits = np.atleast_2d(here.visits(start))  # (steps, S), or a single row.
    per_episode = np.where(model.pair_count > 0, model.pair_count, np.inf) / others.sum()
    taken = model.pair_policy(here.policy) / per_episode
    pair = of.triple_pair
    weight, correction = np.zeros((2, len(pair)))
    for step, visited in enumerate(visits):
        later = here.values_later(len(visits) - step)
        q = model.backup(later, discount)
        w = (visited[of.pair_state] * taken)[pair]
        weight += w
        correction += w * (discount * np.append(later, 0.0)[of.triple_next] - q[pair])
    earned = weight[triple] * of.row_reward[rows]
    size = len(held_out)
    residual = np.bincount(of_episode, earned + correction[triple], size)
    first = np.atleast_2d(here.state_values)[-1][of.first_state]  # All steps to go.
    decisions = visits.sum(axis=0)
    often = decisions[of.pair_state] * here.policy[of.pair_state, of.pair_action]
    known = often[model.pair_count >= FEW].sum() / decisions.sum()
    return MarginalParts(
        ratio=np.bincount(of_episode, earned, size),
        robust=np.where(held_out, first + residual, 0.0),
        thin_share=1 - float(known),
    )
