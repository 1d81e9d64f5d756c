"""AWAC, advantage-weighted actor-critic (Nair et al., 2020; arXiv:2006.09359)."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from stitchrl.expectations import expected_values
from stitchrl.experience import (
    Experience,
    Transition,
    TransitionWithNextAction,
    sample_with_next_action,
)
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import ensemble_error, mean_where, sarsa_target, td_target
from stitchrl.networks import Critics
from stitchrl.policies import Categorical, Gaussian, likelihood_policy
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.tree import hyperparameters


class AWACState(NamedTuple):
    """What AWAC has learned."""

    actor: Learner[Gaussian | Categorical]
    critics: Learner[Critics]
    target_critics: Critics


@hyperparameters
class AWAC:
    """Clone by advantage over the policy itself, whose value twin critics learn by TD.

    Update order: the critics (next actions from the old actor) and the actor (weights from
    the old critics), neither seeing the other's step; then targets. So do the authors.
    Departures: weights are exp(A/λ), clipped as in CORL; the authors' code takes a softmax
    over the batch, times its size ("softmax" here). λ is 1, but 2 in their sweep. Their
    50,000 updates on the log precede learning online; here all are on the log. The policy
    is a truncated Gaussian, with a log-std from -5 to 2 and at first 0 (theirs: -6 to 0, at
    first -3). Of discrete actions, which are ours, values of the policy are exact. Next
    actions from the log ("logged", SARSA) are ours too: where an episode was cut none is
    known, and the row teaches the actor only.
    """

    actions: ClassVar = (Continuous, Discrete)
    is_stochastic: ClassVar = True  # Each row of a batch draws actions of its own.
    needs: ClassVar = ("rewards",)
    has_squared_errors: ClassVar = True
    choices: ClassVar = {"next_action": ("policy", "logged"), "weights": ("exp", "softmax")}

    next_action: str = "policy"
    weights: str = "exp"
    temperature: float = 1.0  # λ
    max_weight: float = 100.0  # On "exp" only.
    weight_decay: float = 1e-4  # Of the actor, added to its gradient before Adam.
    action_samples: int = 1  # For the value of the policy at s.
    discount: float = 0.99  # γ
    target_rate: float = 0.005
    learning_rate: float = 3e-4
    batch_size: int = 1024
    hidden: tuple[int, ...] = (256, 256)  # Of the critics; the actor has all layers twice.

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> AWACState:
        actor_key, critic_key = jax.random.split(key)
        actor = likelihood_policy(actor_key, spec, 2 * self.hidden)
        critics = Critics.create(critic_key, spec, self.hidden)
        return AWACState(
            actor=Learner.create(actor, self.optimizer),
            critics=Learner.create(critics, self.optimizer),
            target_critics=critics,
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> TransitionWithNextAction:
        return sample_with_next_action(data, key, self.batch_size, self.discount)

    def update(
        self, state: AWACState, batch: TransitionWithNextAction, key: Key[Array, ""]
    ) -> tuple[AWACState, Metrics]:
        old_actor, old_critics = state.actor.network, state.critics.network
        value_key, next_key = jax.random.split(key)
        target, is_known = self.target(state.target_critics, old_actor, batch, next_key)
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss, target, is_known, batch.transition, optimizer=self.optimizer
        )
        advantage = self.advantage(old_critics, old_actor, batch.transition, value_key)
        actor, actor_metrics = state.actor.minimize(
            self.actor_loss, advantage, batch.transition, optimizer=self.optimizer
        )
        targets = move_towards(
            state.target_critics, source=critics.network, rate=self.target_rate
        )
        return AWACState(actor, critics, targets), critic_metrics | actor_metrics

    def policy(self, state: AWACState) -> Gaussian | Categorical:
        return state.actor.network

    def action_value(self, state: AWACState) -> Critics:
        return state.critics.network

    def target(self, target_critics, actor, batch: TransitionWithNextAction, key):
        """r + γ min Q'(s', a'), and where it is known: everywhere if a' is from π."""
        if self.next_action == "logged":
            return sarsa_target(target_critics, batch, self.discount)
        logged = batch.transition
        next_value = expected_values(target_critics, actor, logged.next_observation, key)
        is_known = jnp.ones_like(logged.terminated)
        return td_target(logged, self.discount, next_value), is_known

    def critic_loss(self, critics: Critics, target, is_known, batch: Transition):
        """Squared error of Q(s, a) to its target, where that is known."""
        q = critics.at_rows(batch.observation, batch.action)
        loss = mean_where(ensemble_error(q, target), is_known)
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def advantage(self, critics: Critics, actor, batch: Transition, key):
        """min Q(s, a) less its mean over actions of the policy."""
        value = expected_values(
            critics, actor, batch.observation, key, count=self.action_samples
        )
        return critics.at_rows(batch.observation, batch.action).min(axis=-1) - value

    def actor_loss(
        self,
        actor: Gaussian | Categorical,
        advantage: Float[Array, "batch"],
        batch: Transition,
    ):
        """Log-likelihood of logged actions, weighted by exp(A/λ)."""
        if self.weights == "softmax":
            weight = jax.nn.softmax(advantage / self.temperature) * advantage.size
        else:
            weight = jnp.exp(advantage / self.temperature)
            weight = jnp.minimum(weight, self.max_weight)
        likelihood = jax.vmap(actor.log_likelihood)(batch.observation, batch.action)
        loss = -(weight * likelihood).mean()
        metrics = {"actor/loss": loss, "actor/advantage": advantage.mean()}
        squares = sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(actor))
        return loss + 0.5 * self.weight_decay * squares, metrics
