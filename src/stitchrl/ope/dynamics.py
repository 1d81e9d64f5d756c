"""Models of the process that made a log, and what a policy is worth when played in them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from stitchrl.ope.base import Estimate
from stitchrl.ope.refusals import behavior_missed
from stitchrl.types import Scalar

MOST_OUTSIDE = 0.1  # Share of steps: a model that leaves the log more often is not heard.
CANNOT_CHECK = "the log stops before episodes end, so that it cannot be checked"
MISSES = "it misses what the log says of who made it"
MOST_ENDLESS = 0.01  # Share of episodes, where they must end by themselves.
LEAST_SPREAD = 1e-3  # Of the spread of what was logged: no model is surer than that.


class Step(NamedTuple):
    """What follows a decision, as a model has it."""

    observation: Float[Array, "features"]  # Scaled as the model's input.
    reward: Float[Array, ""]  # Its mean: chance in it changes no value.
    end: Float[Array, ""]  # Probability that the episode terminates here.


@runtime_checkable
class Dynamics(Protocol):
    """What can be played in: of one scaled observation and one action."""

    def step(self, observation: Any, action: Any, key: Key[Array, ""]) -> Step: ...


class Rows(NamedTuple):
    """Transitions to fit a model to, or to ask one about; scaled observations."""

    observation: np.ndarray  # (rows, features)
    action: np.ndarray
    change: np.ndarray  # (rows, features): to the next observation.
    reward: np.ndarray
    goes_on: np.ndarray  # bool (rows,): the change is known and means something.


class Limits(NamedTuple):
    """The range of what was logged, beyond which a model knows nothing.

    Observations and rewards are held inside; actions are the policy's and only counted.
    """

    low: Float[Array, "features"]
    high: Float[Array, "features"]
    least: Scalar  # Rewards.
    most: Scalar
    slack: Float[Array, "features"]  # How far beyond is not counted.
    tried: Any  # Bool[Array, "actions"], or (least, most) of continuous ones with slack.

    def has(self, action: Any) -> Bool[Array, ""]:
        """Whether an action lies in that range."""
        if not isinstance(self.tried, tuple):
            return self.tried[action]
        least, most = self.tried
        return ((action >= least) & (action <= most)).all()


@dataclass(frozen=True)
class ModelValue:
    """What one policy is worth in a model, and what the same model says of the present."""

    value: float
    outside_share: float  # Of steps: by action or by what followed beyond the log's range.
    endless_share: float  # Of episodes: played for as long as allowed, without an end.
    kind: str  # "linear-Gaussian" or "networks".
    present: float  # Of the imitated behavior, whose value the log knows.
    unheard: str = CANNOT_CHECK  # Why it may not vote; empty if it may: see `heard`.

    @property
    def is_heard(self) -> bool:
        """Whether it may vote."""
        return not self.unheard

    @property
    def knows_present(self) -> bool:
        """Whether it says of the present behavior what the log says."""
        return self.is_checked and self.unheard != MISSES

    @property
    def is_checked(self) -> bool:
        """Whether what it says of the present behavior can be held against the log."""
        return self.unheard != CANNOT_CHECK

    def heard(self, behavior: Estimate, returns: np.ndarray) -> "ModelValue":
        """The same, with a vote if the model knows what the log knows.

        It must say what the present behavior is worth, as FQE must (QSANE), hardly leave
        what was logged, and come to an end.
        """
        unheard = ""
        if behavior_missed(self.present, behavior, returns) is not None:
            unheard = MISSES
        elif self.outside_share >= MOST_OUTSIDE:
            unheard = "the policy leaves the range of what was logged"
        elif self.endless_share >= MOST_ENDLESS:
            unheard = "its episodes do not end"
        return replace(self, unheard=unheard)


class Play(NamedTuple):
    """Episodes played in a model."""

    returns: Float[Array, "*episodes"]
    outside: Float[Array, "*episodes"]  # Steps beyond the range of what was logged.
    steps: Float[Array, "*episodes"]
    ended: Bool[Array, "*episodes"]  # By termination.


@partial(jax.jit, static_argnames=("longest", "acts"))
def play(
    ensemble: Dynamics,
    policy: Any,
    starts: Float[Array, "members episodes features"],
    limits: Limits,
    keys: Key[Array, "members"],
    *,
    acts: Callable[[Any, Any, Key[Array, ""]], Any],
    discount: Scalar,
    longest: int,
) -> Play:
    """One episode from each start, up to termination or `longest` steps.

    A member of the ensemble plays its own. `acts(policy, observation, key)` is what the
    policy does at a scaled observation. Results are (members, episodes).
    """

    def of_member(dynamics: Dynamics, starts: Any, key: Any) -> Play:
        of_policy = partial(acts, policy)
        return _play(dynamics, of_policy, starts, limits, key, discount, longest)

    return jax.vmap(of_member)(ensemble, starts, keys)


def _play(
    dynamics: Dynamics,
    acts: Callable[[Any, Key[Array, ""]], Any],
    starts: Float[Array, "episodes features"],
    limits: Limits,
    key: Key[Array, ""],
    discount: Scalar,
    longest: int,
) -> Play:
    def one(observation: Any, key: Key[Array, ""]):
        act_key, step_key, end_key = jax.random.split(key, 3)
        action = acts(observation, act_key)
        following = dynamics.step(observation, action, step_key)
        inside = jnp.clip(following.observation, limits.low, limits.high)
        reward = jnp.clip(following.reward, limits.least, limits.most)
        ends = jax.random.uniform(end_key) < following.end
        beyond = jnp.abs(inside - following.observation) > limits.slack
        has_left = beyond.any() & ~ends  # What would follow an end is nobody's business.
        return inside, reward, has_left, ~limits.has(action), ends

    def step(carry: Any) -> Any:
        number, observation, alive, found = carry
        keys = jax.random.split(jax.random.fold_in(key, number), len(starts))
        observation, reward, has_left, strays, ends = jax.vmap(one)(observation, keys)
        has_left = (has_left & (number < longest - 1)) | strays
        weight = jnp.where(alive, discount ** number.astype(jnp.float32), 0.0)
        found = Play(
            found.returns + weight * reward,
            found.outside + (alive & has_left).astype(jnp.float32),
            found.steps + alive.astype(jnp.float32),
            found.ended | (alive & ends),
        )
        return number + 1, observation, alive & ~ends, found

    def goes_on(carry: Any) -> Any:
        number, _, alive, _ = carry
        return (number < longest) & alive.any()

    nothing = jnp.zeros(len(starts))
    alive = jnp.ones(len(starts), bool)
    begun = jnp.array(0), starts, alive, Play(*[nothing] * 3, ended=~alive)
    return jax.lax.while_loop(goes_on, step, begun)[-1]
