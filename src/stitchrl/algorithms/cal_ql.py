"""Calibrated Q-learning, its offline part (Nakamoto et al., 2023; arXiv:2303.05479)."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stitchrl.algorithms.cql import CQL
from stitchrl.experience import Experience
from stitchrl.learner import Metrics
from stitchrl.returns import WithReturns, returns_to_go, sample_with_returns
from stitchrl.tree import hyperparameters


@hyperparameters
class CalQL(CQL):
    """CQL that pushes values of the policy's actions no lower than what the log achieved.

    Update order: as CQL; the authors' code takes all steps at once, so that the actor sees
    the old temperature.
    Departures: as CQL's, and: after a truncation, the least reward of the log (or 0, if
    that is less) is assumed for ever, which is what the authors do where an episode
    succeeds or earns that reward throughout; else they add nothing, or repeat the last
    reward. The Lagrange form has one weight, theirs a multiplier, at first e, times a fixed
    5. The log-std of their policy starts 1 lower. For AntMaze they use `critic_hidden` of
    (256, 256, 256, 256), rewards 10 r - 5, and the Lagrange form with a target gap of .8.
    """

    needs: ClassVar = ("rewards", "returns")
    choices: ClassVar = {"form": ("entropy",)}  # Else nothing of π is pushed down.
    prepared_by: ClassVar = ("discount",)
    shares_of_run: ClassVar = {}

    target_gap: float = 1.0  # τ
    cloning_updates: float = 0.0
    max_target_backup: bool = True
    hidden: tuple[int, ...] = (256, 256)

    def prepare(self, experience: Experience) -> WithReturns:
        """V of who made the log, Section 4: discounted returns-to-go, or less."""
        reward, is_last = experience.transitions.reward, experience.episode_end
        worst = jnp.minimum(reward.min(), 0.0) / jnp.maximum(1.0 - self.discount, 1e-6)
        is_cut = is_last & ~experience.transitions.terminated
        reward = reward + jnp.where(is_cut, self.discount * worst, 0.0)
        return WithReturns(experience, returns_to_go(reward, is_last, self.discount))

    def sample(self, data: Any, key: Key[Array, ""]) -> Any:
        return sample_with_returns(data, key, self.batch_size, self.discount)

    def update(
        self, state: Any, batch: Any, key: Key[Array, ""], known: Any = None
    ) -> tuple[Any, Metrics]:
        return super().update(state, batch.transition, key, batch.of_return)

    def push_down(self, q, samples, known) -> Float[Array, "batch ensemble"]:
        """Section 5: max(Q, V) in place of Q, of π's actions but not of uniform ones."""
        uniform, drawn = jnp.split(q, [self.action_samples], axis=1)
        drawn = jnp.maximum(drawn, known[:, None, None])
        return super().push_down(jnp.concatenate([uniform, drawn], 1), samples, known)
