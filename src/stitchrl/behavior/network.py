"""Who made the log, where states are not discrete: a network that imitates it."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from stitchrl.algorithms.bc import BC
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.densities import SquashedMixture
from stitchrl.experience import Experience, Fold, Transition, take
from stitchrl.learner import Learner, cosine_decay
from stitchrl.normalizer import Normalizer
from stitchrl.ope.policy_table import DensityTable, PolicyTable
from stitchrl.ope.refusals import AT_BOUND
from stitchrl.policies import Normalized, probabilities_at_rows
from stitchrl.population import member, train_population
from stitchrl.rows import at_rows
from stitchrl.spaces import Spec
from stitchrl.tree import hyperparameters

WEIGHT_DECAYS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # The last leaves next to a constant.


@hyperparameters
class Imitation(BC):
    """Behavior cloning on one fold, with an L2 penalty and a falling learning rate.

    Update order: the actor, and nothing else.
    Departures from BC: both are there for calibration, not for return; so is the
    likelihood of continuous actions, which is that of the truncated Gaussian.
    """

    fold: Fold
    total_updates: float = 5_000.0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    hidden: tuple[int, ...] = (64, 64)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        rate = cosine_decay(self.learning_rate, self.total_updates)
        return optax.adam(rate)

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return take(data.transitions, self.fold.draw(key, self.batch_size))

    def actor_loss(self, actor: Any, batch: Transition):
        """Negative log-likelihood plus an L2 penalty on weights, not on biases."""
        loss = -jax.vmap(actor.log_prob)(batch.observation, batch.action).mean()
        weights = [leaf for leaf in jax.tree.leaves(actor) if leaf.ndim > 1]
        squares = [jnp.square(leaf).sum() for leaf in weights]
        total = loss + self.weight_decay * jnp.stack(squares).sum()
        return total, {"actor/loss": loss}


class MixtureState(NamedTuple):
    """What an imitation by a mixture has learned."""

    actor: Learner[SquashedMixture]


@hyperparameters
class MixtureImitation(Imitation):
    """Imitation by a mixture of squashed Gaussians, for behavior with several modes.

    Update order: the actor, and nothing else.
    Departures from BC: those of `Imitation`, and the kind of policy.
    """

    def init(self, key: Key[Array, ""], spec: Spec) -> Any:
        actor = SquashedMixture.create(key, spec, self.hidden)
        return MixtureState(Learner.create(actor, self.optimizer))

    def update(self, state: Any, batch: Transition, key: Key[Array, ""]) -> Any:
        del key  # Nothing is drawn.
        actor, metrics = state.actor.minimize(
            self.actor_loss, batch, optimizer=self.optimizer
        )
        return MixtureState(actor), metrics

    def policy(self, state: Any) -> Any:
        return state.actor.network


def imitate(
    dataset: Dataset, *, fold: np.ndarray, updates: int, seed: int
) -> list[Normalized]:
    """One imitation of the log for each fold (episodes,), learned from the other folds.

    Of several weight decays, and of continuous actions also of a Gaussian and a mixture,
    the one that is best at foretelling the actions of episodes which its networks did not
    see: a small log allows little more than a constant.
    """
    normalizer = Normalizer.fit(dataset)
    everything = dataclasses.replace(
        dataset,  # What followed does not matter here, so no row is lost.
        terminated=np.ones(dataset.size, bool),
    )
    experience = Experience.of(everything, normalizer)
    of_row = fold[dataset.episode]
    count = int(fold.max()) + 1
    others = Fold.of([of_row != number for number in range(count)])
    is_discrete = isinstance(dataset.actions, Choices)
    keys = list(jax.random.split(jax.random.key(seed), count)) * len(WEIGHT_DECAYS)
    found = []
    for kind in (Imitation,) if is_discrete else (Imitation, MixtureImitation):
        models = [
            kind(fold=rows, total_updates=float(updates), weight_decay=decay)
            for decay in WEIGHT_DECAYS
            for rows in others
        ]
        states = train_population(models, experience, keys, updates)
        actors = [model.policy(member(states, i)) for i, model in enumerate(models)]
        found += [actors[i : i + count] for i in range(0, len(actors), count)]
    unseen = [np.flatnonzero(of_row == number) for number in range(count)]
    best = max(found, key=lambda folds: _log_likelihood(folds, experience, unseen))
    return [Normalized(actor, normalizer) for actor in best]


def _log_likelihood(actors: list, experience: Experience, unseen: list) -> float:
    """Of all logged actions together, each by the network that did not see it.

    Continuous ones at a bound are left out: a density may put any height there.
    """
    total = 0.0
    for actor, rows in zip(actors, unseen):
        batch = take(experience.transitions, rows)
        found = at_rows(actor, "log_prob", batch.observation, batch.action)
        found, action = np.asarray(found), np.asarray(batch.action)
        if action.ndim > 1:
            found = found[(np.abs(action) < 1 - AT_BOUND).all(axis=1)]
        total += float(found.sum())
    return total if np.isfinite(total) else -np.inf


def behavior_table(dataset: Dataset, fold: np.ndarray, models: list) -> PolicyTable:
    """Probabilities at every row and final observation, each from a model that did not
    see its episode. Discrete actions."""
    assert isinstance(dataset.actions, Choices)
    count = dataset.actions.count
    rows = np.empty((dataset.size, count))
    final = np.empty((dataset.episodes, count))
    for number, model in enumerate(models):
        here, there = fold[dataset.episode] == number, fold == number
        rows[here] = probabilities_at_rows(
            model, dataset.observation[here], _some(dataset.valid_actions, here), count
        )
        final[there] = probabilities_at_rows(
            model,
            dataset.final_observation[there],
            _some(dataset.final_valid_actions, there),
            count,
        )
    final[np.isnan(dataset.final_observation).all(axis=1)] = np.nan
    return PolicyTable.create(rows, final)


def behavior_densities(dataset: Dataset, fold: np.ndarray, models: list) -> DensityTable:
    """Densities of logged continuous actions, per unit of the log's own action.

    Each is from a model that did not see its episode.
    """
    assert isinstance(dataset.actions, Bounds)
    log_prob = _of_logged(dataset, fold, models, "log_prob")
    return DensityTable(np.exp(log_prob) / dataset.actions.stretch)


def transforms(dataset: Dataset, fold: np.ndarray, models: list) -> np.ndarray:
    """float64 (size, action): F(a | s) of each component of logged continuous actions.

    Each is from a model that did not see its episode.
    """
    found = _of_logged(dataset, fold, models, "cdf")
    return np.clip(found, 0.0, 1.0)


def _of_logged(dataset: Dataset, fold: np.ndarray, models: list, method: str) -> np.ndarray:
    """float64 (size, *): of each observation and logged action, by its fold's model."""
    assert isinstance(dataset.actions, Bounds)
    action = dataset.actions.to_unit(dataset.action).astype(np.float32)
    of_row = fold[dataset.episode]
    rows = [np.flatnonzero(of_row == number) for number in range(len(models))]
    parts = [
        np.asarray(
            at_rows(model, method, dataset.observation[here], action[here]), np.float64
        )
        for model, here in zip(models, rows)
    ]
    return np.concatenate(parts)[np.argsort(np.concatenate(rows))]


def _some(valid: np.ndarray | None, here: np.ndarray) -> np.ndarray | None:
    return None if valid is None else valid[here]
