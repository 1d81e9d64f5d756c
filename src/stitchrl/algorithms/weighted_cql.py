"""CQL with weights from a model of the log and from its returns; a practice, no paper.

What it changes is CQL of Kumar et al., 2020; arXiv:2006.04779.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from stitchrl.algorithms.conservative import (
    FORMS,
    Samples,
    imitation_loss,
    return_weights,
    unlikeliness,
)
from stitchrl.algorithms.cql import CQL, CQLState
from stitchrl.algorithms.sac import sample_actions
from stitchrl.experience import Experience
from stitchrl.learner import Learner, Metrics
from stitchrl.networks import Critics, Multiplier
from stitchrl.policies import SquashedGaussian
from stitchrl.returns import WithReturns, sample_with_returns
from stitchrl.spaces import Spec
from stitchrl.tree import hyperparameters


class WeightedCQLState(NamedTuple):
    """What CQL learns, and a model of who made the log if one is needed."""

    actor: Learner[SquashedGaussian]
    critics: Learner[Critics]
    temperature: Learner[Multiplier]
    weight: Learner[Multiplier]
    target_critics: Critics
    step: Int[Array, ""]
    behavior: Learner[SquashedGaussian] | None


class Known(NamedTuple):
    """What a step knows beside the transitions."""

    behavior: SquashedGaussian | None
    data_weight: Float[Array, "batch"] | None


@hyperparameters
class WeightedCQL(CQL):
    """CQL that spares actions like the log's, and trusts those with good returns more.

    The push-down of an action weighs (1 - b) / (1 + b), scaled to mean 1 over the samples
    of a state. For densities, b is β̂ / (β̂ + uniform): how likely it is that the action was
    logged, had it been drawn from the log or uniformly with even odds. It is in [0, 1) in
    any unit of the actions. In log Σ exp Q the weights stand inside: the soft maximum is
    then that of CQL(ρ), with a prior ρ in proportion to them. The push-up of a logged
    action weighs e to its standardized undiscounted return-to-go, within [.1, 10], scaled
    to mean 1 over the log.

    Update order: as CQL, all with the old model of the log; then that model.
    Departures: weights of the push-up are not scaled in practice. They then average up to
    1.6, which lifts every value by about α (1.6 - 1) / (2 - 2γ) and takes away the
    pessimism. There are no settings but CQL's.
    """

    needs: ClassVar = ("rewards", "returns")
    choices: ClassVar = {"form": FORMS, "actor_term": ("none", "bc", "kl")}

    weigh_push_down: bool = True
    weigh_data: bool = True
    actor_term: str = "none"  # "bc": -log π of logged actions. "kl": KL(π, β̂).
    actor_weight: float = 1.0  # Of that term.

    def init(self, key: Key[Array, ""], spec: Spec) -> WeightedCQLState:
        behavior = None
        if self.weigh_push_down or self.actor_term == "kl":
            network = SquashedGaussian.create(jax.random.fold_in(key, 1), spec, self.hidden)
            behavior = Learner.create(network, self.optimizer)
        return WeightedCQLState(*super().init(key, spec), behavior=behavior)

    def prepare(self, experience: Experience) -> WithReturns:
        return WithReturns(experience, return_weights(experience))

    def sample(self, data: Any, key: Key[Array, ""]) -> Any:
        return sample_with_returns(data, key, self.batch_size, self.discount)

    def update(
        self, state: Any, batch: Any, key: Key[Array, ""], known: Any = None
    ) -> tuple[Any, Metrics]:
        *core, behavior = state
        data_weight = batch.of_return if self.weigh_data else None
        known = Known(behavior and behavior.network, data_weight)
        learned, metrics = super().update(CQLState(*core), batch.transition, key, known)
        if behavior is not None:
            behavior, behavior_metrics = behavior.minimize(
                imitation_loss, batch.transition, optimizer=self.optimizer
            )
            metrics = metrics | behavior_metrics
        return WeightedCQLState(*learned, behavior=behavior), metrics

    def cloning_or_soft_loss(
        self, actor, step, critics, temperature, batch, key, known: Any = None
    ):
        """As CQL, plus the term that holds the actor near the log."""
        loss, metrics = super().cloning_or_soft_loss(
            actor, step, critics, temperature, batch, key
        )
        if self.actor_term == "none":
            return loss, metrics
        term = self.distance_to_log(actor, batch, key, known.behavior)
        return loss + self.actor_weight * term, metrics | {"actor/term": term}

    def distance_to_log(self, actor, batch, key, behavior: Any) -> Float[Array, ""]:
        """-log π of logged actions; or log π - log β̂ of π's own, those of `actor_loss`."""
        if self.actor_term == "bc":
            return -jax.vmap(actor.log_likelihood)(batch.observation, batch.action).mean()
        action, log_prob = sample_actions(actor, batch.observation, key)
        return (log_prob - jax.vmap(behavior.log_prob)(batch.observation, action)).mean()

    def samples(self, actor, batch, key, known: Any = None) -> Samples:
        """As CQL, each weighted by how unlike the log it is."""
        samples = super().samples(actor, batch, key)
        if not self.weigh_push_down:
            return samples
        each = jax.vmap(known.behavior.log_prob, (None, 0))
        log_density = jax.vmap(each)(batch.observation, samples.action)
        log_uniform = -samples.action.shape[-1] * jnp.log(2.0)
        weight = unlikeliness(jax.nn.sigmoid(log_density - log_uniform))
        return samples._replace(weight=weight / weight.mean(axis=1, keepdims=True))

    def of_rows(self, known: Any) -> Any:
        return known.data_weight

    def push_down(self, q, samples, known) -> Float[Array, "batch ensemble"]:
        """As CQL, with the weights of samples."""
        if self.weigh_push_down and self.form == "uniform":
            q = q * samples.weight[..., None]
        elif self.weigh_push_down:
            log_density = samples.log_density - jnp.log(samples.weight)
            samples = samples._replace(log_density=log_density)
        return super().push_down(q, samples, known)

    def push_up(self, logged, known) -> Float[Array, "batch ensemble"]:
        return known.data_weight[:, None] * logged if self.weigh_data else logged
