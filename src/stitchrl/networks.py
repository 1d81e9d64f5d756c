"""Networks for one observation, as pytrees of arrays that can be called.

Nothing here knows about batches: callers `vmap`.
"""

from collections.abc import Callable
from itertools import pairwise
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
    """x @ weight + bias."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, "outputs"]

    def __call__(self, x: Float[Array, "inputs"]) -> Float[Array, "outputs"]:
        return x @ self.weight + self.bias

    def with_last_input(self, value: Scalar) -> "Linear":
        """The layer of the other inputs, when the last one always has this value."""
        return Linear(self.weight[:-1], self.bias + value * self.weight[-1])


@pytree
class Readout:
    """weight @ x + bias, the last layer: as `Linear`, but for how its weight lies.

    It has few outputs. With those as the last axis, XLA's product for the gradient takes a
    tenth of an update of behavior cloning on the CPU (docs/performance.md).
    """

    weight: Float[Array, "outputs inputs"]
    bias: Float[Array, "outputs"]

    def __call__(self, x: Float[Array, "inputs"]) -> Float[Array, "outputs"]:
        return self.weight @ x + self.bias

    def with_last_input(self, value: Scalar) -> "Readout":
        """As that of `Linear`."""
        return Readout(self.weight[:, :-1], self.bias + value * self.weight[:, -1])


@pytree
class LayerNorm:
    """A vector with mean 0 and variance 1, scaled by learned numbers (arXiv:1607.06450)."""

    scale: Float[Array, "size"]
    shift: Float[Array, "size"]

    @classmethod
    def create(cls, size: int) -> "LayerNorm":
        return cls(jnp.ones(size), jnp.zeros(size))

    def __call__(self, x: Float[Array, "size"]) -> Float[Array, "size"]:
        standard = (x - x.mean()) * jax.lax.rsqrt(x.var() + 1e-5)
        return standard * self.scale + self.shift


@pytree
class MLP:
    """Linear layers with ReLU between them; a layer norm after each ReLU, if there are."""

    layers: tuple[Linear | Readout, ...]  # The last one is a readout.
    norms: tuple[LayerNorm, ...] = ()

    @classmethod
    def create(
        cls, key: Key[Array, ""], sizes: tuple[int, ...], *, layer_norm: bool = False
    ) -> "MLP":
        *hidden, last = _draw_layers(key, sizes)
        norms = tuple(map(LayerNorm.create, sizes[1:-1])) if layer_norm else ()
        return cls((*hidden, Readout(last.weight.T, last.bias)), norms)

    def with_last_input(self, value: Scalar) -> "MLP":
        """The network of the other inputs, when the last one always has this value."""
        first, *others = self.layers
        return MLP((first.with_last_input(value), *others), self.norms)

    def last_hidden(self, x: Float[Array, "inputs"]) -> Float[Array, "features"]:
        """What the last layer sees."""
        for index, layer in enumerate(self.layers[:-1]):
            x = jax.nn.relu(layer(x))
            x = self.norms[index](x) if self.norms else x
        return x

    def __call__(self, x: Float[Array, "inputs"]) -> Float[Array, "outputs"]:
        return self.layers[-1](self.last_hidden(x))


def _draw_layers(key: Key[Array, ""], sizes: tuple[int, ...]) -> list[Linear]:
    """Weights and biases, all uniform in ±1/√inputs.

    Drawn together, as many of each as of the largest: every call of a generator takes XLA
    a tenth of a second to compile.
    """
    shapes = list(pairwise(sizes))
    bound = jnp.array([inputs**-0.5 for inputs, _ in shapes])[:, None]
    keys = jax.vmap(jax.random.split)(jax.random.split(key, len(shapes)))
    most = max(inputs * outputs for inputs, outputs in shapes)

    def draw(key: Key[Array, ""], bound: Float[Array, ""]) -> Float[Array, "most"]:
        return jax.random.uniform(key, (most,), minval=-bound, maxval=bound)

    drawn = jax.vmap(jax.vmap(draw))(keys, jnp.broadcast_to(bound, keys.shape))
    return [
        Linear(weight[: inputs * outputs].reshape(inputs, outputs), bias[:outputs])
        for (weight, bias), (inputs, outputs) in zip(drawn, shapes)
    ]


@pytree
class Value:
    """State value V(s)."""

    mlp: MLP

    @classmethod
    def create(
        cls, key: Key[Array, ""], spec: Spec, hidden: Hidden, *, layer_norm: bool = False
    ) -> "Value":
        sizes = (spec.observation, *hidden, 1)
        return cls(MLP.create(key, sizes, layer_norm=layer_norm))

    def __call__(self, observation: Any) -> Float[Array, ""]:
        return self.mlp(features(observation))[0]


@pytree
class Critic:
    """Q(s, a) of continuous actions."""

    mlp: MLP

    @classmethod
    def create(
        cls, key: Key[Array, ""], spec: Spec, hidden: Hidden, *, layer_norm: bool = False
    ) -> "Critic":
        inputs = spec.observation + spec.action.size  # pyright: ignore[reportAttributeAccessIssue]
        return cls(MLP.create(key, (inputs, *hidden, 1), layer_norm=layer_norm))

    def last_hidden(self, observation: Any, action: Any) -> Float[Array, "features"]:
        return self.mlp.last_hidden(jnp.concatenate([observation, action]))

    def __call__(self, observation: Any, action: Any) -> Float[Array, ""]:
        return self.mlp(jnp.concatenate([observation, action]))[0]


@pytree
class ActionTable:
    """A number for each discrete action, -inf where the observation forbids it."""

    mlp: MLP

    @classmethod
    def create(
        cls, key: Key[Array, ""], spec: Spec, hidden: Hidden, *, layer_norm: bool = False
    ) -> "ActionTable":
        sizes = (spec.observation, *hidden, spec.action.count)  # pyright: ignore[reportAttributeAccessIssue]
        return cls(MLP.create(key, sizes, layer_norm=layer_norm))

    def unmasked(self, observation: Any) -> Float[Array, "actions"]:
        """The numbers of all actions, forbidden ones too: always finite."""
        return self.mlp(features(observation))

    def last_hidden(self, observation: Any, action: Any) -> Float[Array, "features"]:
        """Of the observation alone: actions differ in the last layer only."""
        del action
        return self.mlp.last_hidden(features(observation))

    def row(self, observation: Any) -> Float[Array, "actions"]:
        return jnp.where(allowed(observation), self.unmasked(observation), -jnp.inf)

    def __call__(self, observation: Any, action: Any) -> Float[Array, ""]:
        return self.row(observation)[action]


@pytree
class Critics:
    """An ensemble of action values Q_i(s, a).

    Of a batch, call `at_rows` instead of mapping over it.
    """

    members: Critic | ActionTable  # Every leaf has a leading `ensemble` axis.

    @classmethod
    def create(
        cls,
        key: Key[Array, ""],
        spec: Spec,
        hidden: Hidden,
        ensemble: int = 2,
        *,
        layer_norm: bool = False,
    ) -> "Critics":
        member = CRITIC[type(spec.action)]

        def create(key: Key[Array, ""]) -> Critic | ActionTable:
            return member.create(key, spec, hidden, layer_norm=layer_norm)

        return cls(jax.vmap(create)(jax.random.split(key, ensemble)))

    def each(self, function: Callable[[Any], Any]) -> Any:
        """Apply `function` to every member; results get a leading `ensemble` axis."""
        return jax.vmap(function)(self.members)

    def __call__(self, observation: Any, action: Any) -> Float[Array, "ensemble"]:
        return self.each(lambda critic: critic(observation, action))

    def at_rows(self, observation: Any, action: Any) -> Float[Array, "batch ensemble"]:
        """Of a batch: the rows inside and the members outside.

        `vmap` over rows of a call would nest them the other way round, and XLA would then
        transpose what every layer hands to the next. Every member gets rows of its own for
        the same reason: shared ones become one product, of which the parts are transposed.
        """
        count = len(jax.tree.leaves(self.members)[0])
        inputs = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (count, *x.shape)), (observation, action)
        )
        return jax.vmap(_each_row)(self.members, *inputs).T

    def last_hidden(
        self, observation: Any, action: Any
    ) -> Float[Array, "ensemble features"]:
        """What the last layer of every member sees."""
        return self.each(lambda critic: critic.last_hidden(observation, action))

    def row(self, observation: Any) -> Float[Array, "ensemble actions"]:
        """Of discrete actions: all of them, -inf where forbidden."""
        return self.each(lambda critic: critic.row(observation))


def _each_row(critic: Any, observation: Any, action: Any) -> Float[Array, "batch"]:
    return jax.vmap(critic)(observation, action)


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
