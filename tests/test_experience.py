"""What training sees: every value encodes its own episode and step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.experience import (
    Drawing,
    Experience,
    Transition,
    away_from_bounds,
    draw_rows,
    padded,
    sample_transitions,
    sample_with_next_action,
    take,
    transitions_from,
)
from stitchrl.findings import DataError
from stitchrl.losses import td_target
from stitchrl.normalizer import Normalizer
from stitchrl.rewards import RewardTransform
from stitchrl.spaces import Continuous, Discrete, Masked, Spec
from stitchrl.testing import small_log

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


def by_hand(count: int, discount: float) -> dict[int, tuple]:
    """For each row that can be learned from: return, next observation, end and steps."""
    expected = {}
    for row in range(7):
        last = min(row + count - 1, {0: 2, 1: 4, 2: 6}[EPISODE[row]])
        rewards = [discount**i * CODE[row + i] / 10 for i in range(last - row + 1)]
        following = CODE[last] if last == 2 else CODE[last] + 1
        expected[row] = sum(rewards), following, last == 2, last - row + 1
    return expected


@pytest.mark.parametrize("discount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("count", [2, 3, 50])
def test_several_steps_stop_where_their_episode_does(count: int, discount: float):
    experience = Experience.of(log(), n_steps=count)
    rows = jnp.array([6, 0, 3, 1, 5, 2, 4])
    batch = transitions_from(experience, rows, discount)
    for place, row in enumerate(rows.tolist()):
        total, following, is_terminal, steps = by_hand(count, discount)[row]
        assert batch.reward[place] == pytest.approx(total, rel=1e-6)
        assert batch.next_observation[place, 0] == following
        assert batch.terminated[place] == is_terminal and batch.steps[place] == steps
        assert batch.observation[place, 0] == CODE[row]
        assert batch.action[place] == EPISODE[row]


def test_two_steps_in_numbers():
    """10 11 12| 20 21 (22 is known) 30 31 (the row 32 is not learned from)."""
    batch = transitions_from(Experience.of(log(), n_steps=2), jnp.arange(7), 0.5)
    expected = [1 + 0.55, 1.1 + 0.6, 1.2, 2 + 1.05, 2.1, 3 + 1.55, 3.1]
    np.testing.assert_allclose(batch.reward, expected, rtol=1e-6)
    assert batch.next_observation[:, 0].tolist() == [12, 12, 12, 22, 22, 32, 32]
    assert batch.terminated.tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert batch.steps.tolist() == [2, 2, 1, 2, 1, 2, 1]


def test_one_step_is_what_it_was_and_so_is_a_draw_without_discount():
    rows = jnp.array([5, 0, 2])
    plain = take(Experience.of(log()).transitions, rows)
    for experience, discount in ((log(), 0.9), (log(), None)):
        one = transitions_from(Experience.of(experience), rows, discount)
        jax.tree.map(np.testing.assert_array_equal, one, plain)
        assert one.steps is None
    several = transitions_from(Experience.of(log(), n_steps=3), rows)
    jax.tree.map(np.testing.assert_array_equal, several, plain)


def test_several_steps_carry_what_is_allowed_at_their_end_and_transformed_rewards():
    valid = np.eye(3, dtype=bool)[EPISODE] | (CODE % 10 == 1)[:, None]
    final = np.array([[False] * 3, [True, False, False], [False, False, True]])
    masked = log(valid_actions=valid, final_valid_actions=final)
    transform = RewardTransform(scale=10.0, shift=-1.0)
    experience = Experience.of(masked, None, transform, n_steps=2)
    batch = transitions_from(experience, jnp.array([0, 3, 5]), 0.5)
    np.testing.assert_allclose(batch.reward, [9 + 5, 19 + 10, 29 + 15], rtol=1e-6)
    expected = [valid[2], final[1], valid[7]]
    np.testing.assert_array_equal(batch.next_observation.allowed, expected)
    assert batch.observation.allowed.tolist() == valid[[0, 3, 5]].tolist()


def test_the_action_that_followed_is_of_the_same_episode_or_unknown():
    """Every action is the number of its row."""
    numbered = log(action=np.arange(8), actions=Choices(tuple("abcdefgh")))
    for count, following, known in (
        (1, [1, 2, None, 4, None, 6, None], [1, 1, 0, 1, 0, 1, 0]),
        (2, [2, None, None, None, None, None, None], [1, 0, 0, 0, 0, 0, 0]),
    ):
        experience = Experience.of(numbered, n_steps=count)
        batch = sample_with_next_action(experience, jax.random.key(0), 200, 0.5)
        rows = batch.transition.action.tolist()
        assert set(rows) == set(range(7))
        for place, row in enumerate(rows):
            assert batch.is_known[place] == bool(known[row])
            if following[row] is not None:
                assert batch.next_action[place] == following[row]
        again = sample_transitions(experience, jax.random.key(0), 200, 0.5)
        jax.tree.map(np.testing.assert_array_equal, batch.transition, again)


def implied(drawing: Drawing) -> np.ndarray:
    """The probability of each row that thresholds and aliases stand for."""
    threshold = np.asarray(drawing.threshold, np.float64)
    shares = threshold.copy()
    np.add.at(shares, np.asarray(drawing.alias), 1 - threshold)
    return shares / len(threshold)


@pytest.mark.parametrize(
    "weight",
    [
        np.ones(7),
        np.array([0.0, 1.0, 2.0, 3.0, 0.0, 10.0, 0.5]),
        np.array([0.0, 0.0, 5.0]),
        np.array([1e-8, 1.0, 1e8]),
        np.array([3.0]),
        np.random.default_rng(0).exponential(size=1000) ** 3,
        np.random.default_rng(1).integers(0, 2, size=999).astype(float),
        np.full(100, 0.1),
    ],
)
def test_aliases_stand_for_exactly_the_weights(weight: np.ndarray):
    drawing = Drawing.of(weight)
    shares = weight / weight.sum()
    np.testing.assert_allclose(implied(drawing), shares, atol=1e-7, rtol=1e-6)
    assert (implied(drawing)[weight == 0] == 0).all()
    np.testing.assert_allclose(drawing.weight, shares * len(weight), rtol=1e-6)
    assert drawing.draw(jax.random.key(0), 4096, len(weight)).max() < len(weight)


def test_rows_are_drawn_as_often_as_they_weigh():
    weight = np.array([0.0, 1.0, 2.0, 3.0, 0.0, 10.0, 0.5, 7.0])
    experience = Experience.of(log(), weight=weight)
    rows = draw_rows(experience, jax.random.key(0), 200_000)
    counts = np.bincount(np.asarray(rows), minlength=7)
    shares = weight[:7] / weight[:7].sum()  # The last row cannot be learned from.
    assert counts[[0, 4]].tolist() == [0, 0]
    some = shares > 0
    expected = 200_000 * shares[some]
    distance = ((counts[some] - expected) ** 2 / expected).sum()
    assert distance < 25  # χ² of 4 degrees of freedom: beyond it in 5 of 100,000.
    batch = sample_transitions(experience, jax.random.key(0), 200_000)
    np.testing.assert_array_equal(batch.observation[:, 0], CODE[np.asarray(rows)])


@pytest.mark.parametrize(
    "weight, words",
    [
        ([1.0, -1.0, 1.0], "negative"),
        ([1.0, np.nan, 1.0], "finite"),
        ([1.0, np.inf, 1.0], "finite"),
        ([0.0, 0.0, 0.0], "every row"),
    ],
)
def test_weights_that_cannot_be_drawn_by_are_refused(weight: list[float], words: str):
    with pytest.raises(ValueError, match=words):
        Drawing.of(np.array(weight))


def test_weights_are_one_for_each_row_of_the_log():
    with pytest.raises(ValueError, match="8 rows"):
        Experience.of(log(), weight=np.ones(7))
    with pytest.raises(ValueError, match="at least 1"):
        Experience.of(log(), n_steps=0)


def test_several_steps_reach_the_same_fixed_point():
    """On a chain walked one way, Q is the discounted sum, whatever n is."""
    rewards = np.array([1.0, -2.0, 3.0, 0.5, 4.0])
    chain = Dataset.create(
        observation=np.eye(5),
        action=np.zeros(5),
        reward=rewards,
        terminated=np.arange(5) == 4,
        truncated=np.zeros(5, bool),
        actions=Choices(("on",)),
    )
    exact = [sum(0.9**i * r for i, r in enumerate(rewards[start:])) for start in range(5)]
    sweeps = {}
    for count in (1, 3):
        batch = transitions_from(Experience.of(chain, n_steps=count), jnp.arange(5), 0.9)
        value = jnp.zeros(5)
        for sweeps[count] in range(1, 11):
            value = td_target(batch, 0.9, batch.next_observation @ value)
            if np.allclose(value, exact, atol=1e-5):
                break
    assert sweeps == {1: 5, 3: 2}


@pytest.mark.parametrize("weighs", [False, True])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_padding_changes_nothing_that_is_drawn(weighs: bool, n_steps: int):
    many = small_log("continuous")
    weight = np.random.default_rng(0).exponential(size=many.size) if weighs else None
    plain = Experience.of(many, weight=weight, n_steps=n_steps)
    some = jax.tree.map(lambda x: x[:456], plain)  # 57 whole episodes.
    wide = padded(some)
    assert (some.size, int(wide.size), len(wide.row)) == (456, 456, 512)
    assert padded(wide) is wide
    np.testing.assert_array_equal(wide.row[456:], [int(some.row[-1])] * 56)
    assert draw_rows(wide, jax.random.key(0), 50_000).max() == 455
    for sample in (sample_transitions, sample_with_next_action):
        batches = [sample(rows, jax.random.key(1), 4096, 0.9) for rows in (some, wide)]
        jax.tree.map(np.testing.assert_array_equal, *batches)
