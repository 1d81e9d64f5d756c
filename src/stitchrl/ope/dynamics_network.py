"""A model of the process by networks: changes, rewards, and where episodes terminate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.stats import norm
from jaxtyping import Array, Bool, Float, Key

from stitchrl.experience import Experience, Fold, Transition, take
from stitchrl.learner import Learner, Metrics, cosine_decay
from stitchrl.networks import MLP
from stitchrl.ope.dynamics import Step
from stitchrl.spaces import Discrete, Spec
from stitchrl.tree import hyperparameters, pytree

LOG_STD = (-7.0, 2.0)  # In units of the spread of what was logged: e^-7 is about 1e-3.


@pytree
class NetworkDynamics:
    """Independent Gaussians of the change and the reward, and a chance of the end."""

    mlp: MLP
    mean: Float[Array, "outputs"]  # Of changes and, last, of rewards, as logged.
    scale: Float[Array, "outputs"]
    count: int  # Of discrete actions; 0: continuous.

    def parameters(self, observation: Any, action: Any) -> Any:
        """Mean and std of (change, reward) in units of their spread; logit of the end."""
        acting = jax.nn.one_hot(action, self.count) if self.count else action
        found = self.mlp(jnp.concatenate([observation, acting]))
        mean, log_std = jnp.split(found[:-1], 2)
        # Softly inside, so that there is a slope everywhere (Chua et al. 2018, app. A.1).
        low, high = LOG_STD
        log_std = high - jax.nn.softplus(high - log_std)
        log_std = low + jax.nn.softplus(log_std - low)
        return mean, jnp.exp(log_std), found[-1]

    def step(self, observation: Any, action: Any, key: Key[Array, ""]) -> Step:
        mean, std, logit = self.parameters(observation, action)
        noise = jax.random.normal(key, mean.shape)
        drawn = self.mean + self.scale * (mean + std * noise)
        reward = self.mean[-1] + self.scale[-1] * mean[-1]
        return Step(observation + drawn[:-1], reward, jax.nn.sigmoid(logit))

    def surprise(
        self, observation: Any, action: Any, change: Any, reward: Any, goes_on: Any
    ) -> Float[Array, ""]:
        """-log density of the reward, and of the change where the episode goes on."""
        mean, std, _ = self.parameters(observation, action)
        logged = jnp.concatenate([change, reward[None]])
        scaled = (logged - self.mean) / self.scale
        density = norm.logpdf(scaled, mean, std) - jnp.log(self.scale)
        return -jnp.where(goes_on, density.sum(), density[-1])


class DynamicsState(NamedTuple):
    """What a model has learned."""

    dynamics: Learner[MLP]


@hyperparameters
class Dynamics:
    """Fit one network by maximum likelihood; an ensemble is a population of these.

    As Chua et al. 2018 (arXiv 1805.12114), with the reward and the end learned beside the
    change. Update order: the network, and nothing else.
    """

    fold: Fold  # The transitions to learn from.
    ends: Bool[Array, "size"]  # Terminations to learn: not those by the horizon.
    mean: Float[Array, "outputs"]
    scale: Float[Array, "outputs"]
    learning_rate: float = 1e-3  # Falls to 0 as a cosine.
    weight_decay: float = 1e-4
    total_updates: float = 8_000.0
    batch_size: int = 256
    hidden: tuple[int, ...] = (64, 64)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        rate = cosine_decay(self.learning_rate, self.total_updates)
        return optax.adam(rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> DynamicsState:
        space = spec.action
        width = space.count if isinstance(space, Discrete) else space.size
        outputs = 2 * (spec.observation + 1) + 1
        mlp = MLP.create(key, (spec.observation + width, *self.hidden, outputs))
        return DynamicsState(Learner.create(mlp, self.optimizer))

    def sample(self, data: Experience, key: Key[Array, ""]) -> Any:
        rows = self.fold.draw(key, self.batch_size)
        return take(data.transitions, rows), self.ends[rows]

    def update(
        self, state: DynamicsState, batch: Any, key: Key[Array, ""]
    ) -> tuple[DynamicsState, Metrics]:
        del key  # Nothing is drawn.
        dynamics, metrics = state.dynamics.minimize(
            self.loss, *batch, optimizer=self.optimizer
        )
        return DynamicsState(dynamics), metrics

    def loss(self, mlp: MLP, batch: Transition, ends: Any):
        """-log likelihood of changes, rewards and ends, and an L2 penalty on weights.

        What followed the end of an episode is not learned.
        """
        model = self.of(mlp, batch.action)
        goes_on = ~batch.terminated
        change = batch.next_observation - batch.observation
        columns = batch.observation, batch.action, change, batch.reward, goes_on
        surprise = jax.vmap(model.surprise)(*columns).mean()
        logit = jax.vmap(lambda o, a: model.parameters(o, a)[2])(*columns[:2])
        of_end = optax.sigmoid_binary_cross_entropy(logit, ends).mean()
        squares = [jnp.square(layer.weight).sum() for layer in mlp.layers]
        loss = surprise + of_end + self.weight_decay * jnp.stack(squares).sum()
        return loss, {"dynamics/surprise": surprise, "dynamics/end": of_end}

    def of(self, mlp: MLP, action: Any) -> NetworkDynamics:
        """The model with this network, for actions like these."""
        inputs = mlp.layers[0].weight.shape[-2]
        is_discrete = jnp.issubdtype(action.dtype, jnp.integer)
        count = inputs - (len(self.mean) - 1) if is_discrete else 0
        return NetworkDynamics(mlp, self.mean, self.scale, count)
