"""CQL for discrete actions (Kumar et al., 2020; arXiv:2006.04779)."""

from typing import Any, ClassVar, NamedTuple

import jax
import optax
from jaxtyping import Array, Float, Key

from stitchrl.algorithms.conservative import (
    FORMS,
    multiplier_loss,
    push_down,
)
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.experience import Transition
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.networks import Critics, Multiplier
from stitchrl.spaces import Spec
from stitchrl.tree import hyperparameters


class DiscreteCQLState(NamedTuple):
    """What discrete CQL has learned; a weight if it learns one."""

    critics: Learner[Critics]
    target_critics: Critics
    weight: Learner[Multiplier] | None


@hyperparameters
class DiscreteCQL(DoubleDQN):
    """Double DQN whose critic also classifies the logged action, by an exact log Σ exp.

    Update order: the critic, against the old target critic and with the old weight; then
    the target critic, and the weight (of the old critic's gap) if it is learned.
    Departures: expected values instead of 200 quantiles (QR-DQN), whose Huber losses are
    summed, so that a weight counts for less there; the online critic, not the target,
    chooses the next action; Polyak targets; the penalty is added to the mean squared TD
    error without ½; learning rate, batch and Adam's ε as our double DQN, not the 5e-5, 32
    and .01/32 of the authors' code for Atari. The multiplier is the one of continuous
    actions; the authors' discrete code has none.
    """

    is_control: ClassVar = False
    is_conservative: ClassVar = True
    choices: ClassVar = {"form": FORMS}

    form: str = "entropy"  # Eq. 4, log Σ exp Q; or "uniform": Eq. 2, the mean of Q.
    conservative_weight: float = 1.0  # α, Eq. 4; where it is learned, how it begins.
    learns_weight: bool = False  # By dual ascent, Eq. 30: the Lagrange form.
    weight_learning_rate: float = 3e-4
    target_gap: float = 1.0  # τ, Eq. 30, in nats; no constraint beyond log of all actions.

    @property
    def weight_optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.weight_learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> Any:
        weight = None
        if self.learns_weight:
            begin = Multiplier.create(self.conservative_weight)
            weight = Learner.create(begin, self.weight_optimizer)
        return DiscreteCQLState(*super().init(key, spec), weight=weight)

    def update(
        self, state: Any, batch: Any, key: Key[Array, ""], known: Any = None
    ) -> tuple[Any, Metrics]:
        del key  # Sums over actions are exact.
        weight = state.weight
        critics, metrics = state.critics.minimize(
            self.conservative_loss,
            weight.network() if weight is not None else self.conservative_weight,
            state.critics.network, state.target_critics, batch, known,
            optimizer=self.optimizer,
        )  # fmt: skip
        targets = move_towards(
            state.target_critics, source=critics.network, rate=self.target_rate
        )
        if weight is not None:
            weight, weight_metrics = weight.minimize(
                multiplier_loss, metrics["critics/gap"], self.target_gap,
                optimizer=self.weight_optimizer,
            )  # fmt: skip
            metrics = metrics | weight_metrics
        return DiscreteCQLState(critics, targets, weight), metrics

    def conservative_loss(
        self, critics, weight, old_critics, target_critics, batch, known=None
    ):
        """Eq. 4: the squared TD error plus α times the gap, summed over critics."""
        loss, metrics = self.critic_loss(critics, old_critics, target_critics, batch)
        gap = self.gap(critics, batch, known).sum(axis=-1).mean()
        return loss + weight * gap, metrics | {"critics/gap": gap}

    def gap(
        self, critics: Critics, batch: Transition, known: Any = None
    ) -> Float[Array, "batch ensemble"]:
        """log Σ_a exp Q(s, a), or the mean of Q, less Q of the logged action."""
        del known  # For variants: what they know of each row.

        def gap(observation: Any, action: Any) -> Float[Array, "ensemble"]:
            q = critics.row(observation)
            return push_down(q, self.form) - q[:, action]

        return jax.vmap(gap)(batch.observation, batch.action)
