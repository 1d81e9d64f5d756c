"""Conservative Q-learning: CQL(H) and its basic form (Kumar et al.; arXiv:2006.04779)."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from stitchrl.algorithms.conservative import (
    FORMS,
    Samples,
    draw_samples,
    multiplier_loss,
)
from stitchrl.algorithms.sac import SAC, sample_actions
from stitchrl.blocks import mean_over_blocks
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.networks import Critics, Multiplier
from stitchrl.policies import SquashedGaussian
from stitchrl.spaces import Continuous, Spec
from stitchrl.tree import hyperparameters

ROWS_TOGETHER = 512  # Samples whose Q is pushed down in one block: they fit a cache.


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
    start uniform in ±1/√inputs; the authors' last layers start near zero. The maximum over
    next actions is of the minimum over critics, as in CORL; the authors take the minimum of
    the maxima.
    """

    actions: ClassVar = (Continuous,)
    is_control: ClassVar = False
    is_conservative: ClassVar = True
    has_entropy_in_values: ClassVar = False
    is_stochastic: ClassVar = True  # Each row of a batch gets noise of its own.
    choices: ClassVar = {"form": FORMS}
    shares_of_run: ClassVar = {"cloning_updates": 40 / 3_000}  # Of a run that is shorter.

    form: str = "entropy"  # Eq. 4, log Σ exp Q; or "uniform": Eq. 2, mean Q of uniform a.
    initial_weight: float = 5.0  # α, Eq. 4.
    weight_learning_rate: float = 0.0  # Zero keeps the weight; else dual ascent, Eq. 30.
    target_gap: float = 5.0  # τ, Eq. 30.
    cloning_updates: float = 40_000.0  # The actor first imitates; in the code only.
    actor_learning_rate: float = 1e-4  # The paper says 3e-5.
    action_samples: int = 10
    max_target_backup: bool = False  # The best of so many next actions, not one at random.
    hidden: tuple[int, ...] = (256, 256, 256)

    @property
    def weight_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.weight_learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> Any:
        weight = Multiplier.create(self.initial_weight)
        weight = Learner.create(weight, self.weight_optimizer)
        return CQLState(**super().init(key, spec)._asdict(), weight=weight)

    def update(
        self, state: Any, batch: Any, key: Key[Array, ""], known: Any = None
    ) -> tuple[Any, Metrics]:
        actor, critics = state.actor.network, state.critics.network
        actor_key, next_key, gap_key = jax.random.split(key, 3)

        temperature, metrics = state.temperature.minimize(
            self.temperature_loss, actor, batch, actor_key, optimizer=self.actor_optimizer
        )
        new_actor, actor_metrics = state.actor.minimize(
            self.cloning_or_soft_loss, state.step, critics, temperature.network, batch,
            actor_key, known, optimizer=self.actor_optimizer,
        )  # fmt: skip
        next_value = self.next_value(actor, state.target_critics, batch, next_key)
        samples = self.samples(actor, batch, gap_key, known)
        new_critics, critic_metrics = state.critics.minimize(
            self.conservative_loss, state.weight.network, samples, next_value, batch,
            known, optimizer=self.optimizer,
        )  # fmt: skip
        weight, weight_metrics = state.weight.minimize(
            multiplier_loss, critic_metrics["critics/gap"], self.target_gap,
            optimizer=self.weight_optimizer,
        )  # fmt: skip
        targets = move_towards(
            state.target_critics, source=new_critics.network, rate=self.target_rate
        )
        metrics = metrics | actor_metrics | critic_metrics | weight_metrics
        step = state.step + 1
        return CQLState(new_actor, new_critics, temperature, weight, targets, step), metrics

    def cloning_or_soft_loss(
        self, actor, step, critics, temperature, batch, key, known=None
    ):
        """Imitate for the first updates, with the entropy bonus; then maximize Q."""
        del known  # For variants: what they know of each row.
        soft, metrics = self.actor_loss(actor, critics, temperature, batch, key)
        likelihood = jax.vmap(actor.log_likelihood)(batch.observation, batch.action)
        clone = -likelihood.mean() - temperature() * metrics["actor/entropy"]
        is_cloning = step.astype(jnp.float32) < self.cloning_updates
        return jnp.where(is_cloning, clone, soft), metrics | {"actor/clone": clone}

    def next_value(self, actor, target_critics, batch, key) -> Float[Array, "batch"]:
        """min Q'(s', a'), a' from π; no entropy (the authors' deterministic backup)."""
        count = self.action_samples if self.max_target_backup else 1
        rows = jnp.repeat(batch.next_observation, count, axis=0)
        action, _ = sample_actions(actor, rows, key)
        value = target_critics.at_rows(rows, action).min(axis=-1)
        return value.reshape(-1, count).max(axis=1)

    def conservative_loss(self, critics, weight, samples, next_value, batch, known=None):
        """Eq. 4: the squared TD error plus α times the gap, summed over critics."""
        loss, metrics = self.critic_loss(critics, next_value, batch)
        gap = self.gap(critics, samples, batch, known)
        count = len(jax.tree.leaves(critics)[0])
        return loss + weight() * gap, metrics | {"critics/gap": gap / count}

    def samples(self, actor, batch, key, known=None) -> Samples:
        """Actions whose values are pushed down."""
        del known
        return draw_samples(self.form, actor, batch, key, self.action_samples)

    def gap(self, critics, samples, batch, known=None) -> Float[Array, ""]:
        """What is pushed down, Q of samples, less what is pushed up, Q of the log.

        Summed over critics.
        """
        rows = batch.observation, samples, self.of_rows(known)
        size = max(1, ROWS_TOGETHER // samples.action.shape[1])
        down = mean_over_blocks(self.pushed_down, critics, rows, size=size)
        logged = critics.at_rows(batch.observation, batch.action)
        return down - self.push_up(logged, known).sum(axis=1).mean()

    def of_rows(self, known: Any) -> Any:
        """Of what variants know, what is one number for each row."""
        return known

    def pushed_down(self, critics: Critics, rows: Any) -> Float[Array, ""]:
        """Mean over rows of what is pushed down, summed over critics."""
        observation, samples, known = rows
        count, size = samples.action.shape[1:]
        # One axis of rows: with two, the gradient of the weights is 3 times as slow.
        repeated = jnp.repeat(observation, count, axis=0)
        q = critics.at_rows(repeated, samples.action.reshape(-1, size))
        q = q.reshape(*samples.log_density.shape, -1)
        return self.push_down(q, samples, known).sum(axis=1).mean()

    def push_down(self, q, samples, known) -> Float[Array, "batch ensemble"]:
        """log Σ exp Q, each sample divided by its density; or the mean of Q (basic)."""
        del known
        if self.form == "uniform":
            return q.mean(axis=1)
        return jax.nn.logsumexp(q - samples.log_density[..., None], axis=1)

    def push_up(self, logged, known) -> Float[Array, "batch ensemble"]:
        """Q of the logged actions."""
        del known
        return logged
