"""XQL: two updates against the equations of the paper and the scaling of the code."""

from functools import cache

import numpy as np
import pytest
from parity.numpy_networks import (
    ROWS,
    Adam,
    Arrays,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    log_likelihood,
    polyak,
    random_batch,
    slopes_of,
    started,
    updated,
    with_plain_steps,
)

from stitchrl.algorithms.xql import XQL

KINDS = ["continuous", "discrete", "masked"]
PARTS = ("actor", "critics", "value", "target_critics")
TOTAL, BETA, CLIP, DELTA = 5.0, 0.8, 0.5, 0.6
RATES = {Descent: 0.5, Adam: 1e-3}
HYPER = {
    "value_temperature": BETA,
    "max_exponent": CLIP,  # Low, so that some rows reach it.
    "huber_threshold": DELTA,  # Likewise.
    "inverse_temperature": 2.0,
    "max_weight": 0.9,
    "discount": 0.9,
    "target_rate": 0.1,
    "total_updates": TOTAL,
    "hidden": (8, 8),
}


def normed(network: Arrays, x: np.ndarray) -> np.ndarray:
    """V of two hidden layers, each followed by ReLU and layer norm."""
    layers, norms = network[:6], network[6:]
    for i in (0, 2):
        x = np.maximum(x @ layers[i] + layers[i + 1], 0)
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        x = x * norms[i] + norms[i + 1]
    return (x @ layers[4].T + layers[5])[:, 0]


def exponents(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.minimum((q - v) / BETA, CLIP)


def value_slopes(value: Arrays, batch, q: np.ndarray, wrong: str) -> Arrays:
    """Of mean (e^z - z - 1) / max e^z, the divisor a constant."""
    top = max(exponents(q, normed(value, batch.s)).max(), -1.0)

    def loss(value: Arrays) -> float:
        v = normed(value, batch.s)
        z = (q - v) / BETA if wrong == "no clip" else exponents(q, v)
        scale = 1.0 if wrong == "no rescaling" else np.exp(-top)
        return ((np.exp(z) - z - 1) * scale).mean()

    return slopes_of(loss, value)


def reference(nets, batches, optimizers, wrong=""):
    actor, critics, value, targets = nets
    for batch in batches:
        q_target = action_values(targets, batch.s, batch.a)[0].min(axis=1)
        q_online, back_q = action_values(critics, batch.s, batch.a)
        q = q_online.min(axis=1) if wrong == "V sees the online critics" else q_target
        old_value = value
        slopes = value_slopes(value, batch, q, wrong)
        value = optimizers["value"].step(value, slopes)

        seen = old_value if wrong == "critics see the old V" else value
        target = bellman(batch, HYPER["discount"], normed(seen, batch.next_s))
        error = q_online - target[:, None]
        clipped = error if wrong == "squares" else np.clip(error, -DELTA, DELTA)
        critics = optimizers["critics"].step(critics, back_q(clipped / ROWS)[0])

        seen = old_value if wrong == "actor sees the old V" else value
        advantage = q_target - normed(seen, batch.s)
        weight = np.exp(HYPER["inverse_temperature"] * advantage)
        weight = np.minimum(weight, HYPER["max_weight"])
        _, back = log_likelihood(actor, batch.s, batch.a, batch.allowed)
        actor = optimizers["actor"].step(actor, back(-weight / ROWS))
        targets = polyak(targets, critics, HYPER["target_rate"])
    return actor, critics, value, targets


def parts(state) -> list:
    learners = [state.actor, state.critics, state.value]
    return [learner.network for learner in learners] + [state.target_critics]


def batches_of(kind: str) -> list:
    return [random_batch(kind, seed) for seed in (1, 2)]


@cache
def ours(kind: str, optimizer: type):
    """Our state before two updates and after them."""
    cls = with_plain_steps(XQL) if optimizer is Descent else XQL
    algorithm = cls(**HYPER, learning_rate=RATES[optimizer])
    first = started(algorithm, kind)
    return first, updated(algorithm, first, kind, batches_of(kind))[-1]


def gaps(kind: str, optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    first, last = ours(kind, optimizer)
    rate = RATES[optimizer]
    optimizers = {part: optimizer(rate) for part in PARTS}
    if optimizer is Adam:
        optimizers["actor"] = Adam(lambda i: rate * (1 + np.cos(np.pi * i / TOTAL)) / 2)
    nets = [arrays(part) for part in parts(first)]
    expected = reference(nets, batches_of(kind), optimizers, wrong)
    starts = parts(first) if optimizer is Descent else [None] * 4
    found = [distance(*three) for three in zip(parts(last), expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize(
    "kind, optimizer", [*[(kind, Descent) for kind in KINDS], ("continuous", Adam)]
)
def test_two_updates(kind: str, optimizer: type):
    found = gaps(kind, optimizer)
    assert max(found.values()) < 1e-5, found


WRONG = {
    "no clip": ["value"],
    "no rescaling": ["value"],
    "V sees the online critics": ["value"],
    "critics see the old V": ["critics", "target_critics"],
    "squares": ["critics", "target_critics"],
    "actor sees the old V": ["actor"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_other_forms_would_be_noticed(wrong: str):
    found = gaps("continuous", Descent, wrong)
    assert all(found[part] > 1e-2 for part in WRONG[wrong]), found


def test_some_rows_are_clipped_and_some_are_not():
    first, _ = ours("continuous", Descent)
    _, critics, value, targets = [arrays(part) for part in parts(first)]
    batch = batches_of("continuous")[0]
    q = action_values(targets, batch.s, batch.a)[0].min(axis=1)
    z = exponents(q, normed(value, batch.s))
    assert 0 < (z == CLIP).sum() < ROWS
    target = bellman(batch, HYPER["discount"], normed(value, batch.next_s))
    error = action_values(critics, batch.s, batch.a)[0] - target[:, None]
    assert 0 < (np.abs(error) > DELTA).sum() < error.size
