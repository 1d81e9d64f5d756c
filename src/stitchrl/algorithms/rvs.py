"""RvS-R, return-conditioned cloning (Emmons et al., 2021; arXiv:2112.10751).

Also known as upside-down or reward-conditioned reinforcement learning.
"""

from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stitchrl.algorithms.bc import BC, BCState
from stitchrl.experience import Experience, Transition, draw_rows, transitions_from
from stitchrl.learner import Learner, Metrics
from stitchrl.policies import Categorical, Gaussian
from stitchrl.returns import returns_to_go, steps_before
from stitchrl.spaces import Masked, Spec
from stitchrl.tree import hyperparameters


class WithPace(NamedTuple):
    """Experience, and how well each row's episode went on."""

    experience: Experience
    pace: Float[Array, "size"]  # ω, standardized.
    ranked: Float[Array, "size"]  # The same in rising order.


class Conditioned(NamedTuple):
    """Transitions with the pace of each; all rows carry the same target."""

    transition: Transition
    pace: Float[Array, "*batch"]
    target: Float[Array, "*batch"]


class RvSState(NamedTuple):
    """What RvS-R has learned, and the pace that it will ask for."""

    actor: Learner[Gaussian | Categorical]  # Of the observation and ω.
    target: Float[Array, ""]


@hyperparameters
class RvS(BC):
    """Clone actions given how well the episode went on, then ask for a good one.

    The condition ω is the undiscounted return-to-go per step that remains. The policy asks
    for the same ω everywhere, one that few logged rows surpass; it is an ordinary policy of
    the observation. Luck looks like skill to it, and it cannot stitch: no logged episode
    had the good beginning of one and the good end of another.

    Update order: the actor, and nothing else.
    Departures: ω is standardized over the log, and asked for by its quantile; the authors
    ask for shares of an expert's return, and try ten. Steps that remain are counted, as in
    their code, from the longest episode of the log: an early end is worth 0 from there on.
    The Gaussian's mean is a tanh. Discrete actions with a mask are ours.
    """

    needs: ClassVar = ("returns", "rewards")

    target_quantile: float = 0.9  # Of ω over the rows of the log.
    learning_rate: float = 1e-3
    batch_size: int = 16384
    hidden: tuple[int, ...] = (1024, 1024)

    def init(self, key: Key[Array, ""], spec: Spec) -> Any:
        inner = super().init(key, spec._replace(observation=spec.observation + 1))
        return RvSState(inner.actor, jnp.zeros(()))

    def prepare(self, experience: Experience) -> WithPace:
        reward, ends = experience.transitions.reward, experience.episode_end
        before = steps_before(ends)
        left = (before.max() + 1 - before).astype(jnp.float32)
        pace = returns_to_go(reward, ends, 1.0) / left
        pace = (pace - pace.mean()) / (pace.std() + 1e-6)
        return WithPace(experience, pace, jnp.sort(pace))

    def sample(self, data: Any, key: Key[Array, ""]) -> Any:
        rows = draw_rows(data.experience, key, self.batch_size)
        place = jnp.round(self.target_quantile * (len(data.ranked) - 1))
        target = jnp.full(self.batch_size, data.ranked[place.astype(jnp.int32)])
        transition = transitions_from(data.experience, rows)
        return Conditioned(transition, data.pace[rows], target)

    def update(self, state: Any, batch: Any, key: Key[Array, ""]) -> tuple[Any, Metrics]:
        seen = jax.vmap(with_condition)(batch.transition.observation, batch.pace)
        transition = batch.transition._replace(observation=seen)
        after, metrics = super().update(BCState(state.actor), transition, key)
        return RvSState(after.actor, batch.target[0]), metrics

    def policy(self, state: Any) -> Gaussian | Categorical:
        """The actor with ω fixed at its target: a part of the first layer's bias."""
        actor = state.actor.network
        if isinstance(actor, Gaussian):
            return replace(actor, mlp=actor.mlp.with_last_input(state.target))
        mlp = actor.logits.mlp.with_last_input(state.target)
        return replace(actor, logits=replace(actor.logits, mlp=mlp))


def with_condition(observation: Any, condition: Float[Array, ""]) -> Any:
    """An observation with one more feature."""
    if isinstance(observation, Masked):
        longer = with_condition(observation.features, condition)
        return observation._replace(features=longer)
    return jnp.append(observation, condition)
