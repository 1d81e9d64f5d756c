"""What training sees: every value encodes its own episode and step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.experience import (
    Experience,
    Transition,
    away_from_bounds,
    sample_transitions,
    take,
)
from stitchrl.findings import DataError
from stitchrl.normalizer import Normalizer, RewardTransform
from stitchrl.spaces import Continuous, Discrete, Masked, Spec

# Three episodes: terminated; truncated, next known; truncated, nobody knows.
LENGTHS = [3, 2, 3]
EPISODE = np.repeat(np.arange(3), LENGTHS)
CODE = 10.0 * (EPISODE + 1) + np.concatenate([np.arange(n) for n in LENGTHS])
FINAL = [np.nan, 22.0, np.nan]


def log(**changed) -> Dataset:
    columns = {
        "observation": CODE,
        "action": EPISODE,
        "reward": CODE / 10,
        "terminated": np.arange(8) == 2,
        "truncated": np.isin(np.arange(8), [4, 7]),
        "final_observation": FINAL,
        "actions": Choices(("a", "b", "c")),
        "row": np.arange(8) + 100,
    }
    return Dataset.create(**(columns | changed))


def test_rows_with_an_unknown_future_are_left_out_and_nothing_shifts():
    experience = Experience.of(log())
    seen = experience.transitions
    assert seen.observation[:, 0].tolist() == [10, 11, 12, 20, 21, 30, 31]
    # Where the process ended, any stand-in will do: the observation itself.
    assert seen.next_observation[:, 0].tolist() == [11, 12, 12, 21, 22, 31, 32]
    assert seen.action.tolist() == [0, 0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(seen.reward, [1, 1.1, 1.2, 2, 2.1, 3, 3.1], rtol=1e-6)
    assert seen.terminated.tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert experience.row.tolist() == [100, 101, 102, 103, 104, 105, 106]
    assert experience.episode_end.tolist() == [0, 0, 1, 0, 1, 0, 1]
    np.testing.assert_allclose(
        experience.episode_return, [3.3] * 3 + [4.1] * 2 + [9.3] * 2, rtol=1e-6
    )
    assert experience.size == 7 and experience.spec == Spec(1, Discrete(3))


def test_types_are_those_of_training():
    experience = Experience.of(log())
    assert experience.transitions.observation.dtype == jnp.float32
    assert experience.transitions.action.dtype == jnp.int32
    assert experience.transitions.reward.dtype == jnp.float32


def test_observations_are_scaled_alike_now_and_next():
    normalizer = Normalizer(jnp.array([10.0]), jnp.array([2.0]))
    plain = Experience.of(log()).transitions
    scaled = Experience.of(log(), normalizer).transitions
    for a, b in (
        (scaled.observation, plain.observation),
        (scaled.next_observation, plain.next_observation),
    ):
        np.testing.assert_allclose(a, (b - 10) / 2)


def test_rewards_are_transformed_and_returns_are_not():
    experience = Experience.of(log(), None, RewardTransform(scale=2.0, shift=-1.0))
    raw = Experience.of(log())
    np.testing.assert_allclose(
        experience.transitions.reward, 2 * raw.transitions.reward - 1, rtol=1e-6
    )
    np.testing.assert_array_equal(experience.episode_return, raw.episode_return)


def test_continuous_actions_come_in_the_unit_box():
    bounds = Bounds(names=("dose",), low=(0.0,), high=(50.0,))
    experience = Experience.of(log(action=CODE, actions=bounds))
    expected = 2 * CODE[:7] / 50 - 1
    np.testing.assert_allclose(experience.transitions.action[:, 0], expected, atol=1e-6)
    assert experience.spec == Spec(1, Continuous(1))


def test_what_is_allowed_travels_with_the_observation():
    valid = np.eye(3, dtype=bool)[EPISODE] | (CODE % 10 == 0)[:, None]
    final = np.array([[False] * 3, [True, False, False], [False, False, True]])
    experience = Experience.of(log(valid_actions=valid, final_valid_actions=final))
    now, following = experience.transitions.observation, experience.transitions[3]
    assert isinstance(now, Masked) and isinstance(following, Masked)
    np.testing.assert_array_equal(now.allowed, valid[:7])
    expected = valid[1:8].copy()
    expected[2] = True  # After the end any action will do: one must be choosable.
    expected[4] = final[1]
    np.testing.assert_array_equal(following.allowed, expected)
    assert following.features[:, 0].tolist() == [11, 12, 12, 21, 22, 31, 32]
    assert experience.spec == Spec(1, Discrete(3))


def test_without_final_masks_all_actions_are_open_after_the_last_row():
    valid = np.eye(3, dtype=bool)[EPISODE]
    following = Experience.of(log(valid_actions=valid)).transitions.next_observation
    assert following.allowed[4].all() and following.allowed[3].tolist() == [0, 1, 0]


def test_a_log_from_which_nothing_can_be_learned_is_refused():
    one_row_each = log(
        terminated=np.zeros(8, bool), truncated=np.ones(8, bool), final_observation=None
    )
    with pytest.raises(DataError, match="final_observation") as caught:
        Experience.of(one_row_each)
    assert [finding.code for finding in caught.value.findings] == ["NEXT_UNKNOWN"]


def test_samples_are_whole_rows_drawn_evenly():
    experience = Experience.of(log())
    batch = sample_transitions(experience, jax.random.key(0), 70_000)
    rows = {
        (float(o), float(n), int(a), bool(t))
        for o, n, a, t in zip(
            experience.transitions.observation[:, 0],
            experience.transitions.next_observation[:, 0],
            experience.transitions.action,
            experience.transitions.terminated,
        )
    }
    drawn = np.stack(
        [
            batch.observation[:, 0],
            batch.next_observation[:, 0],
            batch.action.astype(jnp.float32),
            batch.terminated.astype(jnp.float32),
        ],
        axis=1,
    )
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert {(o, n, int(a), bool(t)) for o, n, a, t in found.tolist()} == rows
    assert (np.abs(counts - 10_000) < 5 * 100).all()


def test_the_same_key_draws_the_same_rows_on_the_host_and_on_the_device():
    experience = Experience.of(log())
    host = jax.tree.map(np.asarray, experience)
    key = jax.random.key(3)
    on_device = jax.jit(sample_transitions, static_argnums=2)(experience, key, 5)
    on_host = sample_transitions(host, key, 5)
    jax.tree.map(np.testing.assert_array_equal, on_device, on_host)
    assert take(host.row, np.array([2, 0])).tolist() == [102, 100]


def test_actions_are_kept_off_the_bounds_if_they_are_continuous():
    one = jnp.ones(1)
    continuous = Transition(one, jnp.array([[1.0, -1.0, 0.5]]), one, one, one > 0)
    kept = away_from_bounds(continuous, 0.01).action
    np.testing.assert_allclose(kept, [[0.99, -0.99, 0.5]])
    discrete = continuous._replace(action=jnp.array([3]))
    assert away_from_bounds(discrete).action.tolist() == [3]
