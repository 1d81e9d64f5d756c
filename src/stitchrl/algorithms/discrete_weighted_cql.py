"""CQL for discrete actions with weights from a model of the log and from its returns.

What it changes is CQL of Kumar et al., 2020; arXiv:2006.04779.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stitchrl.algorithms.conservative import (
    imitation_loss,
    push_down,
    return_weights,
    unlikeliness,
)
from stitchrl.algorithms.discrete_cql import DiscreteCQL, DiscreteCQLState
from stitchrl.experience import Experience, Transition
from stitchrl.learner import Learner, Metrics
from stitchrl.networks import Critics, Multiplier
from stitchrl.policies import Categorical
from stitchrl.returns import WithReturns, sample_with_returns
from stitchrl.spaces import Spec
from stitchrl.tree import hyperparameters


class DiscreteWeightedCQLState(NamedTuple):
    """What discrete CQL learns, and a model of who made the log if one is needed."""

    critics: Learner[Critics]
    target_critics: Critics
    weight: Learner[Multiplier] | None
    behavior: Learner[Categorical] | None


class Known(NamedTuple):
    """What a step knows beside the transitions."""

    behavior: Categorical | None
    data_weight: Float[Array, "batch"]  # 1 where returns do not count.


@hyperparameters
class DiscreteWeightedCQL(DiscreteCQL):
    """Discrete CQL that spares actions like the log's, and trusts good returns more.

    As `WeightedCQL`, with probabilities β̂ for b; means are over the allowed actions. There
    is no actor, so no term holds it near the log.

    Update order: as discrete CQL, all with the old model of the log; then that model.
    Departures: as `WeightedCQL`.
    """

    needs: ClassVar = ("returns",)

    weigh_push_down: bool = True
    weigh_data: bool = True

    def init(self, key: Key[Array, ""], spec: Spec) -> DiscreteWeightedCQLState:
        behavior = None
        if self.weigh_push_down:
            network = Categorical.create(jax.random.fold_in(key, 1), spec, self.hidden)
            behavior = Learner.create(network, self.optimizer)
        return DiscreteWeightedCQLState(*super().init(key, spec), behavior=behavior)

    def prepare(self, experience: Experience) -> WithReturns:
        return WithReturns(experience, return_weights(experience))

    def sample(self, data: Any, key: Key[Array, ""]) -> Any:
        return sample_with_returns(data, key, self.batch_size, self.discount)

    def update(
        self, state: Any, batch: Any, key: Key[Array, ""], known: Any = None
    ) -> tuple[Any, Metrics]:
        *core, behavior = state
        weight = batch.of_return if self.weigh_data else jnp.ones_like(batch.of_return)
        known = Known(behavior and behavior.network, weight)
        core = DiscreteCQLState(*core)
        learned, metrics = super().update(core, batch.transition, key, known)
        if behavior is not None:
            behavior, behavior_metrics = behavior.minimize(
                imitation_loss, batch.transition, optimizer=self.optimizer
            )
            metrics = metrics | behavior_metrics
        return DiscreteWeightedCQLState(*learned, behavior=behavior), metrics

    def gap(
        self, critics: Critics, batch: Transition, known: Any = None
    ) -> Float[Array, "batch ensemble"]:
        """As discrete CQL, each action and each row weighted."""

        def gap(
            observation: Any, action: Any, data_weight: Any
        ) -> Float[Array, "ensemble"]:
            q, weight = critics.row(observation), None
            if known.behavior is not None:
                logits = known.behavior.logits.row(observation)
                weight = unlikeliness(jax.nn.softmax(logits))
            return push_down(q, self.form, weight) - data_weight * q[:, action]

        return jax.vmap(gap)(batch.observation, batch.action, known.data_weight)
