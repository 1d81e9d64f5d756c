"""SAC+BC (Park et al., 2025; arXiv:2506.04168): a soft actor-critic that also clones."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stitchrl.algorithms.sac import SAC, sample_actions
from stitchrl.experience import Transition
from stitchrl.learner import Metrics
from stitchrl.networks import Critics, Multiplier
from stitchrl.policies import SquashedGaussian
from stitchrl.tree import hyperparameters


@hyperparameters
class SACBC(SAC):
    """SAC whose actor also maximizes the likelihood of logged actions, in units of Q.

    Update order: as SAC. The authors' code does the same.
    Departures: the clone term is a log-likelihood; theirs is the squared distance between
    drawn and logged action, to which their α of .3 belongs. Their critics are conditioned
    on goals and learn by cross-entropy, in batches of 1,024, with γ = .999. As in their
    code, targets carry no entropy and take the smaller critic, and the actor climbs the
    mean of both. Sizes, rates and the target entropy of -1 per action are SAC's (theirs: 4
    layers of 1024 with layer norms, -.5).
    """

    is_control: ClassVar = False
    has_entropy_in_values: ClassVar = False

    clone_weight: float = 0.3  # α, on log-likelihood times mean |Q|.

    def soft_value(
        self, actor, target_critics, temperature, batch, key
    ) -> Float[Array, "batch"]:
        """min Q'(s', a'), a' from π; without an entropy bonus."""
        del temperature
        action, _ = sample_actions(actor, batch.next_observation, key)
        return target_critics.at_rows(batch.next_observation, action).min(axis=-1)

    def actor_loss(
        self,
        actor: SquashedGaussian,
        critics: Critics,
        temperature: Multiplier,
        batch: Transition,
        key: Key[Array, ""],
    ) -> tuple[jax.Array, Metrics]:
        """Maximize Q(s, a) - η log π(a|s), a from π, plus α mean |Q| log π(logged|s)."""
        action, log_prob = sample_actions(actor, batch.observation, key)
        q = critics.at_rows(batch.observation, action).mean(axis=-1)
        size = jax.lax.stop_gradient(jnp.abs(q).mean())
        clone = -jax.vmap(actor.log_likelihood)(batch.observation, batch.action).mean()
        loss = (temperature() * log_prob - q).mean() + self.clone_weight * size * clone
        return loss, {
            "actor/loss": loss,
            "actor/entropy": -log_prob.mean(),
            "actor/clone": clone,
        }
