"""BRAC: two updates against the equations, with every option, draws replayed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity.numpy_networks import (
    ROWS,
    Adam,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    ensemble,
    forbid,
    log_sum_exp,
    mlp,
    polyak,
    random_batch,
    slopes_of,
    started,
    updated,
    with_plain_steps,
)
from parity.numpy_policies import SIZE, Mixture, Squashed, normals

from stitchrl.algorithms.brac import BRAC

KINDS = ["continuous", "discrete", "masked"]
PARTS = ("actor", "behavior", "critics", "weight", "target_critics")
RATE, EPSILON, SAMPLES = 0.1, 0.3, 2
HYPER = {
    "initial_weight": 0.7,
    "target_divergence": EPSILON,
    "discount": 0.9,
    "target_rate": RATE,
    "action_samples": SAMPLES,
    "hidden": (8, 8),
}


class Softmax:
    """Of discrete actions: log-probabilities, 0 and weightless where forbidden."""

    def __init__(self, network, s, allowed):
        logits = forbid(mlp(network, s)[0], allowed)
        row = logits - log_sum_exp(logits)[:, None]
        self.weight, self.row = np.exp(row), np.where(allowed, row, 0)

    def log_prob(self, action):
        return self.row[np.arange(len(action)), action]


def policy(kind, network, s, allowed):
    return Squashed(network, s) if kind == "continuous" else Softmax(network, s, allowed)


def model(kind, network, s, allowed):
    return Mixture(network, s) if kind == "continuous" else Softmax(network, s, allowed)


def noise_of(row_keys) -> np.ndarray:
    """(samples, rows, action): what the actor draws in each row."""
    keys = [jax.random.split(key, SAMPLES) for key in row_keys]
    return np.array([[normals(k, SIZE) for k in row] for row in keys]).swapaxes(0, 1)


def drawn_from(mixture: Mixture, row_keys) -> np.ndarray:
    """(samples, rows, action): what the model of the log draws in each row."""
    found = np.zeros((SAMPLES, ROWS, SIZE))
    for row, row_key in enumerate(row_keys):
        keys = jax.random.split(jax.random.fold_in(row_key, 1), SAMPLES)
        for sample, key in enumerate(keys):
            component_key, noise_key = jax.random.split(key)
            log_weight = jnp.asarray(mixture.log_weight[row], jnp.float32)
            chosen = int(jax.random.categorical(component_key, log_weight))
            std = np.exp(mixture.log_std[row, chosen])
            before = mixture.mean[row, chosen] + std * normals(noise_key, SIZE)
            found[sample, row] = np.tanh(before)
    return found


def value_of(kind, chooser, noise, critics, s) -> np.ndarray:
    """E min Q under the policy."""
    if kind != "continuous":
        return (chooser.weight * ensemble(critics, s)[0].min(axis=1)).sum(axis=1)
    acts = [chooser.act(one) for one in noise]
    return np.mean([action_values(critics, s, a)[0].min(axis=1) for a in acts], axis=0)


def kl(kind, one, other, acts) -> np.ndarray:
    """KL(one | other): summed over actions, or the mean over those that `one` drew."""
    if kind != "continuous":
        return (one.weight * (one.row - other.row)).sum(axis=1)
    return np.mean([one.log_prob(a) - other.log_prob(a) for a in acts], axis=0)


def next_value(kind, options, actor, behavior, targets, weight, batch, keys, wrong):
    s, allowed = batch.next_s, batch.next_allowed
    chooser, imitation = policy(kind, actor, s, allowed), model(kind, behavior, s, allowed)
    noise = noise_of(keys) if kind == "continuous" else None
    value = value_of(kind, chooser, noise, targets, s)
    if not options["in_target"] or wrong == "no penalty in the target":
        return value
    if options["divergence"] == "forward_kl":
        acts = drawn_from(imitation, keys) if kind == "continuous" else None
        return value - weight * kl(kind, imitation, chooser, acts)
    acts = [chooser.act(one) for one in noise] if kind == "continuous" else None
    return value - weight * kl(kind, chooser, imitation, acts)


def actor_terms(kind, options, actor, behavior, critics, batch, noise, wrong=""):
    """E min Q and the divergence in each row."""
    chooser = policy(kind, actor, batch.s, batch.allowed)
    imitation = model(kind, behavior, batch.s, batch.allowed)
    value = value_of(kind, chooser, noise, critics, batch.s)
    is_forward = options["divergence"] == "forward_kl"
    if is_forward != (wrong == "the other divergence"):
        return value, imitation.log_prob(batch.a) - chooser.log_prob(batch.a)
    acts = [chooser.act(one) for one in noise] if kind == "continuous" else None
    return value, kl(kind, chooser, imitation, acts)


def reference(kind, options, nets, batches, optimizers, wrong=""):
    actor, behavior, critics, weight, targets = nets
    for i, batch in enumerate(batches):
        key = jax.random.fold_in(jax.random.key(9), i)
        next_keys, keys = jax.random.split(key, (2, ROWS))
        noise = noise_of(keys) if kind == "continuous" else None
        alpha, old_behavior, old_critics = np.exp(weight[0]), behavior, critics

        def of_behavior(network, batch=batch):
            imitation = model(kind, network, batch.s, batch.allowed)
            return -imitation.log_prob(batch.a).mean()

        slopes = slopes_of(of_behavior, behavior)
        behavior = optimizers["behavior"].step(behavior, slopes)
        seen = old_behavior if wrong == "the old model" else behavior

        valuer = critics if wrong == "the online critics value" else targets
        value = next_value(
            kind, options, actor, seen, valuer, alpha, batch, next_keys, wrong
        )
        target = bellman(batch, 0.9, value)

        def of_critics(network, batch=batch, target=target):
            q, _ = action_values(network, batch.s, batch.a)
            return ((q - target[:, None]) ** 2).sum(axis=1).mean()

        critics = optimizers["critics"].step(critics, slopes_of(of_critics, critics))

        inputs = (seen, old_critics if wrong == "the old critics" else critics)

        def terms(network, inputs=inputs, batch=batch, noise=noise):
            return actor_terms(kind, options, network, *inputs, batch, noise, wrong)

        def of_actor(network, terms=terms, alpha=alpha):
            value, apart = terms(network)
            return (alpha * apart - value).mean()

        new_actor = optimizers["actor"].step(actor, slopes_of(of_actor, actor))
        if options["form"] == "constraint":
            later = wrong == "the weight sees the new actor"
            apart = terms(new_actor if later else actor)[1].mean()
            weight = optimizers["weight"].step(weight, [np.array(EPSILON - apart)])
        actor, targets = new_actor, polyak(targets, critics, RATE)
    return actor, behavior, critics, weight, targets


def parts(state) -> list:
    learners = [state.actor, state.behavior, state.critics, state.weight]
    return [learner.network for learner in learners] + [state.target_critics]


def gaps(kind: str, options: dict, optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    is_plain = optimizer is Descent
    names = ("learning_rate", "actor_learning_rate", "weight_learning_rate")
    rates = dict(zip(names, (0.2, 2.0, 0.1) if is_plain else (1e-3, 2e-3, 3e-3)))
    cls = with_plain_steps(BRAC) if is_plain else BRAC
    algorithm = cls(**HYPER, **rates, **options)
    first = started(algorithm, kind)
    batches = [random_batch(kind, seed) for seed in (1, 2)]
    last = updated(algorithm, first, kind, batches)[-1]
    q_rate, actor_rate, weight_rate = rates.values()
    optimizers = {
        "critics": optimizer(q_rate),
        "behavior": optimizer(q_rate),
        "actor": optimizer(actor_rate),
        "weight": optimizer(weight_rate),
    }
    nets = [arrays(part) for part in parts(first)]
    expected = reference(kind, options, nets, batches, optimizers, wrong)
    starts = parts(first) if is_plain else [None] * 5
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


def options_of(divergence: str, form: str, in_target: bool) -> dict:
    return {"divergence": divergence, "form": form, "in_target": in_target}


OPTIONS = {
    "reverse penalty": options_of("reverse_kl", "penalty", False),
    "reverse constraint in target": options_of("reverse_kl", "constraint", True),
    "forward constraint": options_of("forward_kl", "constraint", False),
    "forward penalty in target": options_of("forward_kl", "penalty", True),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_and_what_each_step_sees(kind: str, options: str):
    found = gaps(kind, OPTIONS[options], Descent)
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize("kind", ["continuous", "masked"])
def test_two_updates_of_adam(kind: str):
    found = gaps(kind, OPTIONS["reverse constraint in target"], Adam)
    assert max(found.values()) < 1e-5, found


WRONG = {
    "the old model": ["actor", "critics"],
    "the old critics": ["actor"],
    "the online critics value": ["critics", "target_critics"],
    "no penalty in the target": ["critics", "target_critics"],
    "the other divergence": ["actor", "weight"],
    "the weight sees the new actor": ["weight"],
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["continuous", "masked"])
def test_other_orders_would_be_noticed(kind: str, wrong: str):
    found = gaps(kind, OPTIONS["reverse constraint in target"], Descent, wrong)
    assert all(found[part] > 1e-3 for part in WRONG[wrong]), found
