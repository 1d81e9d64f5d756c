"""Held-out numbers: losses, and what critics promise for the policy's actions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.algorithms.iql import IQL
from stitchrl.algorithms.td3 import TD3
from stitchrl.experience import Experience, Transition, take
from stitchrl.networks import MLP, ActionTable, Critic, Critics, Linear
from stitchrl.normalizer import Normalizer
from stitchrl.policies import Categorical, Deterministic, Greedy
from stitchrl.population import for_each_member, member, stack
from stitchrl.probing import (
    RANK_ROWS,
    Probe,
    effective_rank,
    held_out_batch,
    make_probe,
    measure,
    ready,
    singular_values,
    value_of,
)
from stitchrl.rewards import RewardTransform
from stitchrl.spaces import Masked
from stitchrl.testing import small_log
from stitchrl.train import start
from stitchrl.tree import hyperparameters

KEY = jax.random.key(0)
TINY: dict[str, Any] = {"hidden": (8,), "batch_size": 16}
IDENTITY = Normalizer.identity(2)


def test_a_probe_is_a_sample_of_held_out_rows_and_starts():
    log = small_log("discrete")
    whole = make_probe(log, IDENTITY, seed=1)
    assert whole.start_count == 64
    assert whole.batch.reward.shape == (512,) and whole.starts.shape == (64, 2)
    expected = Experience.of(log).transitions.reward
    np.testing.assert_array_equal(np.sort(whole.batch.reward), np.sort(expected))
    first = log.observation[log.first_row]
    np.testing.assert_array_equal(np.sort(whole.starts, axis=0), np.sort(first, axis=0))
    few = make_probe(log, IDENTITY, seed=1, size=11)
    assert few.batch.reward.shape == (11,) and few.start_count == 11
    assert few.starts.shape == (12, 2)  # One is padding.
    assert set(np.asarray(few.batch.reward).tolist()) <= set(np.asarray(expected).tolist())
    assert len(set(np.asarray(few.batch.reward).tolist())) == 11  # Without replacement.
    other = make_probe(log, IDENTITY, seed=2, size=11)
    assert few.batch.reward.tolist() != other.batch.reward.tolist()


def test_a_probe_is_scaled_as_training_is():
    log = small_log("masked")
    normalizer = Normalizer(jnp.array([1.0, -1.0]), jnp.array([2.0, 4.0]))
    probe = make_probe(log, normalizer, RewardTransform(scale=3.0, shift=1.0), seed=1)
    plain = make_probe(log, IDENTITY, seed=1)
    np.testing.assert_allclose(probe.batch.reward, 3 * plain.batch.reward + 1, rtol=1e-5)
    for scaled, raw in (
        (probe.starts, plain.starts),
        (probe.batch.observation, plain.batch.observation),
    ):
        assert isinstance(scaled, Masked)
        expected = (raw.features - jnp.array([[1.0, -1.0]])) / jnp.array([[2.0, 4.0]])
        np.testing.assert_allclose(scaled.features, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(scaled.allowed, raw.allowed)


def test_a_probe_sums_steps_as_training_does():
    log = small_log("discrete")
    probe = make_probe(log, IDENTITY, seed=1, n_steps=3)
    assert probe.batch.steps is None  # Where Q is reported, the step does not matter.
    transitions = Experience.of(log).transitions
    np.testing.assert_array_equal(probe.batch.reward, transitions.reward[probe.rows])
    dqn, bc = DoubleDQN(**TINY, discount=0.5), BC(**TINY)
    batch = held_out_batch(dqn, probe)
    for place, row in enumerate(np.asarray(probe.rows)[:50]):
        steps = min(3, 8 - row % 8)  # Episodes are 8 long.
        expected = sum(0.5**i * log.reward[row + i] for i in range(steps))
        assert batch.reward[place] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert batch.steps[place] == steps
    assert held_out_batch(bc, probe) is probe.batch
    state = start(dqn, probe.experience, KEY).state
    loss, _ = dqn.critic_loss(
        state.critics.network, state.critics.network, state.target_critics, batch
    )
    measured = measure((dqn, state), probe)["held_out/critics/loss"]
    assert measured == pytest.approx(float(loss), rel=1e-5)


class Stored(NamedTuple):
    """A batch that is not a `Transition`."""

    transition: Transition
    lucky: Any


@hyperparameters
class LuckyDQN(DoubleDQN):
    """Learns from what it prepares: whether the row's episode went well."""

    def prepare(self, experience: Experience) -> Stored:
        return Stored(experience.transitions, experience.episode_return > 0)

    def sample(self, data: Any, key: Any) -> Stored:
        return take(data, jax.random.randint(key, (self.batch_size,), 0, len(data.lucky)))

    def update(self, state: Any, batch: Any, key: Any) -> Any:
        state, metrics = super().update(state, batch.transition, key)
        return state, metrics | {"lucky": batch.lucky.mean(dtype=jnp.float32)}


def test_an_algorithm_with_batches_of_its_own_is_probed_on_them(probe: Probe):
    lucky = LuckyDQN(**TINY)
    probe = ready(probe, lucky)
    batch = held_out_batch(lucky, probe)
    assert isinstance(batch, Stored) and batch.lucky.shape == (16,)
    expected = lucky.sample(lucky.prepare(probe.experience), probe.key)
    np.testing.assert_array_equal(batch.transition.reward, expected.transition.reward)
    state = start(lucky, probe.experience, KEY).state
    metrics = measure((lucky, state), probe)
    share = np.asarray(expected.lucky).mean()
    assert metrics["held_out/lucky"] == pytest.approx(share) and 0 < share < 1


def tables(*rows: list[float]) -> Critics:
    def table(bias: jax.Array) -> ActionTable:
        return ActionTable(MLP((Linear(jnp.zeros((1, bias.shape[0])), bias),)))

    return Critics(jax.vmap(table)(jnp.array(rows)))


def test_values_of_discrete_policies_are_exact():
    critics = tables([1.0, 5.0, 3.0], [2.0, 4.0, 9.0])  # Least 1, 4, 3; mean 1½, 4½, 6.
    free, closed = jnp.zeros((1, 1)), jnp.array([[True, True, False]])
    logits = jnp.log(jnp.array([1.0, 2.0, 1.0]))
    softmax = Categorical(ActionTable(MLP((Linear(jnp.zeros((1, 3)), logits),))))
    np.testing.assert_allclose(value_of(critics, softmax, free, KEY), [3.0], rtol=1e-6)
    np.testing.assert_allclose(value_of(critics, Greedy(critics), free, KEY), [3.0])
    masked = Masked(free, closed)
    np.testing.assert_allclose(value_of(critics, softmax, masked, KEY), [3.0], rtol=1e-6)
    np.testing.assert_allclose(value_of(critics, Greedy(critics), masked, KEY), [4.0])


def test_values_of_continuous_policies_are_at_their_samples():
    def critic(slope: jax.Array) -> Critic:
        weight = jnp.stack([jnp.zeros(()), slope])[:, None]
        return Critic(MLP((Linear(weight, jnp.zeros(1)),)))

    critics = Critics(jax.vmap(critic)(jnp.array([2.0, 3.0])))
    policy = Deterministic(MLP((Linear(jnp.ones((1, 1)), jnp.zeros(1)),)))
    s = jnp.array([[0.5], [-0.5]])
    expected = [2 * np.tanh(0.5), -3 * np.tanh(0.5)]  # The minimum of 2 a and 3 a.
    np.testing.assert_allclose(value_of(critics, policy, s, KEY), expected, rtol=1e-5)


@pytest.fixture(scope="module")
def probe() -> Probe:
    return make_probe(small_log("discrete"), IDENTITY, seed=1, size=32)


def test_what_is_measured(probe: Probe):
    iql = IQL(**TINY)
    state = start(iql, Experience.of(small_log("discrete")), KEY).state
    metrics = measure((iql, state), probe)
    losses = {name for name in metrics if name.startswith("held_out/")}
    assert metrics.keys() - losses == {
        "q/logged",
        "q/policy",
        "q/rank",
        "own_estimate",
    }
    critics, policy, batch = state.critics.network, state.actor.network, probe.batch
    loss, _ = iql.critic_loss(critics, state.value.network, batch)
    assert metrics["held_out/critics/loss"] == pytest.approx(float(loss), rel=1e-5)
    row = np.asarray(jax.vmap(critics.row)(batch.observation)).min(axis=1)
    logged = row[np.arange(32), batch.action].mean()
    assert metrics["q/logged"] == pytest.approx(logged, rel=1e-5)
    for name, place in (("q/policy", batch.observation), ("own_estimate", probe.starts)):
        q = np.asarray(jax.vmap(critics.row)(place)).min(axis=1)
        log_prob = jax.vmap(jax.vmap(policy.log_prob, (None, 0)), (0, None))
        share = np.exp(log_prob(place, jnp.arange(4)))
        assert metrics[name] == pytest.approx((share * q).sum(axis=1).mean(), rel=1e-5)


def with_values(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A matrix with these singular values."""
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.standard_normal((rows, len(values))))
    right, _ = np.linalg.qr(rng.standard_normal((columns, len(values))))
    return ((left * values) @ right.T).astype(np.float32)


@pytest.mark.parametrize("rows, columns", [(128, 256), (128, 40), (5, 7), (3, 1), (1, 1)])
def test_singular_values_are_those_of_the_matrix(rows: int, columns: int):
    values = np.geomspace(100, 1e-3, min(rows, columns))
    found = jax.jit(singular_values)(jnp.asarray(with_values(values, rows, columns)))
    np.testing.assert_allclose(found, values, rtol=1e-4, atol=0.02)


@pytest.mark.parametrize(
    "values, rank",
    [
        ([50.0, 30.0, 18.8, 0.9, 0.3], 4),  # 98.8 % with three, 99.7 % with four.
        ([50.0, 30.0, 19.2, 0.5, 0.3], 3),  # 99.2 % with three.
        ([1.0] * 199, 198),  # 99.5 %, 99.0 % with one less.
        ([7.0], 1),
        ([0.0, 0.0], 1),
    ],
)
def test_the_rank_is_how_many_values_make_99_percent(values: list[float], rank: int):
    matrix = with_values(np.array(values), 256, 200)
    assert effective_rank(jnp.asarray(matrix)) == rank
    for scale in (1e-20, 1e-3, 1e12):
        assert effective_rank(jnp.asarray(scale * matrix, jnp.float32)) == rank


@pytest.mark.parametrize(
    "kind, algorithm", [("discrete", IQL(**TINY)), ("continuous", TD3())]
)
def test_the_rank_is_of_the_last_hidden_layer(kind: str, algorithm: Any):
    """On average over critics; of the logged actions where these are inputs."""
    log = small_log(kind)
    probe = make_probe(log, Normalizer.identity(log.observation.shape[1]), seed=1)
    state = start(algorithm, Experience.of(log), KEY).state
    seen = probe.batch.observation[:RANK_ROWS]
    if kind == "continuous":
        seen = jnp.concatenate([seen, probe.batch.action[:RANK_ROWS]], axis=1)
    ranks = []
    for index in range(2):
        mlp = member(state.critics.network.members.mlp, index)
        x = np.asarray(seen, np.float64)
        for layer in mlp.layers[:-1]:
            x = np.maximum(x @ np.asarray(layer.weight) + np.asarray(layer.bias), 0)
        share = np.cumsum(values := np.linalg.svd(x, compute_uv=False)) / values.sum()
        ranks.append(1 + (share < 0.99).sum())
    assert measure((algorithm, state), probe)["q/rank"] == np.mean(ranks)
    assert min(ranks) > 1


def test_without_critics_there_is_nothing_to_promise(probe: Probe):
    bc = BC(**TINY)
    state = start(bc, Experience.of(small_log("discrete")), KEY).state
    assert measure((bc, state), probe).keys() == {"held_out/actor/loss"}


def test_all_members_are_measured_at_once(probe: Probe):
    algorithms = [DoubleDQN(**TINY, discount=gamma) for gamma in (0.5, 0.9)]
    experience = Experience.of(small_log("discrete"))
    states = [start(a, experience, KEY).state for a in algorithms]
    together = for_each_member(measure, (stack(algorithms), stack(states)), probe)
    for index, pair in enumerate(zip(algorithms, states)):
        for name, value in measure(pair, probe).items():
            assert together[name][index] == pytest.approx(float(value), rel=1e-4, abs=1e-5)
    assert together["q/policy"][0] >= together["q/logged"][0]  # Greedy is best.
