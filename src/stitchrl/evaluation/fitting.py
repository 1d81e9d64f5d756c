"""A log as FQE by networks sees it, and Q functions of many policies fitted on it."""

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.experience import Experience, Fold
from stitchrl.normalizer import Normalizer
from stitchrl.ope.fqe_network import FQE, Probabilities
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.population import by_program, member, train_population
from stitchrl.spaces import Masked


class Along(NamedTuple):
    """What one policy does after every transition of a log, and at every start."""

    following: Any  # `Probabilities` or `Actions` (transitions, …).
    starts: Any  # (episodes, …)


class Sum(NamedTuple):
    """What is added up along episodes: how it is discounted, and what it can be."""

    low: float
    high: float
    discount: float


class FittingLog:
    """What every fit on one log shares. `fold` (episodes,) is 0 or 1.

    Values of an episode are always by the network that did not see it.
    """

    def __init__(self, dataset: Dataset, fold: np.ndarray, *, updates: int, seed: int):
        self.dataset, self.fold = dataset, fold
        self.updates, self.seed = updates, seed
        self.kept = dataset.has_next
        self.normalizer = Normalizer.fit(dataset)
        self.experience = Experience.of(dataset, self.normalizer)
        of_row = fold[dataset.episode][self.kept]
        self.folds = Fold.of([of_row != number for number in range(2)])

    def along(self, policy: PolicyTable, rest: np.ndarray, final_rest: np.ndarray) -> Along:
        """Of a policy over discrete actions; `rest` as in `Probabilities`, everywhere."""
        dataset = self.dataset
        following = dataset.next_column(policy.probabilities, policy.final_probabilities)
        next_rest = dataset.next_column(rest, final_rest)
        first = dataset.first_row
        return Along(
            _probabilities(following[self.kept], next_rest[self.kept]),
            _probabilities(policy.probabilities[first], rest[first]),
        )

    def values(self, policies: list[Along], total: Sum) -> list[np.ndarray]:
        """float32 (episodes,) each: the value at the start of each episode."""
        pairs = self._fit([policy.following for policy in policies], total, self.folds)
        return [
            _by_fold(pair, self._starts, policy.starts, self.fold)
            for pair, policy in zip(pairs, policies)
        ]

    def values_within(
        self, policies: list[Along], total: Sum, parts: list[np.ndarray]
    ) -> np.ndarray:
        """float64 (policies, parts): the mean value at the starts of each of these parts.

        A part is a bool (episodes,), by whose episodes its networks are fitted.
        """
        of_row = self.dataset.episode[self.kept]
        folds = Fold.of([part[of_row] for part in parts])
        fitted = self._fit([policy.following for policy in policies], total, folds)
        found = np.empty((len(policies), len(parts)))
        for i, (networks, policy) in enumerate(zip(fitted, policies)):
            for j, (fqe, state) in enumerate(networks):
                network = state.critics.network
                values = _values(fqe, network, self._starts, policy.starts)
                found[i, j] = np.asarray(values, np.float64)[parts[j]].mean()
        return found

    def values_everywhere(
        self, policy: PolicyTable, total: Sum
    ) -> tuple[np.ndarray, np.ndarray]:
        """float32 (size,) and (episodes,): at every row, and at final observations."""
        dataset = self.dataset
        zero, final_zero = np.zeros(dataset.size), np.zeros(dataset.episodes)
        following = self.along(policy, zero, final_zero).following
        (pair,) = self._fit([following], total, self.folds)
        rows = self._seen(dataset.observation, dataset.valid_actions, slice(None))
        final = np.nan_to_num(dataset.final_observation)
        ends = self._seen(final, dataset.final_valid_actions, slice(None))
        here = _probabilities(policy.probabilities, zero)
        at_ends = _probabilities(policy.final_probabilities, final_zero)
        return (
            _by_fold(pair, rows, here, self.fold[dataset.episode]),
            _by_fold(pair, ends, at_ends, self.fold),
        )

    def _fit(
        self, following: list[Any], total: Sum, folds: list[Fold]
    ) -> list[list[tuple[FQE, Any]]]:
        """A network for each policy and fold; a program for policies of a kind."""
        models = [
            FQE(
                following=acting,
                fold=fold,
                low=total.low,
                high=total.high,
                discount=total.discount,
                total_updates=float(self.updates),
            )
            for acting in following
            for fold in folds
        ]
        keys = list(jax.random.split(jax.random.key(self.seed), len(models)))
        fitted: dict[int, tuple[FQE, Any]] = {}
        for numbers in by_program(models):
            alike = [models[number] for number in numbers]
            of_alike = [keys[number] for number in numbers]
            states = train_population(alike, self.experience, of_alike, self.updates)
            for place, number in enumerate(numbers):
                fitted[number] = models[number], member(states, place)
        each = len(folds)
        every = [fitted[number] for number in range(len(models))]
        return [every[i : i + each] for i in range(0, len(every), each)]

    @cached_property
    def _starts(self) -> Any:
        first, dataset = self.dataset.first_row, self.dataset
        return self._seen(dataset.observation[first], dataset.valid_actions, first)

    def _seen(self, observation: np.ndarray, valid: np.ndarray | None, rows: Any) -> Any:
        scaled = jnp.asarray(self.normalizer.rows(observation))
        return scaled if valid is None else Masked(scaled, jnp.asarray(valid[rows]))


def timed(dataset: Dataset, horizon: int) -> Dataset:
    """The log of a task that ends after `horizon` steps, in which time is observed.

    What follows then depends on the steps that are left, as in time-indexed FQE, and the
    last of them is an end; an earlier cut stays one.
    """
    taken = dataset.step_in_episode
    is_known = ~np.isnan(dataset.final_observation).all(axis=1)
    final = np.where(is_known, dataset.lengths / horizon, np.nan)

    def joined(observation: np.ndarray, share: np.ndarray) -> np.ndarray:
        column = share[:, None].astype(np.float32)
        return np.concatenate([observation, column], axis=1)

    return dataclasses.replace(
        dataset,
        observation=joined(dataset.observation, taken / horizon),
        final_observation=joined(dataset.final_observation, final),
        feature_names=(*dataset.feature_names, "share of the horizon"),
        terminated=dataset.terminated | (taken + 1 >= horizon),
    )


def unpaid(dataset: Dataset) -> Dataset:
    """The log without any reward, in which its episodes are all there is."""
    return dataclasses.replace(
        dataset, reward=np.zeros(dataset.size), terminated=dataset.episode_end
    )


_values = jax.jit(FQE.values)


def _by_fold(
    networks: list[tuple[FQE, Any]], observation: Any, acting: Any, fold: np.ndarray
) -> np.ndarray:
    values = [
        np.asarray(_values(fqe, state.critics.network, observation, acting))
        for fqe, state in networks
    ]
    return np.stack(values)[fold, np.arange(len(fold))]


def _probabilities(rows: np.ndarray, rest: np.ndarray) -> Probabilities:
    return Probabilities(
        jnp.asarray(np.nan_to_num(rows), jnp.float32),
        jnp.asarray(np.nan_to_num(rest), jnp.float32),
    )
