"""IQL: two updates against equations 5 to 7, and against the orders others have used."""

import jax
import numpy as np
import pytest
from parity.numpy_networks import (
    Adam,
    Descent,
    action_values,
    arrays,
    bellman,
    distance,
    log_likelihood,
    mlp,
    polyak,
    random_batch,
    started,
    updated,
    with_plain_steps,
)

from stitchrl.algorithms.iql import IQL

KINDS = ["continuous", "discrete", "masked"]
PARTS = ("actor", "critics", "value", "target_critics")
TOTAL = 5.0
HYPER = {
    "expectile": 0.8,
    "inverse_temperature": 2.0,
    "max_weight": 0.45,  # Low, so that some weights are clipped.
    "discount": 0.9,
    "target_rate": 0.1,
    "total_updates": TOTAL,
    "hidden": (8, 8),
}


def reference(nets, batches, optimizers, wrong=""):
    """The networks after these batches; `wrong` names one way to get the order wrong."""
    actor, critics, value, targets = nets
    for batch in batches:
        size, old_value = len(batch.s), value
        q_target, _ = action_values(targets, batch.s, batch.a)
        q_online, back_q = action_values(critics, batch.s, batch.a)

        q = (q_online if wrong == "V regressed to the online critics" else q_target).min(1)
        v, back_v = mlp(value, batch.s)
        error = q - v[:, 0]
        weight = np.where(error < 0, 1 - HYPER["expectile"], HYPER["expectile"])
        slopes, _ = back_v((-2 * weight * error / size)[:, None])
        value = optimizers["value"].step(value, slopes)

        seen = old_value if wrong == "critics see the old V" else value
        target = bellman(batch, HYPER["discount"], mlp(seen, batch.next_s)[0][:, 0])
        slopes, _ = back_q(2 * (q_online - target[:, None]) / size)
        critics = optimizers["critics"].step(critics, slopes)

        seen = old_value if wrong == "actor sees the old V" else value
        q_seen = q_online if wrong == "actor sees the online critics" else q_target
        advantage = q_seen.min(axis=1) - mlp(seen, batch.s)[0][:, 0]
        weight = np.exp(HYPER["inverse_temperature"] * advantage)
        weight = np.minimum(weight, HYPER["max_weight"])
        _, back = log_likelihood(actor, batch.s, batch.a, batch.allowed)
        actor = optimizers["actor"].step(actor, back(-weight / size))
        targets = polyak(targets, critics, HYPER["target_rate"])
    return actor, critics, value, targets


def parts(state) -> list:
    learners = [state.actor, state.critics, state.value]
    return [learner.network for learner in learners] + [state.target_critics]


def setting(kind: str):
    batches = [random_batch(kind, seed) for seed in (1, 2)]
    plain = with_plain_steps(IQL)(**HYPER, learning_rate=1.0)
    first = started(plain, kind)
    return batches, plain, first, [arrays(part) for part in parts(first)]


def descents() -> dict:
    return {part: Descent(1.0) for part in PARTS}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_and_what_each_step_sees(kind: str):
    batches, plain, first, nets = setting(kind)
    last = updated(plain, first, kind, batches)[-1]
    expected = reference(nets, batches, descents())
    for part, ours, theirs, start in zip(PARTS, parts(last), expected, parts(first)):
        assert distance(ours, theirs, start) < 1e-5, part


@pytest.mark.parametrize("kind", KINDS)
def test_two_updates_of_adam(kind: str):
    batches, _, first, nets = setting(kind)
    adam = IQL(**HYPER, learning_rate=1e-3)
    state = started(adam, kind)
    jax.tree.map(np.testing.assert_array_equal, parts(state), parts(first))
    last = updated(adam, state, kind, batches)[-1]
    optimizers = {part: Adam(1e-3) for part in PARTS}
    optimizers["actor"] = Adam(lambda i: 1e-3 * (1 + np.cos(np.pi * i / TOTAL)) / 2)
    expected = reference(nets, batches, optimizers)
    for part, ours, theirs in zip(PARTS, parts(last), expected):
        assert distance(ours, theirs) < 1e-5, part
    constant = reference(nets, batches, {part: Adam(1e-3) for part in PARTS})
    assert distance(parts(last)[0], constant[0]) > 3e-5  # The schedule is felt.


WRONG = {
    "V regressed to the online critics": ["value", "critics"],
    "critics see the old V": ["critics", "target_critics"],
    "actor sees the old V": ["actor"],
    "actor sees the online critics": ["actor"],
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", KINDS)
def test_other_orders_would_be_noticed(kind: str, wrong: str):
    batches, plain, first, nets = setting(kind)
    last = updated(plain, first, kind, batches)[-1]
    other = reference(nets, batches, descents(), wrong)
    far = [
        part
        for part, ours, theirs, start in zip(PARTS, parts(last), other, parts(first))
        if distance(ours, theirs, start) > 1e-2
    ]
    assert set(WRONG[wrong]) <= set(far)


def test_the_weight_is_clipped_in_some_rows_and_not_in_others():
    batches, _, _, (_, _, value, targets) = setting("continuous")
    q, _ = action_values(targets, batches[0].s, batches[0].a)
    weight = np.exp(2 * (q.min(axis=1) - mlp(value, batches[0].s)[0][:, 0]))
    assert 0 < (weight > HYPER["max_weight"]).sum() < len(weight)
