"""Discrete BCQ on in-sample critics (arXiv:1910.01708 and arXiv:2110.06169)."""

from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float

from stitchrl.algorithms.in_sample import InSample, InSampleState
from stitchrl.experience import Transition
from stitchrl.learner import Metrics
from stitchrl.losses import expectile_loss, imitation_error
from stitchrl.networks import Critics, Value
from stitchrl.policies import Categorical, GreedyAmong
from stitchrl.spaces import Discrete
from stitchrl.tree import hyperparameters


@hyperparameters
class BCQIQL(InSample):
    """IQL's critics, and of the actions that an imitation finds likely enough the best.

    For logs where an action that was not tried must never be proposed: neither critics nor
    policy ever look at one.

    Update order: V; then Q, which uses the new V, and the imitation; then the target
    critics.
    Departures: a hybrid, without a paper or code of its own. V and Q are IQL's (Fujimoto's
    has one critic, a Huber loss and batches of 64), the imitation and the rule of the
    policy are discrete BCQ's; the policy compares the mean of the two critics.
    """

    actions: ClassVar = (Discrete,)
    needs: ClassVar = ("rewards",)

    expectile: float = 0.7  # τ, Eq. 5 of IQL.
    threshold: float = 0.3  # τ, Eq. 19 of BCQ: relative to the likeliest action.
    logit_weight: float = 1e-2  # On squared logits of the imitation; in BCQ's code only.

    def policy(self, state: InSampleState) -> GreedyAmong:
        critics, imitation = state.critics.network, state.actor.network
        assert isinstance(imitation, Categorical)
        return GreedyAmong(critics, imitation, self.threshold)

    def value_error(self, error: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """Eq. 5 of IQL: asymmetric squares."""
        return expectile_loss(error, self.expectile)

    def actor_loss(
        self,
        actor: Any,
        critics: Critics,
        target_critics: Critics,
        value: Value,
        batch: Transition,
    ) -> tuple[jax.Array, Metrics]:
        """The actor is the imitation: it learns what is logged, and no critic moves it."""
        del critics, target_critics, value
        loss = imitation_error(actor, batch, self.logit_weight)
        return loss, {"imitation/loss": loss}
