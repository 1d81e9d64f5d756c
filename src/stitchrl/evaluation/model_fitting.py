"""Models of the process that made a log, fitted on one split in two folds."""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.experience import Experience, Fold
from stitchrl.normalizer import Normalizer
from stitchrl.ope.dynamics import LEAST_SPREAD, Limits, Rows
from stitchrl.ope.dynamics_linear import fit_linear, linear_surprise
from stitchrl.ope.dynamics_network import Dynamics
from stitchrl.population import member, stack, train_population

MEMBERS = 5  # Networks of an ensemble.
SLACK = 0.02  # Of a feature's spread and range: less beyond the log is not outside.


class Models(NamedTuple):
    """What a log is modeled by."""

    kind: str
    of_fold: list[Any]  # An ensemble (members, …) that did not see the fold.


class ModelingLog:
    """A log as models of its process see it. `fold` (episodes,) is 0 or 1.

    A linear-Gaussian model is fitted too where no episode ends by termination before a
    declared horizon; the kind is used that is less surprised by transitions it did not see.
    """

    def __init__(self, dataset: Dataset, fold: np.ndarray, *, updates: int, seed: int):
        self.updates, self.seed = updates, seed
        self.normalizer = Normalizer.fit(dataset)
        self.experience = Experience.of(dataset, self.normalizer)
        kept = dataset.has_next
        of_row = fold[dataset.episode][kept]
        self.others = [of_row != number for number in range(2)]  # Who may not see a fold.
        space = dataset.actions
        self.count = space.count if isinstance(space, Choices) else 0
        horizon = np.inf if dataset.horizon is None else dataset.horizon
        by_horizon = dataset.step_in_episode + 1 >= horizon
        self.ends = np.asarray(dataset.terminated & ~by_horizon)[kept]

    @cached_property
    def limits(self) -> Limits:
        """The range of what was logged, in the units of models."""
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
    def models(self) -> Models:
        """Of both folds."""
        networks = self._networks()
        goes_on = ~np.asarray(self.experience.transitions.terminated)
        if self.ends.any() or not all(goes_on[others].any() for others in self.others):
            return Models("networks", networks)
        linear, surprise, of_networks = [], 0.0, 0.0
        for others, network in zip(self.others, networks):
            seen, own = self._rows(others), self._rows(~others)
            model = fit_linear(seen, count=self.count)
            linear.append(stack([model]))
            surprise += linear_surprise(model, seen, own) * len(own.reward)
            of_networks += _surprise(network, own) * len(own.reward)
        if surprise >= of_networks:
            return Models("networks", networks)
        return Models("linear-Gaussian", linear)

    def _networks(self) -> list[Any]:
        some, models = Fold.of(self.others), []
        for number, others in enumerate(self.others):
            mean, scale = _spread(self._rows(others))
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

    @cached_property
    def _columns(self) -> Rows:
        found = jax.device_get(self.experience.transitions)
        change = found.next_observation - found.observation
        return Rows(
            found.observation, found.action, change, found.reward, ~found.terminated
        )

    def _rows(self, some: np.ndarray) -> Rows:
        return Rows(*(column[some] for column in self._columns))


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
    return float(_mean_surprise(ensemble, rows))


@jax.jit
def _mean_surprise(ensemble: Any, rows: Rows) -> Any:
    def of_one(model: Any) -> Any:
        return jax.vmap(model.surprise)(*rows).mean()

    return jax.vmap(of_one)(ensemble).mean()
