"""A generator of actions like the logged ones, and the policy that takes its best."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float, Key

from stitchrl.networks import MLP, Critics, Hidden
from stitchrl.spaces import Spec
from stitchrl.tree import pytree
from stitchrl.types import Scalar

LATENT_BOUND = 0.5  # Latents are clipped to ± this where actions are proposed.


@pytree
class Decoder:
    """An action like those of the log, for an observation and a latent."""

    mlp: MLP

    @property
    def latent_size(self) -> int:
        """Numbers in a latent: two for each of an action."""
        return 2 * self.mlp.layers[-1].bias.shape[-1]

    def __call__(self, observation: Any, latent: Any) -> Float[Array, "action"]:
        return jnp.tanh(self.mlp(jnp.concatenate([observation, latent])))


@pytree
class Generator:
    """A conditional variational autoencoder of actions (arXiv:1312.6114)."""

    encoder: MLP  # (s, a) to the mean and the log-std of a latent.
    decoder: Decoder

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "Generator":
        encoder_key, decoder_key = jax.random.split(key)
        seen, size = spec.observation, spec.action.size  # pyright: ignore[reportAttributeAccessIssue]
        decoder = Decoder(MLP.create(decoder_key, (seen + 2 * size, *hidden, size)))
        sizes = (seen + size, *hidden, 2 * decoder.latent_size)
        return cls(MLP.create(encoder_key, sizes), decoder)

    def encode(self, observation: Any, action: Any):
        """Mean and std of the latent."""
        mean, log_std = jnp.split(self.encoder(jnp.concatenate([observation, action])), 2)
        return mean, jnp.exp(jnp.clip(log_std, -4.0, 15.0))


@pytree
class Perturbation:
    """Moves an action a little, to where Q is larger."""

    mlp: MLP

    @classmethod
    def create(cls, key: Key[Array, ""], spec: Spec, hidden: Hidden) -> "Perturbation":
        size = spec.action.size  # pyright: ignore[reportAttributeAccessIssue]
        return cls(MLP.create(key, (spec.observation + size, *hidden, size)))

    def __call__(
        self, observation: Any, action: Float[Array, "action"], largest: Scalar
    ) -> Float[Array, "action"]:
        """The action, moved by at most `largest` in each direction, within the bounds."""
        step = jnp.tanh(self.mlp(jnp.concatenate([observation, action])))
        return jnp.clip(action + largest * step, -1.0, 1.0)


@pytree
class BestProposal:
    """Of as many proposed actions as there are `latents`, the one of largest Q.

    `sample` draws new latents each time, as the authors of BCQ do. `mode` proposes from
    `latents`, which never change: it is a function of the observation and hides no draw.
    """

    critics: Critics
    decoder: Decoder
    perturbation: Perturbation
    largest_step: Scalar
    latents: Float[Array, "count latent"]

    def mode(self, observation: Any) -> Float[Array, "action"]:
        return self.best(observation, self.latents)

    def sample(self, observation: Any, key: Key[Array, ""]) -> Float[Array, "action"]:
        return self.best(observation, draw_latents(key, *self.latents.shape))

    def best(
        self, observation: Any, latents: Float[Array, "count latent"]
    ) -> Float[Array, "action"]:
        """The action of largest Q, by the first critic, of those that these propose."""

        def propose(latent: Any) -> tuple[Any, Any]:
            action = self.decoder(observation, latent)
            action = self.perturbation(observation, action, self.largest_step)
            return action, self.critics(observation, action)[0]

        actions, q = jax.vmap(propose)(latents)
        return actions[q.argmax()]


def draw_latents(key: Key[Array, ""], *shape: int) -> Float[Array, "..."]:
    """Standard normal numbers, clipped."""
    return jnp.clip(jax.random.normal(key, shape), -LATENT_BOUND, LATENT_BOUND)


def spread_latents(count: int, size: int) -> Float[Array, "count latent"]:
    """Latents distributed as drawn ones are, but spread evenly; the first is zero.

    Additive recurrence by the powers of 1/g, where g^(size + 1) = g + 1 (Roberts, 2018:
    "The unreasonable effectiveness of quasirandom sequences"), mapped to the normal law.
    """
    golden = 2.0
    for _ in range(64):
        golden = (1 + golden) ** (1 / (size + 1))
    steps = golden ** -np.arange(1.0, size + 1)
    uniform = (0.5 + np.arange(count)[:, None] * steps) % 1
    latents = np.clip(scipy.special.ndtri(uniform), -LATENT_BOUND, LATENT_BOUND)
    return jnp.asarray(latents, jnp.float32)
