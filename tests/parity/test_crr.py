"""CRR: two updates against equations 1 to 4, with every weight and baseline."""

from functools import cache

import jax
import numpy as np
import pytest
from parity.numpy_draws import max_of, mean_of, values_under
from parity.numpy_networks import (
    SPECS,
    Adam,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    log_likelihood,
    random_batch,
    started,
    updated,
    with_plain_steps,
)

from stitchrl.algorithms.crr import CRR
from stitchrl.policies import likelihood_policy

KINDS = ["continuous", "discrete", "masked"]
PARTS = ("actor", "critics", "target_actor", "target_critics")
SAMPLES, CLIP, TEMPERATURE = 3, 1.02, 0.4  # So low a clip that it is felt.
HYPER = {
    "temperature": TEMPERATURE,
    "max_weight": CLIP,
    "action_samples": SAMPLES,
    "discount": 0.9,
    "target_period": 2,
    "ensemble": 2,
    "hidden": (8, 8),
}
RATE = {Descent: 0.5, Adam: 1e-3}
WRONG = {
    "the actor sees the new critics": ["actor"],
    "the weights see the target critics": ["actor"],
    "the online actor acts next": ["critics"],
    "the online critics value": ["critics"],
    "targets are copied at once": ["critics"],
    "Q over the ensemble's mean": ["actor"],
}


def advantage_of(critics, actor, batch, key, baseline, wrong):
    options = {"count": SAMPLES, "is_discrete": batch.a.ndim == 1}
    over = {"mean": mean_of, "max": max_of}[baseline]
    value = over(*values_under(critics, actor, batch.s, batch.allowed, key, **options))
    q = action_values(critics, batch.s, batch.a)[0]
    q = q.mean(axis=1) if wrong == "Q over the ensemble's mean" else q.min(axis=1)
    return q - value


def reference(nets, batches, optimizers, weights, baseline, wrong=""):
    actor, critics, target_actor, targets = nets
    for i, batch in enumerate(batches):
        key = jax.random.fold_in(jax.random.key(9), i)
        weight_key, next_key = jax.random.split(key)
        chooser = actor if wrong == "the online actor acts next" else target_actor
        valuer = critics if wrong == "the online critics value" else targets
        found = values_under(
            valuer, chooser, batch.next_s, batch.next_allowed, next_key,
            count=1, is_discrete=batch.a.ndim == 1,
        )  # fmt: skip
        target = bellman(batch, 0.9, mean_of(*found))
        q, back = action_values(critics, batch.s, batch.a)
        slopes, _ = back((q - target[:, None]) / len(q))  # Of ½ the square.
        new_critics = optimizers[1].step(critics, slopes)

        seen = new_critics if wrong == "the actor sees the new critics" else critics
        seen = targets if wrong == "the weights see the target critics" else seen
        a = advantage_of(seen, actor, batch, weight_key, baseline, wrong)
        weight = np.minimum(np.exp(a / TEMPERATURE), CLIP)
        weight = (a > 0).astype(float) if weights == "binary" else weight
        _, back = log_likelihood(actor, batch.s, batch.a, batch.allowed)
        actor, critics = optimizers[0].step(actor, back(-weight / len(q))), new_critics
        if i == 1 or wrong == "targets are copied at once":
            target_actor, targets = actor, critics
    return actor, critics, target_actor, targets


def parts(state) -> list:
    online = [state.actor.network, state.critics.network]
    return [*online, state.target_actor, state.target_critics]


BATCHES = {kind: [random_batch(kind, seed) for seed in (1, 2)] for kind in KINDS}


@cache
def before_and_after(kind: str, optimizer: type, weights: str, baseline: str):
    """Our networks at first and after two updates."""
    is_plain = optimizer is Descent
    algorithm = (with_plain_steps(CRR) if is_plain else CRR)(
        **HYPER, weights=weights, baseline=baseline, learning_rate=RATE[optimizer]
    )
    spec = SPECS["continuous" if kind == "continuous" else "discrete"]
    other = likelihood_policy(jax.random.key(6), spec, algorithm.hidden)
    far = jax.tree.map(lambda x: 6 * x - 1, other)  # So that it acts otherwise.
    first = started(algorithm, kind)._replace(target_actor=far)
    return parts(first), parts(updated(algorithm, first, kind, BATCHES[kind])[-1])


def gaps(kind, optimizer, weights="exp", baseline="mean", wrong="") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    first, last = before_and_after(kind, optimizer, weights, baseline)
    optimizers = [optimizer(RATE[optimizer]), optimizer(RATE[optimizer])]
    nets = [arrays(part) for part in first]
    expected = reference(nets, BATCHES[kind], optimizers, weights, baseline, wrong)
    starts = first if optimizer is Descent else [None] * 4
    found = [distance(*three) for three in zip(last, expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "optimizer, weights, baseline",
    [
        (Descent, "exp", "mean"),
        (Descent, "exp", "max"),
        (Descent, "binary", "mean"),
        (Adam, "binary", "max"),
        (Adam, "exp", "mean"),
    ],
)
def test_two_updates(kind: str, optimizer: type, weights: str, baseline: str):
    found = gaps(kind, optimizer, weights, baseline)
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["continuous", "masked"])
def test_other_orders_would_be_noticed(kind: str, wrong: str):
    found = gaps(kind, Descent, wrong=wrong)
    assert all(found[part] > 1e-2 for part in WRONG[wrong]), found


def test_weights_and_baselines_differ():
    """And some weights are clipped, some are not."""
    batch, first = random_batch("continuous", 1), started(CRR(**HYPER), "continuous")
    nets = arrays(first.critics.network), arrays(first.actor.network)
    key = jax.random.split(jax.random.fold_in(jax.random.key(9), 0))[0]
    mean, most = (advantage_of(*nets, batch, key, b, "") for b in ("mean", "max"))
    assert (mean > most).all() and 0 < (mean > 0).sum() < len(mean)
    assert 0 < (np.exp(mean / TEMPERATURE) > CLIP).sum() < len(mean)


def test_words_that_are_no_choice_are_refused():
    with pytest.raises(ValueError, match="'CRR.weights' must be 'exp' or 'binary'"):
        CRR(weights="indicator")
