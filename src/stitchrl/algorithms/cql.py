"""Conservative Q-learning, CQL(H) (Kumar et al., 2020; arXiv:2006.04779)."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from stitchrl.algorithms.sac import SAC, sample_actions
from stitchrl.experience import Transition
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.networks import Critics, Multiplier
from stitchrl.policies import SquashedGaussian
from stitchrl.spaces import Continuous, Spec
from stitchrl.tree import hyperparameters


class CQLState(NamedTuple):
    """What CQL has learned, and how many updates it took."""

    actor: Learner[SquashedGaussian]
    critics: Learner[Critics]
    temperature: Learner[Multiplier]
    weight: Learner[Multiplier]
    target_critics: Critics
    step: Int[Array, ""]


@hyperparameters
class CQL(SAC):
    """SAC whose critics are pushed down where Q is large and up on logged actions.

    Update order: temperature, on the old actor; then actor (on the old critics and the new
    temperature), critics (with the old actor) and weight (of the old gap), none seeing
    another's step; then targets. The authors' code does the same.
    Departures: `weight_learning_rate > 0` is the Lagrange form; its target is compared with
    the unweighted gap (the authors' is multiplied by a fixed weight first), and the step is
    on log α without the factor α. The Lagrange form is off unless asked for. All layers
    start uniform in ±1/√inputs; the authors' last layers start near zero.
    """

    actions: ClassVar = (Continuous,)
    is_control: ClassVar = False
    is_stochastic: ClassVar = True  # Each row of a batch gets noise of its own.
    shares_of_run: ClassVar = {"cloning_updates": 40 / 3_000}  # Of a run that is shorter.

    initial_weight: float = 5.0  # α, Eq. 4.
    weight_learning_rate: float = 0.0  # Zero keeps the weight; else dual ascent, Eq. 30.
    target_gap: float = 5.0  # τ, Eq. 30.
    cloning_updates: float = 40_000.0  # The actor first imitates; in the code only.
    actor_learning_rate: float = 1e-4  # The paper says 3e-5.
    action_samples: int = 10
    hidden: tuple[int, ...] = (256, 256, 256)

    @property
    def weight_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.weight_learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> Any:
        weight = Multiplier.create(self.initial_weight)
        weight = Learner.create(weight, self.weight_optimizer)
        return CQLState(**super().init(key, spec)._asdict(), weight=weight)

    def update(
        self, state: CQLState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[CQLState, Metrics]:
        actor, critics = state.actor.network, state.critics.network
        actor_key, next_key, gap_key = jax.random.split(key, 3)

        temperature, metrics = state.temperature.minimize(
            self.temperature_loss, actor, batch, actor_key, optimizer=self.actor_optimizer
        )
        new_actor, actor_metrics = state.actor.minimize(
            self.cloning_or_soft_loss, state.step, critics, temperature.network, batch,
            actor_key, optimizer=self.actor_optimizer,
        )  # fmt: skip
        next_value = self.next_value(actor, state.target_critics, batch, next_key)
        new_critics, critic_metrics = state.critics.minimize(
            self.conservative_loss, state.weight.network, actor, gap_key, next_value, batch,
            optimizer=self.optimizer,
        )  # fmt: skip
        weight, weight_metrics = state.weight.minimize(
            self.weight_loss, critic_metrics["critics/gap"],
            optimizer=self.weight_optimizer,
        )  # fmt: skip
        targets = move_towards(
            state.target_critics, source=new_critics.network, rate=self.target_rate
        )
        metrics = metrics | actor_metrics | critic_metrics | weight_metrics
        step = state.step + 1
        return CQLState(new_actor, new_critics, temperature, weight, targets, step), metrics

    def cloning_or_soft_loss(self, actor, step, critics, temperature, batch, key):
        """Imitate for the first updates, with the entropy bonus; then maximize Q."""
        soft, metrics = self.actor_loss(actor, critics, temperature, batch, key)
        likelihood = jax.vmap(actor.log_likelihood)(batch.observation, batch.action)
        clone = -likelihood.mean() - temperature() * metrics["actor/entropy"]
        is_cloning = step.astype(jnp.float32) < self.cloning_updates
        return jnp.where(is_cloning, clone, soft), metrics | {"actor/clone": clone}

    def next_value(self, actor, target_critics, batch, key) -> Float[Array, "batch"]:
        """min Q'(s', a'), a' from π; no entropy (the authors' deterministic backup)."""
        action, _ = sample_actions(actor, batch.next_observation, key)
        return jax.vmap(target_critics)(batch.next_observation, action).min(axis=-1)

    def conservative_loss(self, critics, weight, actor, gap_key, next_value, batch):
        """Eq. 4: the squared TD error plus α times the gap, summed over critics."""
        loss, metrics = self.critic_loss(critics, next_value, batch)
        gap = self.gap(critics, actor, batch, gap_key)
        return loss + weight() * gap.sum(), metrics | {"critics/gap": gap.mean()}

    def weight_loss(self, weight: Multiplier, gap: Float[Array, ""]):
        """Eq. 30: raise α while the gap of the old critics, which is given, is above τ.

        Computed anew it would cost as much again: XLA does not merge drawn numbers.
        """
        return -weight.log * (gap - self.target_gap), {"weight": weight()}

    def gap(
        self,
        critics: Critics,
        actor: SquashedGaussian,
        batch: Transition,
        key: Key[Array, ""],
    ) -> Float[Array, "ensemble"]:
        """log Σ exp Q less Q(s, a); the sum over uniform actions and π's at s and s'.

        Where nothing followed, π's actions at s stand in for those at s'.
        """
        count, size = self.action_samples, batch.action.shape[-1]

        def draw(observation, next_observation, key):
            keys = jax.random.split(key, 2 * count + 1)
            uniform = jax.random.uniform(keys[0], (count, size), minval=-1.0, maxval=1.0)
            sample = jax.vmap(actor.sample_and_log_prob, in_axes=(None, 0))
            here, here_log_prob = sample(observation, keys[1 : count + 1])
            there, there_log_prob = sample(next_observation, keys[count + 1 :])
            uniform_log_prob = jnp.full(count, -size * jnp.log(2.0))
            log_prob = jnp.concatenate([uniform_log_prob, here_log_prob, there_log_prob])
            return jnp.concatenate([uniform, here, there]), log_prob

        keys = jax.random.split(key, batch.reward.shape[0])
        following = jnp.where(
            batch.terminated[:, None], batch.observation, batch.next_observation
        )
        actions, log_prob = jax.vmap(draw)(batch.observation, following, keys)
        # One axis of rows: with two, the gradient of the weights is 3 times as slow.
        rows = jnp.repeat(batch.observation, 3 * count, axis=0)
        q = jax.vmap(critics)(rows, actions.reshape(-1, size))
        q = q.reshape(*log_prob.shape, -1)
        soft = jax.nn.logsumexp(q - log_prob[..., None], axis=1)
        logged = jax.vmap(critics)(batch.observation, batch.action)
        return (soft - logged).mean(axis=0)
