"""Behavior cloning (Pomerleau, 1991, Neural Computation 3(1)): imitate the log."""

from typing import ClassVar, NamedTuple

import jax
import optax
from jaxtyping import Array, Key

from stitchrl.experience import Experience, Transition, sample_transitions
from stitchrl.learner import Learner, Metrics
from stitchrl.policies import Categorical, Gaussian, likelihood_policy
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.tree import hyperparameters


class BCState(NamedTuple):
    """What behavior cloning has learned."""

    actor: Learner[Gaussian | Categorical]


@hyperparameters
class BC:
    """Maximize the likelihood of the logged actions.

    Update order: the actor, and nothing else.
    Departures: none; sizes and learning rate are those of IQL's actor.
    """

    actions: ClassVar = (Continuous, Discrete)

    learning_rate: float = 3e-4
    batch_size: int = 256
    hidden: tuple[int, ...] = (256, 256)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> BCState:
        actor = likelihood_policy(key, spec, self.hidden)
        return BCState(Learner.create(actor, self.optimizer))

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return sample_transitions(data, key, self.batch_size)

    def update(
        self, state: BCState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[BCState, Metrics]:
        del key  # Nothing is drawn.
        actor, metrics = state.actor.minimize(
            self.actor_loss, batch, optimizer=self.optimizer
        )
        return BCState(actor), metrics

    def policy(self, state: BCState) -> Gaussian | Categorical:
        return state.actor.network

    def actor_loss(self, actor: Gaussian | Categorical, batch: Transition):
        """Negative log-likelihood of the logged actions."""
        loss = -jax.vmap(actor.log_likelihood)(batch.observation, batch.action).mean()
        return loss, {"actor/loss": loss}
