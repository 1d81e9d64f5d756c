"""Two ways to get a policy from in-sample critics.

Weighting by advantage is Eq. 7 of Kostrikov et al., 2021 (arXiv:2110.06169); ascending Q
beside a clone is Eq. 3 of Fujimoto and Gu, 2021 (arXiv:2106.06860), in the form called
DDPG+BC by Park et al., 2024 (OGBench; arXiv:2410.20092).
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from stitchrl.algorithms.in_sample import InSample
from stitchrl.expectations import mean_of
from stitchrl.experience import Transition
from stitchrl.learner import Metrics, cosine_decay
from stitchrl.networks import Critics, Value
from stitchrl.policies import Categorical, Gaussian
from stitchrl.spaces import Continuous, Discrete
from stitchrl.tree import hyperparameters


@hyperparameters
class Extracting(InSample):
    """In-sample critics and a policy drawn from them, in the way that `extraction` names.

    "awr" imitates logged actions, the better ones more; it stays where the log is.
    "ac_bc" climbs Q from π(s), held back by a clone term; it can do better than any logged
    action, and asks the critics about actions that nobody took.
    """

    actions: ClassVar = (Continuous, Discrete)
    needs: ClassVar = ("rewards",)
    choices: ClassVar = {"extraction": ("awr", "ac_bc")}

    extraction: str = "awr"  # Or "ac_bc".
    inverse_temperature: float = 3.0  # β of "awr", Eq. 7.
    max_weight: float = 100.0  # Clip on exp(β A); in the authors' code, not the paper.
    clone_weight: float = 0.3  # α of "ac_bc"; OGBench, whose std is 1: .003 to 1.
    total_updates: float = 1e6  # The actor's learning rate falls to 0 by then, as a cosine.

    @property
    def actor_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(cosine_decay(self.learning_rate, self.total_updates))

    def actor_loss(
        self,
        actor: Gaussian | Categorical,
        critics: Critics,
        target_critics: Critics,
        value: Value,
        batch: Transition,
    ) -> tuple[jax.Array, Metrics]:
        """As `extraction` says; the advantage of logged actions is reported by both."""
        q = target_critics.at_rows(batch.observation, batch.action).min(axis=-1)
        advantage = q - jax.vmap(value)(batch.observation)
        likelihood = jax.vmap(actor.log_likelihood)(batch.observation, batch.action)
        extract = {"awr": self.weighted_clone, "ac_bc": self.ascent_and_clone}
        loss = extract[self.extraction](actor, critics, advantage, likelihood, batch)
        return loss, {"actor/loss": loss, "actor/advantage": advantage.mean()}

    def weighted_clone(self, actor, critics, advantage, likelihood, batch):
        """Eq. 7: log-likelihood of logged actions weighted by exp(β advantage)."""
        del actor, critics, batch
        weight = jnp.exp(self.inverse_temperature * advantage)
        weight = jnp.minimum(weight, self.max_weight)
        return -(weight * likelihood).mean()

    def ascent_and_clone(self, actor, critics, advantage, likelihood, batch):
        """Maximize min Q(s, π(s)) / mean |Q| + α log π(a|s), on the old online critics."""
        del advantage
        value_of = VALUE_OF[type(actor)]
        q = jax.vmap(value_of, (None, None, 0))(actor, critics, batch.observation)
        scale = jax.lax.stop_gradient(jnp.abs(q).mean() + 1e-6)
        return -(q.mean() / scale + self.clone_weight * likelihood.mean())


def value_of_mode(actor: Gaussian, critics: Critics, observation: Any) -> Float[Array, ""]:
    """min Q(s, a) of the policy's mode."""
    return critics(observation, actor.mode(observation)).min()


def mean_value(actor: Categorical, critics: Critics, observation: Any) -> Float[Array, ""]:
    """Σ π(a|s) min Q(s, a), exactly; what is forbidden counts for nothing."""
    q = critics.row(observation).min(axis=0)
    return mean_of(q, jnp.exp(actor.log_probs(observation)))


VALUE_OF = {Gaussian: value_of_mode, Categorical: mean_value}
