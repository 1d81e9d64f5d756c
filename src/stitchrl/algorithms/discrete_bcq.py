"""Discrete batch-constrained Q-learning (Fujimoto et al., 2019; arXiv:1910.01708)."""

from typing import Any, ClassVar, NamedTuple

import jax
import optax
from jaxtyping import Array, Key

from stitchrl.experience import Experience, Transition, sample_transitions
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import huber, imitation_error, td_target
from stitchrl.networks import Critics
from stitchrl.policies import Categorical, GreedyAmong
from stitchrl.spaces import Discrete, Spec
from stitchrl.tree import hyperparameters


class DiscreteBCQState(NamedTuple):
    """What discrete BCQ has learned."""

    critics: Learner[Critics]
    imitation: Learner[Categorical]
    target_critics: Critics


@hyperparameters
class DiscreteBCQ:
    """Q-learning that may only choose actions a model of the log finds likely enough.

    Update order: the critic (next actions from the old critic and the old imitation, valued
    by the target critic) and the imitation, neither seeing the other's step; then targets.
    Departures: none from the authors' code for vectors, but the likeliest action always
    counts as likely (theirs may find none at a threshold of 1).
    """

    actions: ClassVar = (Discrete,)
    needs: ClassVar = ("rewards",)

    threshold: float = 0.3  # τ, Eq. 19: relative to the likeliest action.
    logit_weight: float = 1e-2  # On squared logits of the imitation; in the code only.
    discount: float = 0.99  # γ
    target_rate: float = 0.005
    learning_rate: float = 3e-4
    batch_size: int = 64
    hidden: tuple[int, ...] = (256, 256)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> DiscreteBCQState:
        critic_key, imitation_key = jax.random.split(key)
        critics = Critics.create(critic_key, spec, self.hidden, ensemble=1)
        imitation = Categorical.create(imitation_key, spec, self.hidden)
        return DiscreteBCQState(
            critics=Learner.create(critics, self.optimizer),
            imitation=Learner.create(imitation, self.optimizer),
            target_critics=critics,
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return sample_transitions(data, key, self.batch_size, self.discount)

    def update(
        self, state: DiscreteBCQState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[DiscreteBCQState, Metrics]:
        del key  # The maximum over actions is exact.
        chooser, targets = self.policy(state), state.target_critics
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss, chooser, targets, batch, optimizer=self.optimizer
        )
        imitation, imitation_metrics = state.imitation.minimize(
            self.imitation_loss, batch, optimizer=self.optimizer
        )
        targets = move_towards(targets, source=critics.network, rate=self.target_rate)
        metrics = critic_metrics | imitation_metrics
        return DiscreteBCQState(critics, imitation, targets), metrics

    def policy(self, state: DiscreteBCQState) -> GreedyAmong:
        critics, imitation = state.critics.network, state.imitation.network
        return GreedyAmong(critics, imitation, self.threshold)

    def action_value(self, state: DiscreteBCQState) -> Critics:
        return state.critics.network

    def critic_loss(
        self,
        critics: Critics,
        chooser: GreedyAmong,
        target_critics: Critics,
        batch: Transition,
    ):
        """Eq. 19: Huber loss of Q(s, a) to r + γ Q'(s', best likely action)."""

        def next_value(observation: Any):
            return target_critics(observation, chooser.mode(observation))[0]

        next_q = jax.vmap(next_value)(batch.next_observation)
        target = td_target(batch, self.discount, next_q)
        q = critics.at_rows(batch.observation, batch.action)[:, 0]
        loss = huber(q - target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def imitation_loss(self, imitation: Categorical, batch: Transition):
        """Negative log-likelihood of logged actions, and a little on squared logits."""
        loss = imitation_error(imitation, batch, self.logit_weight)
        return loss, {"imitation/loss": loss}
