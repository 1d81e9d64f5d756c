"""Networks for one observation, as pytrees of arrays that can be called.

Nothing here knows about batches: callers `vmap`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from stitchrl.spaces import Continuous, Discrete, Spec, allowed, features
from stitchrl.tree import pytree
from stitchrl.types import Scalar

Hidden = tuple[int, ...]


@pytree
class Linear:
    """x @ weight + bias, both drawn uniformly from ±1/√inputs."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, "outputs"]

    @classmethod
    def create(cls, key: Key[Array, ""], inputs: int, outputs: int) -> "Linear":
        weight_key, bias_key = jax.random.split(key)
        bound = inputs**-0.5
        shape = (inputs, outputs)
        weight = jax.random.uniform(weight_key, shape, minval=-bound, maxval=bound)
        bias = jax.random.uniform(bias_key, (outputs,), minval=-bound, maxval=bound)
        return cls(weight, bias)

    def __call__(self, x: Float[Array, "inputs"]) -> Float[Array, "outputs"]:
        return x @ self.weight + self.bias


@pytree
class MLP:
    """Linear layers with ReLU between them."""

    layers: tuple[Linear, ...]

    @classmethod
    def create(cls, key: Key[Array, ""], sizes: tuple[int, ...]) -> "MLP":
        keys = jax.random.split(key, len(sizes) - 1)
        return cls(tuple(map(Linear.create, keys, sizes[:-1], sizes[1:])))

    def __call__(self, x: Float[Array, "inputs"]) -> Float[Array, "outputs"]:
        *hidden, last = self.layers
        for layer in hidden:
            x = jax.nn.relu(layer(x))
        return last(x)


@pytree
class Value:
    """State value V(s)."""

    mlp: MLP

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "Value":
        return cls(MLP.create(key, (spec.observation, *hidden, 1)))

    def __call__(self, observation: Any) -> Float[Array, ""]:
        return self.mlp(features(observation))[0]


@pytree
class Critic:
    """Q(s, a) of continuous actions."""

    mlp: MLP

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "Critic":
        return cls(MLP.create(key, (spec.observation + spec.action.size, *hidden, 1)))  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(self, observation: Any, action: Any) -> Float[Array, ""]:
        return self.mlp(jnp.concatenate([observation, action]))[0]


@pytree
class ActionTable:
    """A number for each discrete action, -inf where the observation forbids it."""

    mlp: MLP

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "ActionTable":
        return cls(MLP.create(key, (spec.observation, *hidden, spec.action.count)))  # pyright: ignore[reportAttributeAccessIssue]

    def unmasked(self, observation: Any) -> Float[Array, "actions"]:
        """The numbers of all actions, forbidden ones too: always finite."""
        return self.mlp(features(observation))

    def row(self, observation: Any) -> Float[Array, "actions"]:
        return jnp.where(allowed(observation), self.unmasked(observation), -jnp.inf)

    def __call__(self, observation: Any, action: Any) -> Float[Array, ""]:
        return self.row(observation)[action]


@pytree
class Critics:
    """An ensemble of action values Q_i(s, a)."""

    members: Critic | ActionTable  # Every leaf has a leading `ensemble` axis.

    @classmethod
    def create(
        cls, key: Key[Array, ""], spec: Spec, hidden: Hidden, ensemble: int = 2
    ) -> "Critics":
        member = CRITIC[type(spec.action)]
        keys = jax.random.split(key, ensemble)
        return cls(jax.vmap(lambda k: member.create(k, spec, hidden))(keys))

    def each(self, function: Callable[[Any], Any]) -> Any:
        """Apply `function` to every member; results get a leading `ensemble` axis."""
        return jax.vmap(function)(self.members)

    def __call__(self, observation: Any, action: Any) -> Float[Array, "ensemble"]:
        return self.each(lambda critic: critic(observation, action))

    def row(self, observation: Any) -> Float[Array, "ensemble actions"]:
        """Of discrete actions: all of them, -inf where forbidden."""
        return self.each(lambda critic: critic.row(observation))


@pytree
class Multiplier:
    """A positive number learned by dual ascent: a temperature, a Lagrange multiplier."""

    log: Float[Array, ""]

    @classmethod
    def create(cls, initial: Scalar) -> "Multiplier":
        return cls(jnp.log(jnp.asarray(initial, jnp.float32)))

    def __call__(self) -> Float[Array, ""]:
        return jnp.exp(self.log)


CRITIC = {Continuous: Critic, Discrete: ActionTable}
