"""Policies to be evaluated, whoever made them, and what each would do along a log."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.ope.policy_table import RARE, DensityTable, PolicyTable
from stitchrl.policies import Normalized, WithoutRare, probabilities_at_rows
from stitchrl.reuse import NOTHING
from stitchrl.rewards import RewardTransform
from stitchrl.rows import BLOCK
from stitchrl.value_iteration import TabularPolicy

Act = Literal["sample", "mode"]
Kind = Literal["policy", "control", "external"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A policy under evaluation: exactly what would be exported.

    `policy` is a `Normalized` network policy, a `TabularPolicy`, "uniform", or, read from
    columns of the log, an array (source rows, count) of probabilities. `act` says whether
    it is sampled or its mode is taken.
    """

    name: str
    kind: Kind
    act: Act
    policy: Any
    members: tuple[int, ...] = ()  # Of the run, from which it came.
    own_estimate: float | None = None  # What its learner believes it is worth.
    discount: float | None = None  # γ with which its learner counts.
    reward: RewardTransform = RewardTransform()  # In which it counts.
    # Of a policy from outside: fingerprints of the episodes it was learned from.
    used: np.ndarray = field(default_factory=lambda: NOTHING)


def as_exported(policy: Any, normalizer: Any) -> tuple[Any, Act]:
    """What a learner's policy is certified and exported as, and how it acts.

    Policies that know the probability of every discrete action lose those less likely than
    1 % and are sampled; everything else acts by its mode.
    """
    if hasattr(policy, "log_probs"):
        return Normalized(WithoutRare(policy, RARE), normalizer), "sample"
    return Normalized(policy, normalizer), "mode"


def table(candidate: Candidate, dataset: Dataset) -> PolicyTable:
    """What it would do at every row and every final observation: discrete actions only."""
    policy, choices = candidate.policy, dataset.actions
    assert isinstance(choices, Choices)
    if isinstance(policy, TabularPolicy):
        return PolicyTable.of_states(dataset, policy.probabilities)
    if isinstance(policy, np.ndarray):
        final = np.full((dataset.episodes, choices.count), np.nan)
        return PolicyTable.create(policy[dataset.row], final)
    final_valid = dataset.final_valid_actions
    if policy == "uniform":
        rows = _uniform(dataset.valid_actions, (dataset.size, choices.count))
        final = _uniform(final_valid, (dataset.episodes, choices.count))
        return PolicyTable.create(rows, np.where(_known(dataset)[:, None], final, np.nan))
    rows = probabilities_at_rows(
        policy, dataset.observation, dataset.valid_actions, choices.count
    )
    final = probabilities_at_rows(
        policy, dataset.final_observation, final_valid, choices.count
    )
    return PolicyTable.create(rows, np.where(_known(dataset)[:, None], final, np.nan))


def state_probabilities(
    candidate: Candidate, observations: np.ndarray, count: int
) -> np.ndarray:
    """float64 (states, count): what it does in each state, given the states' observations.

    Where the process is known: its exact value follows. Of discrete actions.
    """
    if isinstance(candidate.policy, TabularPolicy):
        return candidate.policy.probabilities
    if candidate.policy == "uniform":
        return _uniform(None, (len(observations), count))
    rows = probabilities_at_rows(candidate.policy, observations, None, count)
    return rows / rows.sum(axis=1, keepdims=True)


def drawn_actions(
    candidate: Candidate, observation: np.ndarray, *, samples: int, seed: int
) -> np.ndarray:
    """float32 (size, samples, dims): continuous actions in [-1, 1] it would take."""
    if candidate.act == "mode":
        return np.asarray(_modes(candidate.policy, observation))[:, None]
    keys = jax.random.split(jax.random.key(seed), len(observation))
    return np.asarray(_samples(candidate.policy, observation, keys, samples))


def densities(candidate: Candidate, dataset: Dataset) -> DensityTable:
    """Its density at each logged action, per unit of the log's own action.

    Raises `ValueError` if it acts by its mode: a single point has no density.
    """
    if candidate.act == "mode":
        raise ValueError(
            f"'{candidate.name}' is deterministic and has no density over actions."
        )
    assert isinstance(dataset.actions, Bounds)
    action = dataset.actions.to_unit(dataset.action).astype(np.float32)
    log_prob = _log_prob(candidate.policy, dataset.observation, action)
    density = np.exp(np.asarray(log_prob, np.float64))
    return DensityTable(density / dataset.actions.stretch)


def _known(dataset: Dataset) -> np.ndarray:
    """bool (episodes,): a final observation is known."""
    return np.asarray(~np.isnan(dataset.final_observation).all(axis=1))


def _uniform(valid: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    valid = np.ones(shape) if valid is None else valid.astype(np.float64)
    return valid / np.maximum(valid.sum(axis=1, keepdims=True), 1)


@jax.jit
def _modes(policy: Any, observations: Any) -> Any:
    return jax.lax.map(policy.mode, observations, batch_size=BLOCK)


@partial(jax.jit, static_argnames="samples")
def _samples(policy: Any, observations: Any, keys: Any, samples: int) -> Any:
    def one(row: Any) -> Any:
        observation, key = row
        draws = jax.random.split(key, samples)
        return jax.vmap(policy.sample, in_axes=(None, 0))(observation, draws)

    return jax.lax.map(one, (observations, keys), batch_size=BLOCK)


@jax.jit
def _log_prob(policy: Any, observations: Any, actions: Any) -> Any:
    def one(row: Any) -> Any:
        return jnp.asarray(policy.log_prob(*row))

    return jax.lax.map(one, (observations, actions), batch_size=BLOCK)
