"""FQE by networks, for logs whose observations are vectors: many policies at once."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.behavior.network import behavior_table
from stitchrl.candidates import drawn_actions, table
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.requests import Request
from stitchrl.experience import Experience, Fold
from stitchrl.normalizer import Normalizer
from stitchrl.ope.base import Completions
from stitchrl.ope.bounds import return_to_go_bounds
from stitchrl.ope.certification import FittedValue
from stitchrl.ope.divergence import FLOOR, Divergence
from stitchrl.ope.fqe_network import FQE, Actions, Probabilities
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.policies import Normalized
from stitchrl.population import member, train_population
from stitchrl.spaces import Masked
from stitchrl.splits import folds

RARE = 0.01  # An action that the behavior model finds less likely counts as unseen.
DRAWS = 10  # Actions per observation of a policy over continuous actions.
COMPLETIONS = ("lower", "value", "upper")


class NetworkValues:
    """The value family on one split, by networks fitted in two folds.

    `discount` is the estimand's. `imitations` are those of `imitations_of` the dataset, at
    the same `seed`. Every value at a start is by the network that did not see its episode.
    """

    def __init__(
        self,
        dataset: Dataset,
        imitations: list[Normalized],
        *,
        discount: float,
        updates: int,
        seed: int,
    ):
        self.dataset, self.discount = dataset, discount
        self.updates, self.seed = updates, seed
        self.fold = folds(dataset, seed)
        self.normalizer = Normalizer.fit(dataset)
        self.experience = Experience.of(dataset, self.normalizer)
        kept, of_row = dataset.has_next, self.fold[dataset.episode]
        self.folds = Fold.of([of_row[kept] != number for number in range(2)])
        bounds = return_to_go_bounds(dataset, discount)
        self.low, self.high = float(bounds.low.min()), float(bounds.high.max())
        self.is_discrete = isinstance(dataset.actions, Choices)
        self.imitations = imitations
        if self.is_discrete:
            self.behavior = behavior_table(dataset, self.fold, imitations)
            self.behavior_values = self._values_of_behavior()

    def rank(self, requests: list[Request]) -> list[float]:
        """Point estimates, cross-fitted in two folds."""
        if not requests:
            return []
        acting = [self._acting(request, "value") for request in requests]
        return [float(values.mean()) for values in self._fit(acting)]

    def evaluate(
        self, requests: list[Request], *, in_full: int | None = None
    ) -> list[FittedValue]:
        """Of the first `in_full` requests (None: all) everything, of others the value.

        Everything is three completions and the bits, for discrete actions. Without
        intervals: refits of networks on resamples would take too long.
        """
        full = len(requests) if in_full is None else in_full
        rest = [
            FittedValue(
                Completions(float("nan"), value, float("nan")),
                interval=None,
                unseen_share=self._unseen_share(request) if self.is_discrete else None,
            )
            for request, value in zip(requests[full:], self.rank(requests[full:]))
        ]
        return [*self._in_full(requests[:full]), *rest]

    def _in_full(self, requests: list[Request]) -> list[FittedValue]:
        names = COMPLETIONS if self.is_discrete else ("value",)
        acting = [self._acting(r, name) for r in requests for name in names]
        fitted = [float(values.mean()) for values in self._fit(acting)]
        by_request = np.reshape(fitted, (len(requests), len(names)))
        bits = self._divergences(requests) if self.is_discrete else [None] * len(requests)
        return [
            FittedValue(
                Completions(float(row[0]), float(row[len(names) // 2]), float(row[-1])),
                interval=None,
                unseen_share=self._unseen_share(request) if self.is_discrete else None,
                divergence=divergence,
            )
            for request, row, divergence in zip(requests, by_request, bits)
        ]

    def _values_of_behavior(self) -> tuple[np.ndarray, np.ndarray]:
        """V^β at every row and final observation: for actions the log does not show."""
        zero = np.zeros(self.dataset.size), np.zeros(self.dataset.episodes)
        acting = self._along(self.behavior, *zero)
        return self._fit_everywhere([acting])[0]

    def _acting(self, request: Request, completion: str) -> tuple[Any, Any]:
        """What the policy does after every transition, and at every start."""
        if not self.is_discrete:
            return self._drawn(request)
        policy = self._mixed(request)
        if completion == "value":
            fill, final_fill = self.behavior_values
        else:
            end = self.low if completion == "lower" else self.high
            fill = np.full(self.dataset.size, end)
            final_fill = np.full(self.dataset.episodes, end)
        seen = self.behavior.probabilities >= RARE
        final_seen = self.behavior.final_probabilities >= RARE
        rest = np.where(seen, 0, policy.probabilities).sum(axis=1) * fill
        final_rest = np.where(final_seen, 0, policy.final_probabilities).sum(axis=1)
        shown = PolicyTable(
            np.where(seen, policy.probabilities, 0),
            np.where(final_seen, policy.final_probabilities, 0),
        )
        return self._along(shown, rest, final_rest * final_fill)

    def _mixed(self, request: Request) -> PolicyTable:
        policy = table(request.candidate, self.dataset)
        return policy.mix(self.behavior, request.share) if request.share < 1 else policy

    def _along(
        self, policy: PolicyTable, rest: np.ndarray, final_rest: np.ndarray
    ) -> tuple[Probabilities, Probabilities]:
        dataset, kept = self.dataset, self.dataset.has_next
        following = dataset.next_column(policy.probabilities, policy.final_probabilities)
        next_rest = dataset.next_column(rest, final_rest)
        first = dataset.first_row
        return (
            _probabilities(following[kept], next_rest[kept]),
            _probabilities(policy.probabilities[first], rest[first]),
        )

    def _drawn(self, request: Request) -> tuple[Actions, Actions]:
        """Of `DRAWS` actions a share is the policy's, the rest the imitation's."""
        dataset, kept = self.dataset, self.dataset.has_next
        own = round(request.share * DRAWS)

        def at(observation: np.ndarray, fold: np.ndarray, seed: int) -> Actions:
            drawn = drawn_actions(request.candidate, observation, samples=own, seed=seed)
            parts = [np.resize(drawn, (len(drawn), own, drawn.shape[-1]))]
            if own < DRAWS:
                parts.append(self._imitated(observation, fold, DRAWS - own, seed))
            return Actions(jnp.asarray(np.concatenate(parts, axis=1)))

        observation = np.nan_to_num(dataset.next_observation[kept])
        of_row = self.fold[dataset.episode]
        first = dataset.first_row
        return (
            at(observation, of_row[kept], self.seed),
            at(dataset.observation[first], self.fold, self.seed + 1),
        )

    def _imitated(
        self, observation: np.ndarray, fold: np.ndarray, samples: int, seed: int
    ) -> np.ndarray:
        keys = jax.random.split(jax.random.key(seed), (len(observation), samples))
        draw = jax.vmap(lambda m, o, k: m.sample(o, k), in_axes=(None, None, 0))
        draws = [
            np.asarray(jax.vmap(draw, in_axes=(None, 0, 0))(model, observation, keys))
            for model in self.imitations
        ]
        return np.stack(draws)[fold, np.arange(len(observation))]

    def _divergences(self, requests: list[Request]) -> list[Divergence]:
        """Expected bits along episodes of each policy: FQE with the bits as reward."""
        dataset = self.dataset
        policies = [self._mixed(request) for request in requests]
        acting = []
        for policy in policies:
            bits = _kl_of_rows(policy.probabilities, self.behavior.probabilities)
            final = _kl_of_rows(
                policy.final_probabilities, self.behavior.final_probabilities
            )
            acting.append(self._along(policy, bits, final))
        longest = float(dataset.lengths.max())
        highest = -float(np.log2(FLOOR)) * longest
        sums = self._fit(acting, reward=0.0, low=0.0, high=highest, discount=1.0)
        log_bits = float(np.log2(dataset.groups))
        per_step = [
            float(_kl_of_rows(p.probabilities, self.behavior.probabilities).mean())
            for p in policies
        ]
        return [
            Divergence(float(total.mean()), step, log_bits, "FQE with the bits as reward")
            for total, step in zip(sums, per_step)
        ]

    def _unseen_share(self, request: Request) -> float:
        policy = self._mixed(request).probabilities
        unseen = self.behavior.probabilities < RARE
        return float(np.where(unseen, policy, 0).sum(axis=1).mean())

    def _fit(
        self,
        acting: list[tuple[Any, Any]],
        *,
        reward: float | None = None,
        **changes: float,
    ) -> list[np.ndarray]:
        """float32 (episodes,) each: values at starts, by the network of the other fold."""
        first = self.dataset.first_row
        here = self._seen(
            self.dataset.observation[first], self.dataset.valid_actions, first
        )
        networks = self._networks([pair[0] for pair in acting], reward, changes)
        found = []
        for number, (_, at_start) in enumerate(acting):
            pair = networks[2 * number : 2 * number + 2]
            found.append(_by_fold(pair, here, at_start, self.fold))
        return found

    def _fit_everywhere(
        self, acting: list[tuple[Any, Any]]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Values of the behavior at every row and every final observation."""
        dataset = self.dataset
        networks = self._networks([pair[0] for pair in acting], None, {})
        of_row = self.fold[dataset.episode]
        rows = self._seen(dataset.observation, dataset.valid_actions, slice(None))
        final = np.nan_to_num(dataset.final_observation)
        ends = self._seen(final, dataset.final_valid_actions, slice(None))
        zero, final_zero = np.zeros(dataset.size), np.zeros(dataset.episodes)
        found = []
        for number in range(len(acting)):
            pair = networks[2 * number : 2 * number + 2]
            at_rows = _probabilities(self.behavior.probabilities, zero)
            at_ends = _probabilities(self.behavior.final_probabilities, final_zero)
            found.append(
                (
                    _by_fold(pair, rows, at_rows, of_row),
                    _by_fold(pair, ends, at_ends, self.fold),
                )
            )
        return found

    def _networks(
        self, following: list[Any], reward: float | None, changes: dict[str, float]
    ) -> list[tuple[FQE, Any]]:
        """Two fitted networks for each policy, one per fold, all in one program."""
        experience = self.experience
        if reward is not None:
            same = jnp.full_like(experience.transitions.reward, reward)
            transitions = experience.transitions._replace(reward=same)
            experience = dataclasses.replace(experience, transitions=transitions)
        settings: dict[str, Any] = {
            "low": self.low,
            "high": self.high,
            "discount": self.discount,
            "total_updates": float(self.updates),
        } | changes
        models = [
            FQE(following=acting, fold=fold, **settings)
            for acting in following
            for fold in self.folds
        ]
        keys = list(jax.random.split(jax.random.key(self.seed), len(models)))
        states = train_population(models, experience, keys, self.updates)
        return [(model, member(states, i)) for i, model in enumerate(models)]

    def _seen(self, observation: np.ndarray, valid: np.ndarray | None, rows: Any) -> Any:
        scaled = jax.vmap(self.normalizer)(jnp.asarray(observation))
        return scaled if valid is None else Masked(scaled, jnp.asarray(valid[rows]))


def _by_fold(
    networks: list[tuple[FQE, Any]], observation: Any, acting: Any, fold: np.ndarray
) -> np.ndarray:
    values = [
        np.asarray(fqe.values(state.critics.network, observation, acting))
        for fqe, state in networks
    ]
    return np.stack(values)[fold, np.arange(len(fold))]


def _probabilities(rows: np.ndarray, rest: np.ndarray) -> Probabilities:
    return Probabilities(
        jnp.asarray(np.nan_to_num(rows), jnp.float32),
        jnp.asarray(np.nan_to_num(rest), jnp.float32),
    )


def _kl_of_rows(policy: np.ndarray, behavior: np.ndarray) -> np.ndarray:
    """float64 (rows,): Σ_a π log2(π / β), β floored, in bits; 0 where π is unknown."""
    policy = np.nan_to_num(policy)
    behavior = np.maximum(np.nan_to_num(behavior, nan=1.0), FLOOR)
    ratio = np.log2(np.where(policy > 0, policy, 1.0) / behavior)
    return np.where(policy > 0, policy * ratio, 0.0).sum(axis=1)
