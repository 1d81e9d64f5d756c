"""DDPG+BC and ReBRAC: two updates against the equations, critics with layer norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from parity.numpy_networks import (
    ROWS,
    SPECS,
    Adam,
    Descent,
    arrays,
    bellman,
    distance,
    mlp,
    polyak,
    random_batch,
    slopes_of,
    transitions,
    with_plain_steps,
)
from parity.numpy_policies import normals, q_values

from stitchrl.algorithms.ddpg_bc import DDPGBC
from stitchrl.algorithms.rebrac import ReBRAC
from stitchrl.experience import TransitionWithNextAction
from stitchrl.testing.subject import quick_options

PARTS = ("actor", "critics", "target_actor", "target_critics")
RATE, CLONE, ACTOR_PENALTY, CRITIC_PENALTY = 0.1, 0.7, 0.4, 0.3
HYPER = {"discount": 0.9, "target_rate": RATE, "hidden": (8, 8)}
PENALTIES = {"actor_penalty": ACTOR_PENALTY, "critic_penalty": CRITIC_PENALTY}
CASES = {
    "ddpg_bc": (DDPGBC, {"clone_weight": CLONE}),
    "rebrac": (ReBRAC, {**PENALTIES, "target_noise": 0.8}),
    "rebrac without normalization": (
        ReBRAC,
        {**PENALTIES, "target_noise": 0.8, "normalize_q": False},
    ),
}


def logged_next(update: int) -> tuple[np.ndarray, np.ndarray]:
    """The action after each row, and whether it is known."""
    rng = np.random.default_rng(20 + update)
    return rng.uniform(-1, 1, (ROWS, 2)), rng.random(ROWS) < 0.6


def critic_target(case, nets, batch, update, wrong):
    actor, critics, target_actor, targets = nets
    chooser = actor if wrong == "the online actor acts next" else target_actor
    next_action = np.tanh(mlp(chooser, batch.next_s)[0])
    if case != "ddpg_bc":
        noise = 0.8 * normals(jax.random.fold_in(jax.random.key(9), update), ROWS, 2)
        next_action = np.clip(next_action + np.clip(noise, -0.5, 0.5), -1, 1)
    valuer = critics if wrong == "the online critics value" else targets
    next_q = q_values(valuer, batch.next_s, next_action).min(axis=1)
    if case != "ddpg_bc":
        logged, is_known = logged_next(update)
        if wrong == "all next actions are known":
            is_known = np.ones(ROWS, bool)
        apart = ((next_action - logged) ** 2).sum(axis=1)
        next_q = next_q - CRITIC_PENALTY * np.where(is_known, apart, 0)
    return bellman(batch, 0.9, next_q)


def actor_loss(case, start, critics, batch, wrong):
    """A function of the actor; mean |Q| is a constant, that of `start`."""

    def q_and_distance(actor):
        action = np.tanh(mlp(actor, batch.s)[0])
        q = q_values(critics, batch.s, action)
        q = q[:, 0] if wrong == "the actor climbs one critic" else q.min(axis=1)
        return q, ((action - batch.a) ** 2).sum(axis=1)

    size = np.abs(q_and_distance(start)[0]).mean()
    if case == "rebrac without normalization":
        size = 1.0
    weight = CLONE / 2 if case == "ddpg_bc" else ACTOR_PENALTY

    def loss(actor):
        q, apart = q_and_distance(actor)
        return (weight * apart - q / size).mean()

    return loss


def reference(case, nets, batches, optimizers, wrong=""):
    for i, batch in enumerate(batches):
        actor, critics, target_actor, targets = nets
        target = critic_target(case, nets, batch, i, wrong)

        def loss(network, batch=batch, target=target):
            q = q_values(network, batch.s, batch.a)
            return ((q - target[:, None]) ** 2).sum(axis=1).mean()

        old, critics = critics, optimizers[1].step(critics, slopes_of(loss, critics))
        nets = actor, critics, target_actor, targets
        if case != "ddpg_bc" and i % 2 == 0:
            continue
        seen = old if wrong == "the actor sees the old critics" else critics
        slopes = slopes_of(actor_loss(case, actor, seen, batch, wrong), actor)
        actor = optimizers[0].step(actor, slopes)
        target_actor = polyak(target_actor, actor, RATE)
        nets = actor, critics, target_actor, polyak(targets, critics, RATE)
    return nets


def parts(state) -> list:
    online = [state.actor.network, state.critics.network]
    return [*online, state.target_actor, state.target_critics]


def batch_of(case: str, batch, update: int):
    plain = transitions(batch, "continuous")
    if case == "ddpg_bc":
        return plain
    action, is_known = logged_next(update)
    action = jnp.asarray(action, jnp.float32)
    return TransitionWithNextAction(plain, action, jnp.asarray(is_known))


def gaps(case: str, optimizer: type, wrong: str = "") -> dict[str, float]:
    """How far each of our networks is from the reference's after two updates."""
    cls, extra = CASES[case]
    is_plain = optimizer is Descent
    rate = 0.3 if is_plain else 1e-3
    algorithm = (with_plain_steps(cls) if is_plain else cls)(
        **HYPER, **extra, learning_rate=rate
    )
    first = algorithm.init(jax.random.key(0), SPECS["continuous"])
    other = algorithm.init(jax.random.key(5), SPECS["continuous"])
    first = first._replace(
        target_actor=other.target_actor, target_critics=other.target_critics
    )
    batches = [random_batch("continuous", seed) for seed in (1, 2)]
    update, state = jax.jit(algorithm.update, compiler_options=quick_options()), first
    for i, batch in enumerate(batches):
        key = jax.random.fold_in(jax.random.key(9), i)
        state, _ = update(state, batch_of(case, batch, i), key)
    nets = tuple(arrays(part) for part in parts(first))
    expected = reference(case, nets, batches, [optimizer(rate) for _ in "ab"], wrong)
    starts = parts(first) if is_plain else [None] * 4
    found = [distance(*three) for three in zip(parts(state), expected, starts)]
    return dict(zip(PARTS, found))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(case: str, optimizer: type):
    found = gaps(case, optimizer)
    # A weight near .5 is rounded to 6e-8: of a bias that moved by .004, that is 1.4e-5.
    assert max(found.values()) < 2e-5, found


BOTH = ("ddpg_bc", "rebrac")
WRONG = {
    "the actor sees the old critics": (BOTH, ["actor", "target_actor"]),
    "the actor climbs one critic": (BOTH, ["actor"]),
    "the online actor acts next": (BOTH, ["critics"]),
    "the online critics value": (BOTH, ["critics"]),
    "all next actions are known": (("rebrac",), ["critics"]),
}


@pytest.mark.parametrize(
    "wrong, case", [(wrong, case) for wrong, (cases, _) in WRONG.items() for case in cases]
)
def test_other_orders_would_be_noticed(wrong: str, case: str):
    found = gaps(case, Descent, wrong)
    assert all(found[part] > 1e-3 for part in WRONG[wrong][1]), found
