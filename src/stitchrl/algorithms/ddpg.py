"""DDPG (Lillicrap et al., 2015; arXiv:1509.02971): a control."""

from typing import ClassVar, NamedTuple

import jax
import optax
from jaxtyping import Array, Key

from stitchrl.experience import Experience, Transition, sample_transitions
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import ensemble_error, td_target
from stitchrl.networks import Critics
from stitchrl.policies import Deterministic
from stitchrl.spaces import Continuous, Spec
from stitchrl.tree import hyperparameters


class DDPGState(NamedTuple):
    """What DDPG has learned."""

    actor: Learner[Deterministic]
    critics: Learner[Critics]
    target_actor: Deterministic
    target_critics: Critics


@hyperparameters
class DDPG:
    """The plainest online actor-critic, run on a fixed log to show what goes wrong there.

    Update order: the critic; then the actor, on the new critic; then both targets. So does
    the paper's algorithm 1.
    Departures: sizes and rates are those of our TD3, to be compared with it; the paper's
    are layers of 400 and 300, rates of 1e-4 (actor) and 1e-3 (critic), batches of 64, a
    target rate of 0.001, a weight decay of 1e-2 and batch normalization. One critic,
    because a minimum of two would hide the overestimation that this control is there to
    show. The exploration noise has no place offline.
    """

    actions: ClassVar = (Continuous,)
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

    def init(self, key: Key[Array, ""], spec: Spec) -> DDPGState:
        actor_key, critic_key = jax.random.split(key)
        actor = Deterministic.create(actor_key, spec, self.hidden)
        critics = Critics.create(critic_key, spec, self.hidden, ensemble=1)
        return DDPGState(
            actor=Learner.create(actor, self.optimizer),
            critics=Learner.create(critics, self.optimizer),
            target_actor=actor,
            target_critics=critics,
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return sample_transitions(data, key, self.batch_size, self.discount)

    def update(
        self, state: DDPGState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[DDPGState, Metrics]:
        del key  # Nothing is drawn.
        adam, rate = self.optimizer, self.target_rate
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss,
            state.target_critics,
            state.target_actor,
            batch,
            optimizer=adam,
        )
        actor, actor_metrics = state.actor.minimize(
            self.actor_loss, critics.network, batch, optimizer=adam
        )
        slow_actor = move_towards(state.target_actor, source=actor.network, rate=rate)
        slow_critics = move_towards(state.target_critics, source=critics.network, rate=rate)
        metrics = critic_metrics | actor_metrics
        return DDPGState(actor, critics, slow_actor, slow_critics), metrics

    def policy(self, state: DDPGState) -> Deterministic:
        return state.actor.network

    def action_value(self, state: DDPGState) -> Critics:
        return state.critics.network

    def critic_loss(
        self,
        critics: Critics,
        target_critics: Critics,
        target_actor: Deterministic,
        batch: Transition,
    ):
        """Eq. 5: regress Q(s, a) to r + γ Q'(s', π'(s'))."""
        next_action = jax.vmap(target_actor.mode)(batch.next_observation)
        next_q = target_critics.at_rows(batch.next_observation, next_action)[:, 0]
        target = td_target(batch, self.discount, next_q)
        q = critics.at_rows(batch.observation, batch.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def actor_loss(
        self, actor: Deterministic, critics: Critics, batch: Transition
    ) -> tuple[jax.Array, Metrics]:
        """Eq. 6: maximize Q(s, π(s))."""
        action = jax.vmap(actor.mode)(batch.observation)
        loss = -critics.at_rows(batch.observation, action)[:, 0].mean()
        return loss, {"actor/loss": loss}
