"""Critic-regularized regression (Wang et al., 2020; arXiv:2006.15134)."""

from functools import partial
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from stitchrl.expectations import expected_values, max_of, mean_of, values_under
from stitchrl.experience import Experience, Transition, sample_transitions
from stitchrl.learner import Learner, Metrics
from stitchrl.losses import ensemble_error, td_target
from stitchrl.networks import Critics
from stitchrl.policies import Categorical, Gaussian, likelihood_policy
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.tree import hyperparameters


class CRRState(NamedTuple):
    """What CRR has learned, and in how many updates."""

    actor: Learner[Gaussian | Categorical]
    critics: Learner[Critics]
    target_actor: Gaussian | Categorical
    target_critics: Critics
    step: Int[Array, ""]


@hyperparameters
class CRR:
    """Clone the logged actions that the critic values above the policy's own.

    Update order: the actor (weights from the old critics and the old actor) and the critics
    (next actions from the target actor, valued by the target critics), neither seeing the
    other's step; every `target_period` updates both targets become copies. So does acme.
    Departures: acme is the reference; the paper's critics are distributional, and its
    policies are wider. The policy is a truncated Gaussian around a tanh, not a tanh of a
    Gaussian. Acme has no maximum, and acts with the target actor. Of discrete actions,
    which are ours, both the mean and the maximum over the policy's actions are exact, and
    so is the target.
    """

    actions: ClassVar = (Continuous, Discrete)
    is_stochastic: ClassVar = True  # Each row of a batch draws actions of its own.
    needs: ClassVar = ("rewards",)
    choices: ClassVar = {"weights": ("exp", "binary"), "baseline": ("mean", "max")}

    weights: str = "exp"  # Eq. 4, or "binary": 1(A > 0), Eq. 3.
    baseline: str = "mean"  # Of Q over the policy's actions, or "max"; Table 1.
    temperature: float = 1.0  # β, Eq. 4.
    max_weight: float = 20.0
    action_samples: int = 4  # m, Table 1.
    discount: float = 0.99  # γ
    target_period: int = 100
    learning_rate: float = 3e-4
    ensemble: int = 1  # Of several critics the smallest counts.
    batch_size: int = 256
    hidden: tuple[int, ...] = (256, 256)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> CRRState:
        actor_key, critic_key = jax.random.split(key)
        actor = likelihood_policy(actor_key, spec, self.hidden)
        critics = Critics.create(critic_key, spec, self.hidden, self.ensemble)
        return CRRState(
            actor=Learner.create(actor, self.optimizer),
            critics=Learner.create(critics, self.optimizer),
            target_actor=actor,
            target_critics=critics,
            step=jnp.array(0, jnp.int32),
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return sample_transitions(data, key, self.batch_size, self.discount)

    def update(
        self, state: CRRState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[CRRState, Metrics]:
        weight_key, next_key = jax.random.split(key)
        advantage = self.advantage(
            state.critics.network, state.actor.network, batch, weight_key
        )
        actor, actor_metrics = state.actor.minimize(
            self.actor_loss, advantage, batch, optimizer=self.optimizer
        )
        next_value = expected_values(
            state.target_critics, state.target_actor, batch.next_observation, next_key
        )
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss, next_value, batch, optimizer=self.optimizer
        )
        step = state.step + 1
        renewed = partial(jnp.where, step % self.target_period == 0)
        target_actor = jax.tree.map(renewed, actor.network, state.target_actor)
        target_critics = jax.tree.map(renewed, critics.network, state.target_critics)
        after = CRRState(actor, critics, target_actor, target_critics, step)
        return after, actor_metrics | critic_metrics

    def policy(self, state: CRRState) -> Gaussian | Categorical:
        return state.actor.network

    def action_value(self, state: CRRState) -> Critics:
        return state.critics.network

    def advantage(
        self,
        critics: Critics,
        actor: Gaussian | Categorical,
        batch: Transition,
        key: Key[Array, ""],
    ) -> Float[Array, "batch"]:
        """Table 1: Q(s, a) less the mean or the maximum of Q over the policy's actions."""
        over = max_of if self.baseline == "max" else mean_of

        def advantage(observation, action, key):
            q, weight = values_under(critics, actor, observation, key, self.action_samples)
            return critics(observation, action).min() - over(q, weight)

        keys = jax.random.split(key, batch.reward.shape[0])
        return jax.vmap(advantage)(batch.observation, batch.action, keys)

    def actor_loss(
        self,
        actor: Gaussian | Categorical,
        advantage: Float[Array, "batch"],
        batch: Transition,
    ):
        """Section 3.2: log-likelihood of logged actions, weighted by the given f(A)."""
        if self.weights == "binary":
            weight = (advantage > 0).astype(jnp.float32)
        else:
            weight = jnp.exp(advantage / self.temperature)
            weight = jnp.minimum(weight, self.max_weight)
        likelihood = jax.vmap(actor.log_likelihood)(batch.observation, batch.action)
        loss = -(weight * likelihood).mean()
        metrics = {"actor/advantage": advantage.mean(), "actor/weight": weight.mean()}
        return loss, metrics | {"actor/loss": loss}

    def critic_loss(
        self, critics: Critics, next_value: Float[Array, "batch"], batch: Transition
    ):
        """Section 3.1: ½ squared error of Q to r + γ Q'(s', a'), a' from the target."""
        target = td_target(batch, self.discount, next_value)
        q = critics.at_rows(batch.observation, batch.action)
        loss = 0.5 * ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}
