"""Double DQN (van Hasselt, Guez and Silver, 2015; arXiv:1509.06461): a control."""

from typing import Any, ClassVar, NamedTuple

import optax
from jaxtyping import Array, Key

from stitchrl.experience import Experience, Transition, sample_transitions
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import double_q_value, ensemble_error, td_target
from stitchrl.networks import Critics
from stitchrl.policies import Greedy
from stitchrl.spaces import Discrete, Spec
from stitchrl.tree import hyperparameters


class DoubleDQNState(NamedTuple):
    """What double DQN has learned."""

    critics: Learner[Critics]
    target_critics: Critics


@hyperparameters
class DoubleDQN:
    """Online Q-learning run on a fixed log, to show what goes wrong there.

    Update order: the critic, against the old target critic; then the target critic.
    Departures: squared instead of Huber errors (a Huber loss has another fixed point),
    Polyak targets instead of a copy every 10,000 updates, Adam with batches of 256
    instead of RMSprop at 2.5e-4 with batches of 32. One critic, because a
    minimum of two would hide the overestimation that this control is there to show.
    """

    actions: ClassVar = (Discrete,)
    needs: ClassVar = ("rewards",)
    is_control: ClassVar = True
    has_squared_errors: ClassVar = True

    discount: float = 0.99  # γ
    target_rate: float = 0.005
    learning_rate: float = 3e-4
    batch_size: int = 256
    hidden: tuple[int, ...] = (256, 256)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> Any:
        critics = Critics.create(key, spec, self.hidden, ensemble=1)
        return DoubleDQNState(Learner.create(critics, self.optimizer), critics)

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return sample_transitions(data, key, self.batch_size, self.discount)

    def update(
        self, state: DoubleDQNState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[DoubleDQNState, Metrics]:
        del key  # The maximum over actions is exact.
        critics, metrics = state.critics.minimize(
            self.critic_loss,
            state.critics.network,
            state.target_critics,
            batch,
            optimizer=self.optimizer,
        )
        targets = move_towards(
            state.target_critics, source=critics.network, rate=self.target_rate
        )
        return DoubleDQNState(critics, targets), metrics

    def policy(self, state: Any) -> Greedy:
        return Greedy(state.critics.network)

    def action_value(self, state: Any) -> Critics:
        return state.critics.network

    def critic_loss(
        self,
        critics: Critics,
        old_critics: Critics,
        target_critics: Critics,
        batch: Transition,
    ):
        """Regress Q(s, a) to r + γ Q'(s', argmax Q(s', ·))."""
        next_q = double_q_value(old_critics, target_critics, batch.next_observation)
        target = td_target(batch, self.discount, next_q)
        q = critics.at_rows(batch.observation, batch.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}
