"""How far a policy is from the log, in bits: KL(π || β) of whole episodes.

A log of n episodes has about log2 n bits: of a policy 33 bits away, one episode in 2^33 is
typical, so that 1,000 episodes (10 bits) say nothing about it.
"""

from dataclasses import dataclass
from math import log

import numpy as np
import scipy

from stitchrl.dataset import Dataset
from stitchrl.ope.chain import Chain
from stitchrl.ope.empirical_model import EmpiricalModel, Transitions
from stitchrl.ope.fqe_tabular import follow
from stitchrl.ope.policy_table import Behavior
from stitchrl.ope.weights import Weights

FLOOR = 1e-6  # What the log rules out counts as 20 bits, not as infinitely many.


@dataclass(frozen=True)
class Divergence:
    """KL(π || β) along episodes of π, beside what the log has."""

    bits_per_episode: float
    bits_per_step: float  # The same over π's expected number of decisions.
    log_bits: float  # log2 of the number of independent groups.
    method: str
    unsupported_share: float = 0.0  # Of π's decisions: β never takes that action there.


def kl_by_state(policy: np.ndarray, behavior: np.ndarray) -> np.ndarray:
    """float64 (S,): Σ_a π log2(π / β); infinite where π acts as β never does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = policy * (np.log2(policy) - np.log2(behavior))
    return np.where(policy > 0, bits, 0.0).sum(axis=1)


def behavior_by_state(
    dataset: Dataset, transitions: Transitions, behavior: Behavior
) -> np.ndarray:
    """float64 (S, count): a full table of the behavior, never below `FLOOR` where valid.

    From `behavior.table` where all actions are known, else from the propensities of logged
    actions: their mean for each (s, a) that occurs; what is missing to 1 is spread evenly
    over the state's valid actions that do not. Rows without any decision are uniform.
    """
    states, count = len(transitions.states), transitions.actions
    if behavior.table is not None:
        table = transitions.policy(behavior.table)
        valid = np.ones((states, count), bool)
    else:
        key = transitions.row_state * count + dataset.action
        seen = np.bincount(key, minlength=states * count).reshape(states, count)
        total = np.bincount(key, behavior.propensity, states * count)
        table = total.reshape(states, count) / np.maximum(seen, 1)
        valid = np.ones((states, count), bool)
        if dataset.valid_actions is not None:
            valid = transitions.mean_by_state(
                dataset.valid_actions.astype(np.float64), transitions.row_state
            )
            valid = valid > 0
        unseen = (seen == 0) & valid
        missing = np.maximum(1 - table.sum(axis=1), 0.0)
        table += unseen * (missing / np.maximum(unseen.sum(axis=1), 1))[:, None]
    table = np.where(valid, np.maximum(table, FLOOR), FLOOR)
    return table / table.sum(axis=1, keepdims=True)


def disagreement(p: np.ndarray, q: np.ndarray) -> float:
    """Mean of 1 - Σ_a min(p, q) over rows: the least share of decisions that differ.

    Probabilities (rows, actions) of two policies at the same rows.
    """
    return float(np.clip(1 - np.minimum(p, q).sum(axis=1), 0, 1).mean())


def tabular_divergence(
    model: EmpiricalModel,
    policy: np.ndarray,
    behavior: np.ndarray,
    *,
    groups: int,
    horizon: int,
    share: float = 1.0,
) -> Divergence:
    """Expected bits along episodes of (1 - a) β + a π in the empirical model.

    `behavior` (S, count) as from `behavior_by_state`; `horizon`, in steps, of the longest
    logged episode, so that loops in the model do not add up for ever. What follows each
    action is shrunk towards what followed all logged actions of that state, as one more
    observation: all there is for an unseen action, and a way out of loops seen once.
    """
    policy = (1 - share) * behavior + share * policy
    of, acted = model.transitions, model.state_count > 0
    trust = np.zeros(policy.shape)
    trust[of.pair_state, of.pair_action] = model.pair_count / (model.pair_count + 1)
    following, _, seen = follow(model, policy * trust)
    otherwise, _, _ = follow(model, model.behavior)
    rest = otherwise.multiply(np.where(acted, 1 - seen, 0.0)[:, None])
    chain = Chain(scipy.sparse.csr_array(following + rest), 1.0, horizon)
    bits = np.where(acted, kl_by_state(policy, behavior), 0.0)
    visits = chain.visits(model.start)
    per_episode = float(visits @ bits)
    steps = float(visits @ acted)
    lost = np.where(acted, (policy * (behavior < 2 * FLOOR)).sum(axis=1), 0.0)
    return Divergence(
        per_episode,
        per_episode / steps,
        float(np.log2(groups)),
        f"expected sum over {horizon} steps in the empirical model",
        float(visits @ lost) / steps,
    )


def weighted_divergence(weights: Weights, dataset: Dataset) -> Divergence:
    """E_π[log2 W], self-normalized: ΣW log2 W / ΣW, for logs without discrete states.

    It sees only the episodes that were logged, at most about log2 n bits away: read it as
    "at least". Infinite if no logged episode could have come from the policy.
    """
    total = weights.relative.sum()
    if total == 0:
        bits, length = float("inf"), 1.0
    else:
        share = weights.relative / total
        finite = np.where(np.isneginf(weights.log), 0.0, weights.log)
        bits = max(float(share @ finite) / log(2), 0.0)
        length = float(share @ dataset.lengths)
    return Divergence(
        bits, bits / length, float(np.log2(weights.groups)), "self-normalized weights"
    )
