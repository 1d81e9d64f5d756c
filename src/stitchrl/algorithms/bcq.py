"""Batch-constrained Q-learning (Fujimoto, Meger and Precup, 2018; arXiv:1812.02900)."""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from stitchrl.experience import Experience, Transition, sample_transitions
from stitchrl.learner import Learner, Metrics, move_towards
from stitchrl.losses import ensemble_error, td_target
from stitchrl.networks import Critics
from stitchrl.proposals import (
    BestProposal,
    Decoder,
    Generator,
    Perturbation,
    draw_latents,
    spread_latents,
)
from stitchrl.spaces import Continuous, Spec
from stitchrl.tree import hyperparameters


class BCQState(NamedTuple):
    """What BCQ has learned."""

    generator: Learner[Generator]
    critics: Learner[Critics]
    perturbation: Learner[Perturbation]
    target_critics: Critics
    target_perturbation: Perturbation


@hyperparameters
class BCQ:
    """Q-learning among actions that a generator, learned from the log, proposes.

    Update order: generator; critics, on next actions of the new generator and the targets;
    perturbation, on the new critics and the new generator; then both targets. The authors'
    code does the same.
    Departures: the mode of the policy takes the best of 100 proposals from latents that are
    never drawn (see `BestProposal`); its samples draw 100, as the authors' policy does.
    """

    actions: ClassVar = (Continuous,)
    needs: ClassVar = ("rewards",)
    is_stochastic: ClassVar = True  # Each row of a batch gets noise of its own.
    has_squared_errors: ClassVar = True

    largest_step: float = 0.05  # Φ: by how much the perturbation moves an action at most.
    minimum_share: float = 0.75  # λ, Eq. 13: of the smaller critic in the target.
    prior_weight: float = 0.5  # Of the KL divergence between latents and their prior.
    discount: float = 0.99  # γ
    target_rate: float = 0.005
    learning_rate: float = 1e-3
    target_samples: int = 10  # n: proposals for each next observation.
    candidates: int = 100  # Proposals for each decision.
    batch_size: int = 100
    hidden: tuple[int, ...] = (400, 300)
    generator_hidden: tuple[int, ...] = (750, 750)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""], spec: Spec) -> BCQState:
        generator_key, critic_key, perturbation_key = jax.random.split(key, 3)
        generator = Generator.create(generator_key, spec, self.generator_hidden)
        critics = Critics.create(critic_key, spec, self.hidden)
        perturbation = Perturbation.create(perturbation_key, spec, self.hidden)
        return BCQState(
            generator=Learner.create(generator, self.optimizer),
            critics=Learner.create(critics, self.optimizer),
            perturbation=Learner.create(perturbation, self.optimizer),
            target_critics=critics,
            target_perturbation=perturbation,
        )

    def sample(self, data: Experience, key: Key[Array, ""]) -> Transition:
        return sample_transitions(data, key, self.batch_size, self.discount)

    def update(
        self, state: BCQState, batch: Transition, key: Key[Array, ""]
    ) -> tuple[BCQState, Metrics]:
        encoder_key, next_key, key = jax.random.split(key, 3)
        adam, targets = self.optimizer, (state.target_critics, state.target_perturbation)

        generator, metrics = state.generator.minimize(
            self.generator_loss, batch, encoder_key, optimizer=adam
        )
        decoder = generator.network.decoder
        critics, critic_metrics = state.critics.minimize(
            self.critic_loss, *targets, decoder, batch, next_key, optimizer=adam
        )
        perturbation, step_metrics = state.perturbation.minimize(
            self.perturbation_loss, critics.network, decoder, batch, key, optimizer=adam
        )
        new = (critics.network, perturbation.network)
        targets = move_towards(targets, source=new, rate=self.target_rate)
        metrics = metrics | critic_metrics | step_metrics
        return BCQState(generator, critics, perturbation, *targets), metrics

    def policy(self, state: BCQState) -> BestProposal:
        decoder = state.generator.network.decoder
        return BestProposal(
            critics=state.critics.network,
            decoder=decoder,
            perturbation=state.perturbation.network,
            largest_step=self.largest_step,
            latents=spread_latents(self.candidates, decoder.latent_size),
        )

    def action_value(self, state: BCQState) -> Critics:
        return state.critics.network

    def generator_loss(self, generator: Generator, batch: Transition, key: Any):
        """Squared error of reconstructed actions, plus half the divergence of latents."""
        mean, std = jax.vmap(generator.encode)(batch.observation, batch.action)
        latent = mean + std * jax.random.normal(key, mean.shape)
        action = jax.vmap(generator.decoder)(batch.observation, latent)
        error = jnp.square(action - batch.action).mean()
        prior = -0.5 * (1 + 2 * jnp.log(std) - mean**2 - std**2).mean()
        loss = error + self.prior_weight * prior
        return loss, {"generator/loss": loss, "generator/error": error}

    def critic_loss(
        self,
        critics: Critics,
        target_critics: Critics,
        target_perturbation: Perturbation,
        decoder: Decoder,
        batch: Transition,
        key: Key[Array, ""],
    ):
        """Eq. 13: regress Q(s, a) to r + γ times the best of n proposals for s'."""

        def value(observation: Any, latent: Any) -> Float[Array, ""]:
            action = decoder(observation, latent)
            action = target_perturbation(observation, action, self.largest_step)
            q = target_critics(observation, action)
            return self.minimum_share * q.min() + (1 - self.minimum_share) * q.max()

        shape = (len(batch.reward), self.target_samples, decoder.latent_size)
        latents = draw_latents(key, *shape)
        each = jax.vmap(jax.vmap(value, (None, 0)))
        next_value = each(batch.next_observation, latents).max(axis=1)
        target = td_target(batch, self.discount, next_value)
        q = critics.at_rows(batch.observation, batch.action)
        loss = ensemble_error(q, target).mean()
        return loss, {"critics/loss": loss, "critics/mean": q.mean()}

    def perturbation_loss(self, perturbation, critics, decoder, batch, key):
        """Maximize the first critic on perturbed proposals."""

        def value(observation: Any, latent: Any) -> Float[Array, ""]:
            action = decoder(observation, latent)
            action = perturbation(observation, action, self.largest_step)
            return critics(observation, action)[0]

        latents = draw_latents(key, len(batch.reward), decoder.latent_size)
        loss = -jax.vmap(value)(batch.observation, latents).mean()
        return loss, {"perturbation/loss": loss}
