"""Advantage-weighted regression (Peng et al., 2019; arXiv:1910.00177)."""

from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from stitchrl.experience import Experience, Transition, draw_rows, transitions_from
from stitchrl.learner import Learner, Metrics
from stitchrl.networks import Value
from stitchrl.policies import Categorical, Gaussian, likelihood_policy
from stitchrl.returns import (
    Window,
    WithReturns,
    lambda_returns,
    returns_to_go,
    windows_from,
)
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.tree import hyperparameters


class Rows(NamedTuple):
    """What AWR learns from in one update."""

    transition: Transition
    to_go: Float[Array, "*batch"]
    window: Window | None  # Of TD(λ).


class AWRState(NamedTuple):
    """What AWR has learned."""

    actor: Learner[Gaussian | Categorical]
    value: Learner[Value]


@hyperparameters
class AWR:
    """Clone by how much better the rest of the episode was than usual from there.

    No action is ever valued, so that nothing can be overestimated; but good ends of bad
    episodes are not joined to good beginnings (it cannot stitch).

    Update order: V, whose targets come from the old V where they are TD(λ); then the actor,
    on returns and values of the new V. The authors' code does the same, but takes 200 to
    500 steps of V, then 1,000 of the actor, between evaluations of the returns.
    Departures: their data grow, ours are a log. Returns are those that were observed, as in
    their text; with "td_lambda" they are as in their code, cut after `window` rows. There V
    takes their place, at a weight of (γλ)^64 = 2 % of what follows. Advantages are
    standardized over the batch, in their code over all data; there the temperature is 1, in
    the paper .05. Means are tanh, so that no loss must keep them within bounds; the
    standard deviation is learned. Layers start uniform in ±1/√inputs.
    """

    actions: ClassVar = (Continuous, Discrete)
    needs: ClassVar = ("returns", "rewards")
    prepared_by: ClassVar = ("discount",)
    choices: ClassVar = {"returns": ("monte_carlo", "td_lambda")}

    returns: str = "monte_carlo"
    trace_decay: float = 0.95  # λ, of "td_lambda".
    window: int = 64  # Rows that "td_lambda" looks ahead.
    temperature: float = 1.0  # β
    max_weight: float = 20.0
    standardize: bool = True  # Advantages.
    value_scale: float = 100.0  # V is so many times its network: 1/(1 - γ) in the code.
    action_std: float = 0.2  # Of the Gaussian, at first.
    discount: float = 0.99  # γ
    learning_rate: float = 1e-2  # Of V.
    actor_learning_rate: float = 5e-5
    momentum: float = 0.9
    batch_size: int = 256
    hidden: tuple[int, ...] = (128, 64)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.sgd(self.learning_rate, self.momentum)

    @property
    def actor_optimizer(self) -> optax.GradientTransformation:
        return optax.sgd(self.actor_learning_rate, self.momentum)

    def init(self, key: Key[Array, ""], spec: Spec) -> AWRState:
        actor_key, value_key = jax.random.split(key)
        actor = likelihood_policy(actor_key, spec, self.hidden)
        if isinstance(actor, Gaussian):
            log_std = jnp.full_like(actor.log_std, jnp.log(self.action_std))
            actor = replace(actor, log_std=log_std)
        value = Value.create(value_key, spec, self.hidden)
        return AWRState(
            actor=Learner.create(actor, self.actor_optimizer),
            value=Learner.create(value, self.optimizer),
        )

    def prepare(self, experience: Experience) -> WithReturns:
        reward, ends = experience.transitions.reward, experience.episode_end
        return WithReturns(experience, returns_to_go(reward, ends, self.discount))

    def sample(self, data: Any, key: Key[Array, ""]) -> Rows:
        rows = draw_rows(data.experience, key, self.batch_size)
        window = None
        if self.returns == "td_lambda":
            window = windows_from(data.experience, rows, self.window)
        return Rows(transitions_from(data.experience, rows), data.of_return[rows], window)

    def update(
        self, state: AWRState, batch: Rows, key: Key[Array, ""]
    ) -> tuple[AWRState, Metrics]:
        del key  # Nothing is drawn.
        value, value_metrics = state.value.minimize(
            self.value_loss, self.target(state.value.network, batch), batch.transition,
            optimizer=self.optimizer,
        )  # fmt: skip
        target = self.target(value.network, batch)
        actor, actor_metrics = state.actor.minimize(
            self.actor_loss, value.network, target, batch.transition,
            optimizer=self.actor_optimizer,
        )  # fmt: skip
        return AWRState(actor, value), value_metrics | actor_metrics

    def policy(self, state: AWRState) -> Gaussian | Categorical:
        return state.actor.network

    def target(self, value: Value, batch: Rows) -> Float[Array, "batch"]:
        """What the rest of the episode brought: observed, or with V after some rows."""
        if batch.window is None:
            return batch.to_go
        next_value = jax.vmap(jax.vmap(value))(batch.window.next_observation)
        return lambda_returns(
            batch.window,
            self.value_scale * next_value,
            discount=self.discount,
            trace_decay=self.trace_decay,
        )

    def value_loss(self, value: Value, target: Float[Array, "batch"], batch: Transition):
        """Algorithm 1: ½ squared error of V(s) to the returns, in units of the scale."""
        v = jax.vmap(value)(batch.observation)
        loss = 0.5 * jnp.square(v - target / self.value_scale).mean()
        return loss, {"value/loss": loss, "value/mean": self.value_scale * v.mean()}

    def actor_loss(
        self,
        actor: Gaussian | Categorical,
        value: Value,
        target: Float[Array, "batch"],
        batch: Transition,
    ):
        """Algorithm 1: log-likelihood of logged actions weighted by exp(advantage / β)."""
        advantage = target - self.value_scale * jax.vmap(value)(batch.observation)
        scaled = advantage
        if self.standardize:
            scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-5)
        weight = jnp.minimum(jnp.exp(scaled / self.temperature), self.max_weight)
        likelihood = jax.vmap(actor.log_likelihood)(batch.observation, batch.action)
        loss = -(weight * likelihood).mean()
        return loss, {"actor/loss": loss, "actor/advantage": advantage.mean()}
