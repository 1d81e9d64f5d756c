"""What policies are worth when played in models of the process that made a log."""

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.candidates import Candidate
from stitchrl.dataset import Dataset
from stitchrl.evaluation.model_fitting import ModelingLog
from stitchrl.evaluation.requests import Request
from stitchrl.normalizer import Normalizer
from stitchrl.ope.dynamics import ModelValue, Play, play
from stitchrl.policies import Normalized
from stitchrl.splits import folds
from stitchrl.tree import pytree
from stitchrl.types import Scalar

EPISODES = 1_000  # Played of each policy, or more where more were logged.
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


class ModelValues:
    """The model family on one split, by models of two folds.

    Episodes begin where those of a fold began, and are played in a model of the other one.
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
        self.discount, self.seed = discount, seed
        self.fold = folds(dataset, seed)
        self.log = ModelingLog(dataset, self.fold, updates=updates // 2, seed=seed)

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
        return self._played(None, 0.0)[0]

    def _value(self, candidate: Candidate, share: float) -> ModelValue:
        value, outside, endless = self._played(candidate, share)
        return ModelValue(
            value,
            outside,
            endless if self._must_end else 0.0,
            self.log.models.kind,
            self._present,
        )

    def _played(
        self, candidate: Candidate | None, share: float
    ) -> tuple[float, float, float]:
        """Mean return, and shares: of steps outside, of endless episodes."""
        act = "sample" if candidate is None else candidate.act
        found = []
        for number, ensemble in enumerate(self.log.models.of_fold):
            behavior = self.imitations[number]
            policy = behavior if candidate is None else candidate.policy
            acting = Mixture(policy, behavior, self.log.normalizer, jnp.float32(share))
            found.append(self._episodes(ensemble, acting, number, act))
        weight = np.bincount(self.fold) / self.dataset.episodes
        values = np.array([one.returns.mean() for one in found])
        steps = sum(float(one.steps.sum()) for one in found)
        outside = sum(float(one.outside.sum()) for one in found)
        endless = 1 - np.mean([one.ended.mean() for one in found])
        return float(weight @ values), outside / steps, float(endless)

    def _episodes(self, ensemble: Any, acting: Mixture, number: int, act: str) -> Play:
        """(members, episodes) from the starts of one fold."""
        dataset = self.dataset
        members = jax.tree.leaves(ensemble)[0].shape[0]
        first = dataset.first_row[self.fold == number]
        each = max(-(-EPISODES // (2 * members)), -(-len(first) // members))
        # Every start is played as often as any other, give or take one, by all together.
        rows = np.resize(first, members * each).reshape(each, members).T
        raw = dataset.observation[rows.ravel()]
        starts = self.log.normalizer.rows(raw).reshape(*rows.shape, -1)
        key = jax.random.fold_in(jax.random.key(self.seed), PLAYED + number)
        keys = jax.random.split(key, members)
        acts = _by_mode if act == "mode" else _by_sample
        found = play(
            ensemble,
            acting,
            starts,
            self.log.limits,
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
