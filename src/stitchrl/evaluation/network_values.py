"""FQE by networks, for logs whose observations are vectors: many policies at once."""

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.behavior.network import behavior_table
from stitchrl.candidates import drawn_actions, table
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.fitting import Along, FittingLog, Sum, timed, unpaid
from stitchrl.evaluation.requests import Request
from stitchrl.ope.base import Completions
from stitchrl.ope.bounds import return_to_go_bounds
from stitchrl.ope.certification import FittedValue
from stitchrl.ope.divergence import FLOOR, Divergence
from stitchrl.ope.fqe_network import Actions
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.policies import Normalized
from stitchrl.splits import folds

RARE = 0.01  # An action that the behavior model finds less likely counts as unseen.
DRAWS = 10  # Actions per observation of a policy over continuous actions.
HALVES = 10  # Of the groups, on which values are fitted to see how they vary.
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
        self.dataset, self.seed = dataset, seed
        self.fold = folds(dataset, seed)
        self.is_discrete = isinstance(dataset.actions, Choices)
        self.imitations = imitations
        # As tabular FQE: up to a declared horizon, where some episodes were cut.
        horizon = dataset.horizon if dataset.truncated.any() else None
        log = dataset if horizon is None else timed(dataset, horizon)
        self.log = FittingLog(log, self.fold, updates=updates, seed=seed)
        bounds = return_to_go_bounds(dataset, discount)
        low, high = float(bounds.low.min()), float(bounds.high.max())
        self.total = Sum(low, high, discount)
        if self.is_discrete:
            self.behavior = behavior_table(dataset, self.fold, imitations)
            self.behavior_values = self.log.values_everywhere(self.behavior, self.total)

    @cached_property
    def present(self) -> float:
        """What the same networks say of the present behavior, whose value is known."""
        if self.is_discrete:
            return float(self.behavior_values[0][self.dataset.first_row].mean())
        (values,) = self.log.values([self._drawn(None)], self.total)
        return float(values.mean())

    def rank(self, requests: list[Request]) -> list[float]:
        """Point estimates, cross-fitted in two folds."""
        if not requests:
            return []
        acting = [self._acting(request, "value") for request in requests]
        values = self.log.values(acting, self.total)
        return [float(one.mean()) for one in values]

    def by_halves(self, requests: list[Request]) -> np.ndarray:
        """float64 (requests, n): values fitted on, and averaged over, random halves.

        The same halves of the groups for all requests.
        """
        rng = np.random.default_rng(self.seed)
        groups = self.dataset.groups
        halves = [
            np.isin(self.dataset.episode_group, rng.permutation(groups)[: groups // 2])
            for _ in range(HALVES)
        ]
        acting = [self._acting(request, "value") for request in requests]
        return self.log.values_within(acting, self.total, halves)

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
        fitted = [one.mean() for one in self.log.values(acting, self.total)]
        by_request = np.reshape(fitted, (len(requests), len(names))).tolist()
        if not self.is_discrete:  # Nothing says which actions the log never shows.
            nan = float("nan")
            return [
                FittedValue(Completions(nan, value, nan), None, None)
                for (value,) in by_request
            ]
        return [
            FittedValue(
                Completions(*row),
                interval=None,
                unseen_share=self._unseen_share(request),
                divergence=divergence,
            )
            for request, row, divergence in zip(
                requests, by_request, self._divergences(requests)
            )
        ]

    def _acting(self, request: Request, completion: str) -> Along:
        """What the policy does after every transition, and at every start."""
        if not self.is_discrete:
            return self._drawn(request)
        policy = self._mixed(request)
        if completion == "value":
            fill, final_fill = self.behavior_values
        else:
            end = self.total.low if completion == "lower" else self.total.high
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
        return self.log.along(shown, rest, final_rest * final_fill)

    def _mixed(self, request: Request) -> PolicyTable:
        policy = table(request.candidate, self.dataset)
        return policy.mix(self.behavior, request.share) if request.share < 1 else policy

    def _drawn(self, request: Request | None) -> Along:
        """Of `DRAWS` actions a share is the policy's (None: none), the rest imitated.

        A policy that takes one action with certainty has that one.
        """
        dataset, kept = self.dataset, self.log.kept
        own = 0 if request is None else round(request.share * DRAWS)

        def at(observation: np.ndarray, fold: np.ndarray, seed: int) -> Actions:
            parts = []
            if request is not None:
                candidate = request.candidate
                drawn = drawn_actions(candidate, observation, samples=own, seed=seed)
                is_mixed = candidate.act == "mode" and own < DRAWS
                parts.append(np.repeat(drawn, own, axis=1) if is_mixed else drawn)
            if own < DRAWS:
                parts.append(self._imitated(observation, fold, DRAWS - own, seed))
            return Actions(jnp.asarray(np.concatenate(parts, axis=1)))

        observation = np.nan_to_num(dataset.next_observation[kept])
        of_row = self.fold[dataset.episode]
        first = dataset.first_row
        return Along(
            at(observation, of_row[kept], self.seed),
            at(dataset.observation[first], self.fold, self.seed + 1),
        )

    def _imitated(
        self, observation: np.ndarray, fold: np.ndarray, samples: int, seed: int
    ) -> np.ndarray:
        keys = jax.random.split(jax.random.key(seed), (len(observation), samples))
        draws = [np.asarray(_draws(m, observation, keys)) for m in self.imitations]
        return np.stack(draws)[fold, np.arange(len(observation))]

    def _divergences(self, requests: list[Request]) -> list[Divergence]:
        """Expected bits along logged episodes: FQE with the bits as reward.

        They add up to where an episode was cut, not beyond; time is observed then.
        """
        dataset = self.dataset
        longest = int(dataset.lengths.max())
        seen = timed(dataset, longest) if dataset.truncated.any() else dataset
        log = FittingLog(unpaid(seen), self.fold, updates=self.log.updates, seed=self.seed)
        policies = [self._mixed(request) for request in requests]
        acting, per_step = [], []
        for policy in policies:
            bits = _kl_of_rows(policy.probabilities, self.behavior.probabilities)
            final = np.zeros(dataset.episodes)  # After the last decision: none.
            acting.append(log.along(policy, bits, final))
            per_step.append(float(bits.mean()))
        highest = -float(np.log2(FLOOR)) * longest
        sums = log.values(acting, Sum(low=0.0, high=highest, discount=1.0))
        log_bits = float(np.log2(dataset.groups))
        return [
            Divergence(float(total.mean()), step, log_bits, "FQE with the bits as reward")
            for total, step in zip(sums, per_step)
        ]

    def _unseen_share(self, request: Request) -> float:
        policy = self._mixed(request).probabilities
        unseen = self.behavior.probabilities < RARE
        return float(np.where(unseen, policy, 0).sum(axis=1).mean())


@jax.jit
def _draws(model: Any, observations: Any, keys: Any) -> Any:
    """(row, sample, …): an action for each key of each row."""
    of_row = jax.vmap(model.sample, in_axes=(None, 0))
    return jax.vmap(of_row)(observations, keys)


def _kl_of_rows(policy: np.ndarray, behavior: np.ndarray) -> np.ndarray:
    """float64 (rows,): Σ_a π log2(π / β), β floored, in bits."""
    ratio = np.where(policy > 0, policy, 1.0) / np.maximum(behavior, FLOOR)
    return (policy * np.log2(ratio)).sum(axis=1)
