"""What policies are worth when played in models of the process that made a log."""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.candidates import Candidate
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.requests import Request
from stitchrl.experience import Experience, Fold
from stitchrl.normalizer import Normalizer
from stitchrl.ope.dynamics import (
    LEAST_SPREAD,
    Limits,
    ModelValue,
    Play,
    Rows,
    play,
)
from stitchrl.ope.dynamics_linear import fit_linear, linear_surprise
from stitchrl.ope.dynamics_network import Dynamics
from stitchrl.policies import Normalized
from stitchrl.population import member, stack, train_population
from stitchrl.splits import folds
from stitchrl.tree import pytree
from stitchrl.types import Scalar

MEMBERS = 5  # Networks of an ensemble.
EPISODES = 1_000  # Played of each policy, or more where more were logged.
SLACK = 0.02  # Of a feature's spread and range: less beyond the log is not outside.
LONGER = 10  # Times the longest logged episode, where nothing else ends one.
PLAYED = 1_000  # Keys of play are not those of training.
NEGLIGIBLE = 1e-3  # γ^H from which on nothing is played.


@pytree
class Mixture:
    """(1 - a) imitated behavior + a policy, at observations as a model scales them."""

    policy: Any
    behavior: Normalized
    normalizer: Normalizer  # Of the model.
    share: Scalar


class Models(NamedTuple):
    """What a log is modeled by."""

    kind: str
    of_fold: list[Any]  # An ensemble (members, …) that did not see the fold.


class ModelValues:
    """The model family on one split, by models of two folds.

    Episodes begin where those of a fold began, and are played in a model of the other one.
    A linear-Gaussian model is fitted too where no episode ends by termination before a
    declared horizon; the kind is used that is less surprised by transitions it did not see.
    Episodes are played up to termination, to a declared horizon, or until γ leaves nothing
    where it is below 1; else to ten times the longest logged one, and how many had not
    ended is counted. Networks take half of the `updates` that one of values takes.
    `imitations` are those of `imitations_of` the dataset, at the same `seed`.
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
        self.dataset, self.imitations = dataset, imitations
        self.discount, self.updates, self.seed = discount, updates // 2, seed
        self.fold = folds(dataset, seed)
        self.normalizer = Normalizer.fit(dataset)
        self.experience = Experience.of(dataset, self.normalizer)
        self.kept = dataset.has_next
        space = dataset.actions
        self.count = space.count if isinstance(space, Choices) else 0
        horizon = np.inf if dataset.horizon is None else dataset.horizon
        by_horizon = dataset.step_in_episode + 1 >= horizon
        self.ends = np.asarray(dataset.terminated & ~by_horizon)[self.kept]

    def evaluate(self, requests: list[Request]) -> list[ModelValue | None]:
        """None where a policy cannot be played: read from columns, or with masks.

        Nor where episodes were cut and nothing says what they are to be counted up to.
        """
        return [
            self._value(request.candidate, request.share) if self._can(request) else None
            for request in requests
        ]

    def _can(self, request: Request) -> bool:
        """Whether it can be asked at observations that were never logged.

        Which actions are allowed at one that a model makes, nobody knows.
        """
        is_played = isinstance(request.candidate.policy, Normalized)
        has_end = not (self._must_end and self.dataset.truncated.any())
        return is_played and has_end and self.dataset.valid_actions is None

    @cached_property
    def _present(self) -> float:
        return float(self._played(None, 0.0)[0].mean())

    def _value(self, candidate: Candidate, share: float) -> ModelValue:
        by_member, outside, endless = self._played(candidate, share)
        return ModelValue(
            float(by_member.mean()),
            outside,
            endless if self._must_end else 0.0,
            self._models.kind,
            self._present,
        )

    def _played(
        self, candidate: Candidate | None, share: float
    ) -> tuple[np.ndarray, float, float]:
        """Mean return (members,), and shares: of steps outside, of endless episodes."""
        act = "sample" if candidate is None else candidate.act
        found = []
        for number, ensemble in enumerate(self._models.of_fold):
            behavior = self.imitations[number]
            policy = behavior if candidate is None else candidate.policy
            acting = Mixture(policy, behavior, self.normalizer, jnp.float32(share))
            found.append(self._episodes(ensemble, acting, number, act))
        weight = np.bincount(self.fold) / self.dataset.episodes
        values = np.array([one.returns.mean(axis=1) for one in found])  # (folds, members)
        steps = sum(float(one.steps.sum()) for one in found)
        outside = sum(float(one.outside.sum()) for one in found)
        endless = 1 - np.mean([one.ended.mean() for one in found])
        return weight @ values, outside / steps, float(endless)

    def _episodes(self, ensemble: Any, acting: Mixture, number: int, act: str) -> Play:
        """(members, episodes) from the starts of one fold."""
        dataset = self.dataset
        members = jax.tree.leaves(ensemble)[0].shape[0]
        first = dataset.first_row[self.fold == number]
        each = max(-(-EPISODES // (2 * members)), -(-len(first) // members))
        # Every start is played as often as any other, give or take one, by all together.
        rows = np.resize(first, members * each).reshape(each, members).T
        starts = jax.vmap(jax.vmap(self.normalizer))(jnp.asarray(dataset.observation[rows]))
        key = jax.random.fold_in(jax.random.key(self.seed), PLAYED + number)
        keys = jax.random.split(key, members)
        acts = _by_mode if act == "mode" else _by_sample
        found = play(
            ensemble,
            acting,
            starts,
            self._limits,
            keys,
            acts=acts,
            discount=jnp.float32(self.discount),
            longest=self._longest,
        )
        return jax.device_get(found)

    @cached_property
    def _longest(self) -> int:
        if self.dataset.horizon is not None:
            return self.dataset.horizon
        if self.discount < 1:
            return int(np.ceil(np.log(NEGLIGIBLE) / np.log(self.discount)))
        return LONGER * int(self.dataset.lengths.max())

    @property
    def _must_end(self) -> bool:
        return self.dataset.horizon is None and self.discount == 1

    @cached_property
    def _limits(self) -> Limits:
        transitions = self.experience.transitions
        seen = jnp.concatenate([transitions.observation, transitions.next_observation])
        low, high, reward = seen.min(axis=0), seen.max(axis=0), transitions.reward
        slack = SLACK * (1 + high - low)
        tried = self._tried(transitions.action)
        return Limits(low, high, reward.min(), reward.max(), slack, tried)

    def _tried(self, action: Any) -> Any:
        if self.count:
            return jnp.zeros(self.count, bool).at[action].set(True)
        least, most = action.min(axis=0), action.max(axis=0)
        slack = SLACK * (most - least) + LEAST_SPREAD
        return least - slack, most + slack

    @cached_property
    def _models(self) -> Models:
        networks = self._networks()
        goes_on = ~np.asarray(self.experience.transitions.terminated)
        if self.ends.any() or not all(goes_on[self._other(k)].any() for k in range(2)):
            return Models("networks", networks)
        linear, surprise, of_networks = [], 0.0, 0.0
        for number in range(2):
            others, own = self._rows(self._other(number)), self._rows(~self._other(number))
            model = fit_linear(others, count=self.count)
            linear.append(stack([model]))
            surprise += linear_surprise(model, others, own) * len(own.reward)
            of_networks += _surprise(networks[number], own) * len(own.reward)
        if surprise >= of_networks:
            return Models("networks", networks)
        return Models("linear-Gaussian", linear)

    def _networks(self) -> list[Any]:
        rows = [self._rows(self._other(number)) for number in range(2)]
        some = Fold.of([self._other(number) for number in range(2)])
        models = []
        for number in range(2):
            mean, scale = _spread(rows[number])
            models += [
                Dynamics(
                    fold=some[number],
                    ends=jnp.asarray(self.ends),
                    mean=mean,
                    scale=scale,
                    total_updates=float(self.updates),
                )
            ] * MEMBERS
        keys = list(jax.random.split(jax.random.key(self.seed), len(models)))
        states = train_population(models, self.experience, keys, self.updates)
        action = self.experience.transitions.action
        fitted = [
            model.of(member(states, place).dynamics.network, action)
            for place, model in enumerate(models)
        ]
        return [stack(fitted[:MEMBERS]), stack(fitted[MEMBERS:])]

    def _other(self, number: int) -> np.ndarray:
        """bool: transitions that are not of this fold."""
        return self.fold[self.dataset.episode][self.kept] != number

    def _rows(self, some: np.ndarray) -> Rows:
        found = jax.device_get(self.experience.transitions)
        change = found.next_observation - found.observation
        return Rows(
            *(
                column[some]
                for column in (
                    found.observation,
                    found.action,
                    change,
                    found.reward,
                    ~found.terminated,
                )
            )
        )


def _by_mode(acting: Mixture, observation: Any, key: Any) -> Any:
    return _mixed(acting, observation, key, lambda raw, _: acting.policy.mode(raw))


def _by_sample(acting: Mixture, observation: Any, key: Any) -> Any:
    return _mixed(acting, observation, key, acting.policy.sample)


def _mixed(acting: Mixture, observation: Any, key: Any, own: Any) -> Any:
    normalizer = acting.normalizer
    raw = normalizer.mean + normalizer.scale * observation
    which, own_key, behavior_key = jax.random.split(key, 3)
    is_own = jax.random.uniform(which) < acting.share
    return jnp.where(is_own, own(raw, own_key), acting.behavior.sample(raw, behavior_key))


def _spread(rows: Rows) -> tuple[Any, Any]:
    """Mean and spread of (change, reward), against which networks are fitted."""
    change = rows.change[rows.goes_on]
    if not len(change):
        change = np.zeros((1, rows.change.shape[1]))
    mean = np.append(change.mean(axis=0), rows.reward.mean())
    scale = np.append(change.std(axis=0), rows.reward.std())
    return jnp.asarray(mean, jnp.float32), jnp.asarray(scale + LEAST_SPREAD, jnp.float32)


def _surprise(ensemble: Any, rows: Rows) -> float:
    """Mean over rows and members."""

    def of_one(model: Any) -> Any:
        return jax.vmap(model.surprise)(*map(jnp.asarray, rows)).mean()

    return float(jax.vmap(of_one)(ensemble).mean())
