"""One-step RL (Brandfonbrener, Whitney, Ranganath and Bruna, 2021; arXiv:2106.08909)."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, Key

from stitchrl.expectations import expected_values, mean_of, support, values_under
from stitchrl.experience import (
    Experience,
    Transition,
    TransitionWithNextAction,
    sample_with_next_action,
)
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import ensemble_error, mean_where, sarsa_target
from stitchrl.networks import Critics
from stitchrl.policies import Categorical, Gaussian, best_of, likelihood_policy
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.tree import hyperparameters


class OneStepState(NamedTuple):
    """What one-step RL has learned, and in how many updates."""

    behavior: Learner[Gaussian | Categorical]
    critics: Learner[Critics]
    actor: Learner[Gaussian | Categorical] | None  # None: "easy_bcq" has none.
    target_critics: Critics
    step: Int[Array, ""]


@hyperparameters
class OneStep:
    """Evaluate the behavior by SARSA, imitate it, and improve on it once.

    Nothing that the actor does reaches the critics: no action outside of the log is ever
    bootstrapped from.

    Update order: the model of the behavior and the critics, neither seeing the other's
    step; the actor on both as they are then; the target critics in the first of every
    `target_period` updates (the authors: in the last).
    Departures: the authors take 500,000 updates of the behavior, then 2 million of the
    critics, then 100,000 of the actor, which starts as the behavior. Here all learn in
    every update: neither of the first two sees the actor, so that they become the same, and
    the actor follows them. One critic, as in their default; of two, the smaller counts for
    targets and actor. Log-stds do not depend on the observation. All policies draw from
    truncated Gaussians; theirs are clipped. "easy_bcq" has a mode: its draws there are
    always the same ones. Of discrete actions, which are ours, all expectations and the best
    of N are exact. Where an episode was cut, the last row teaches the critics nothing.
    """

    actions: ClassVar = (Continuous, Discrete)
    is_stochastic: ClassVar = True  # Each row of a batch draws actions of its own.
    needs: ClassVar = ("rewards", "next_action")
    has_squared_errors: ClassVar = True
    choices: ClassVar = {"operator": ("reverse_kl", "exponential", "easy_bcq")}

    operator: str = "reverse_kl"
    kl_weight: float = 1.0  # α, of "reverse_kl".
    inverse_temperature: float = 0.01  # Of "exponential"; the paper tunes it.
    max_weight: float = 100.0  # Of "exponential".
    action_samples: int = 10  # For KL and for E Q; "easy_bcq" takes the best of so many.
    discount: float = 0.99  # γ
    target_rate: float = 0.005
    target_period: int = 2
    learning_rate: float = 1e-4
    ensemble: int = 1
    batch_size: int = 512
    hidden: tuple[int, ...] = (1024, 1024)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> OneStepState:
        policy_key, critic_key = jax.random.split(key)
        policy = likelihood_policy(policy_key, spec, self.hidden)
        critics = Critics.create(critic_key, spec, self.hidden, self.ensemble)
        learner = Learner.create(policy, self.optimizer)
        return OneStepState(
            behavior=learner,
            critics=Learner.create(critics, self.optimizer),
            actor=None if self.operator == "easy_bcq" else learner,
            target_critics=critics,
            step=jnp.array(0, jnp.int32),
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> TransitionWithNextAction:
        return sample_with_next_action(data, key, self.batch_size, self.discount)

    def update(
        self, state: OneStepState, batch: TransitionWithNextAction, key: Key[Array, ""]
    ) -> tuple[OneStepState, Metrics]:
        optimizer, logged = self.optimizer, batch.transition
        behavior, metrics = state.behavior.minimize(
            self.behavior_loss, logged, optimizer=optimizer
        )
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss, state.target_critics, batch, optimizer=optimizer
        )
        actor, metrics = state.actor, metrics | critic_metrics
        if actor is not None:
            loss = getattr(self, f"{self.operator}_loss")
            known = behavior.network, critics.network, logged, key
            actor, actor_metrics = actor.minimize(loss, *known, optimizer=optimizer)
            metrics = metrics | actor_metrics
        is_due = state.step % self.target_period == 0
        rate = jnp.where(is_due, self.target_rate, 0.0)
        targets = move_towards(state.target_critics, source=critics.network, rate=rate)
        return OneStepState(behavior, critics, actor, targets, state.step + 1), metrics

    def policy(self, state: OneStepState) -> Any:
        if state.actor is not None:
            return state.actor.network
        networks = state.critics.network, state.behavior.network
        return best_of(*networks, self.action_samples)

    def action_value(self, state: OneStepState) -> Critics:
        return state.critics.network

    def behavior_loss(self, behavior: Gaussian | Categorical, batch: Transition):
        """Negative log-likelihood of the logged actions."""
        likelihood = jax.vmap(behavior.log_likelihood)(batch.observation, batch.action)
        loss = -likelihood.mean()
        return loss, {"behavior/loss": loss}

    def critic_loss(
        self, critics: Critics, target_critics: Critics, batch: TransitionWithNextAction
    ):
        """Regress Q(s, a) to r + γ Q'(s', a') with the logged a', where that is known."""
        target, is_known = sarsa_target(target_critics, batch, self.discount)
        q = critics.at_rows(batch.transition.observation, batch.transition.action)
        loss = mean_where(ensemble_error(q, target), is_known)
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def exponential_loss(self, actor, behavior, critics, batch: Transition, key):
        """Log-likelihood of logged actions weighted by exp(inverse temperature · A).

        A is Q less its mean over actions of the behavior.
        """
        observation, action = batch.observation, batch.action
        value = expected_values(critics, behavior, observation, key, self.action_samples)
        advantage = critics.at_rows(observation, action).min(axis=-1) - value
        weight = jnp.exp(self.inverse_temperature * advantage)
        weight = jnp.minimum(weight, self.max_weight)
        loss = -(weight * jax.vmap(actor.log_prob)(observation, action)).mean()
        return loss, {"actor/loss": loss, "actor/advantage": advantage.mean()}

    def reverse_kl_loss(self, actor, behavior, critics, batch: Transition, key):
        """Maximize E Q(s, a) - α KL(π || β̂), both over actions of the actor."""

        def gain_and_divergence(observation: Any, key: Key[Array, ""]):
            q_key, kl_key = jax.random.split(key)
            gain = mean_of(*values_under(critics, actor, observation, q_key, 1))
            actions, weight = support(actor, observation, kl_key, self.action_samples)
            ours = jax.vmap(actor.log_prob, (None, 0))(observation, actions)
            theirs = jax.vmap(behavior.log_prob, (None, 0))(observation, actions)
            return gain, mean_of(ours - theirs, weight)

        keys = jax.random.split(key, batch.reward.shape[0])
        gain, divergence = jax.vmap(gain_and_divergence)(batch.observation, keys)
        loss = (self.kl_weight * divergence - gain).mean()
        return loss, {"actor/loss": loss, "actor/divergence": divergence.mean()}
