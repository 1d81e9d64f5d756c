"""Behavior-regularized actor-critic (Wu, Tucker and Nachum, 2019; arXiv:1911.11361)."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from stitchrl import densities
from stitchrl.densities import SquashedMixture, outcomes
from stitchrl.experience import Experience, Transition, away_from_bounds, sample_transitions
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import ensemble_error, td_target
from stitchrl.networks import Critics, Multiplier
from stitchrl.policies import Categorical, SquashedGaussian
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.tree import hyperparameters


class BRACState(NamedTuple):
    """What BRAC has learned: of the log (behavior), and from it."""

    actor: Learner[SquashedGaussian | Categorical]
    behavior: Learner[SquashedMixture | Categorical]
    critics: Learner[Critics]
    weight: Learner[Multiplier]
    target_critics: Critics


@hyperparameters
class BRAC:
    """Maximize Q while staying near a model β̂ of the log, by a penalty or a constraint.

    Forward KL(β̂ | π) is a clone term on logged actions: π covers every mode of the log.
    Reverse KL(π | β̂) keeps π where the log is dense: one mode is enough.

    Update order: β̂; critics, on the new β̂ and the old actor; actor, on the new critics and
    the new β̂; the weight, by the divergence of the old actor; then the target critics.
    Departures: β̂ is learned alongside, not before, and of continuous actions is a mixture
    of 5 Gaussians, not one; no warm start of 20,000 updates without Q; the weight of a
    constraint is learned by its logarithm, and from the actor before its step; the penalty
    is not in the target unless asked for; all layers have 300 units (theirs: policies 200);
    their ε is 0, which only β̂ attains. Forward KL and discrete actions are ours.

    Raises `ValueError` if `divergence` or `form` is none of `choices`.
    """

    actions: ClassVar = (Continuous, Discrete)
    needs: ClassVar = ("rewards",)
    is_conservative: ClassVar = True
    has_squared_errors: ClassVar = True
    is_stochastic: ClassVar = True  # Each row of a batch gets noise of its own.
    choices: ClassVar = {
        "divergence": ("forward_kl", "reverse_kl"),
        "form": ("penalty", "constraint"),
    }

    divergence: str = "reverse_kl"  # Or "forward_kl".
    form: str = "penalty"  # Or "constraint": the weight is learned.
    in_target: bool = False  # Subtract the penalty from the value of s' too: value penalty.
    initial_weight: float = 1.0  # α; .1 in the authors' script.
    weight_learning_rate: float = 1e-3  # Of a constraint only.
    max_weight: float = 500.0  # A divergence that cannot be reached stops raising it here.
    target_divergence: float = 0.5  # ε, nats: D <= ε on average, of a constraint only.
    discount: float = 0.99  # γ
    target_rate: float = 0.005
    learning_rate: float = 1e-3  # Of critics and β̂.
    actor_learning_rate: float = 3e-4
    action_samples: int = 4  # Of continuous actions; discrete ones are summed exactly.
    batch_size: int = 256
    hidden: tuple[int, ...] = (300, 300)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    @property
    def actor_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.actor_learning_rate)

    @property
    def weight_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.weight_learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> BRACState:
        actor_key, behavior_key, critic_key = jax.random.split(key, 3)
        kind = type(spec.action)
        actor = densities.SOFT_POLICY[kind].create(actor_key, spec, self.hidden)
        behavior = densities.BEHAVIOR_MODEL[kind].create(behavior_key, spec, self.hidden)
        critics = Critics.create(critic_key, spec, self.hidden)
        weight = Multiplier.create(self.initial_weight)
        return BRACState(
            actor=Learner.create(actor, self.actor_optimizer),
            behavior=Learner.create(behavior, self.optimizer),
            critics=Learner.create(critics, self.optimizer),
            weight=Learner.create(weight, self.weight_optimizer),
            target_critics=critics,
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return away_from_bounds(
            sample_transitions(data, key, self.batch_size, self.discount)
        )

    def update(
        self, state: BRACState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[BRACState, Metrics]:
        next_keys, keys = jax.random.split(key, (2, batch.reward.shape[0]))
        weight, targets = state.weight, state.target_critics
        behavior, metrics = state.behavior.minimize(
            self.behavior_loss, batch, optimizer=self.optimizer
        )
        given = (behavior.network, weight.network, batch)
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss, targets, state.actor.network, *given, next_keys,
            optimizer=self.optimizer,
        )  # fmt: skip
        actor, actor_metrics = state.actor.minimize(
            self.actor_loss, critics.network, *given, keys, optimizer=self.actor_optimizer
        )
        if self.form == "constraint":
            excess = actor_metrics["actor/divergence"] - self.target_divergence
            weight, _ = weight.minimize(
                self.weight_loss, excess, optimizer=self.weight_optimizer
            )
        targets = move_towards(targets, source=critics.network, rate=self.target_rate)
        metrics |= critic_metrics | actor_metrics | {"weight": state.weight.network()}
        return BRACState(actor, behavior, critics, weight, targets), metrics

    def policy(self, state: BRACState) -> SquashedGaussian | Categorical:
        return state.actor.network

    def action_value(self, state: BRACState) -> Critics:
        return state.critics.network

    def behavior_loss(self, behavior: Any, batch: Transition):
        """Negative log-likelihood of the logged actions."""
        loss = -jax.vmap(behavior.log_likelihood)(batch.observation, batch.action).mean()
        return loss, {"behavior/loss": loss}

    def critic_loss(self, critics, targets, actor, behavior, weight, batch, keys):
        """Regress Q(s, a) to r + γ (E min Q'(s', a') - α D(s')), with D if `in_target`."""

        def value(observation: Any, key: Key[Array, ""]) -> Float[Array, ""]:
            acts = outcomes(actor, observation, key, self.action_samples)
            found, other = densities.least_value(acts, targets, observation), behavior
            if not self.in_target:
                return found
            if self.divergence == "forward_kl":
                key = jax.random.fold_in(key, 1)
                acts = outcomes(behavior, observation, key, self.action_samples)
                other = actor
            return found - weight() * densities.divergence(acts, other, observation)

        next_value = jax.vmap(value)(batch.next_observation, keys)
        target = td_target(batch, self.discount, next_value)
        q = critics.at_rows(batch.observation, batch.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def actor_loss(self, actor, critics, behavior, weight, batch, keys):
        """Maximize E min Q(s, a) - α D; forward D on logged actions, else on π's."""

        def terms(observation: Any, action: Any, key: Key[Array, ""]):
            acts = outcomes(actor, observation, key, self.action_samples)
            value = densities.least_value(acts, critics, observation)
            if self.divergence == "reverse_kl":
                return value, densities.divergence(acts, behavior, observation)
            likelihood = actor.log_likelihood(observation, action)
            return value, behavior.log_likelihood(observation, action) - likelihood

        value, distance = jax.vmap(terms)(batch.observation, batch.action, keys)
        loss = (weight() * distance - value).mean()
        return loss, {"actor/loss": loss, "actor/divergence": distance.mean()}

    def weight_loss(self, weight: Multiplier, excess: Float[Array, ""]):
        """Raise α while the divergence exceeds ε; by how much it does is given."""
        excess = jnp.where(weight() < self.max_weight, excess, jnp.minimum(excess, 0.0))
        return -weight.log * excess, {}
