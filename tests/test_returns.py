"""Returns of logged episodes, against sums row by row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.awr import AWR
from stitchrl.algorithms.rvs import RvS
from stitchrl.experience import Experience
from stitchrl.returns import lambda_returns, returns_to_go, steps_before, windows_from
from stitchrl.testing import small_log
from stitchrl.train import prepare

ENDS = np.array([0, 0, 1, 1, 0, 0, 0, 0, 1], bool)
REWARD = np.array([1.0, -2, 3, 4, 0, 0, 5, 1, -1])


def by_hand(discount: float) -> np.ndarray:
    found = np.zeros(9)
    for row in reversed(range(9)):
        later = 0.0 if ENDS[row] else found[row + 1]
        found[row] = REWARD[row] + discount * later
    return found


@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_returns_to_go(discount: float):
    reward = jnp.asarray(REWARD, jnp.float32)
    ours = returns_to_go(reward, jnp.asarray(ENDS), jnp.float32(discount))
    np.testing.assert_allclose(ours, by_hand(discount), rtol=1e-6)


def test_steps_before():
    assert steps_before(jnp.asarray(ENDS)).tolist() == [0, 1, 2, 0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [1, 3, 20])
def test_windows_stay_in_their_episode(count: int):
    """With λ = 1 and no V they give what was observed within them, and no more."""
    log = small_log("discrete")
    experience = Experience.of(log)
    rows = jnp.arange(experience.size)
    window = windows_from(experience, rows, count)
    none = jnp.zeros((experience.size, count))
    found = lambda_returns(window, none, discount=0.9, trace_decay=1.0)
    left = log.last_row[log.episode] - np.arange(log.size)
    for row in range(0, log.size, 37):
        seen = log.reward[row : row + min(count, left[row] + 1)]
        expected = (seen * 0.9 ** np.arange(len(seen))).sum()
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-6)


def test_a_long_window_without_traces_is_one_step():
    experience = Experience.of(small_log("continuous"))
    rows = jnp.arange(0, 512, 5)
    window = windows_from(experience, rows, 8)
    value = jax.random.normal(jax.random.key(0), (len(rows), 8))
    found = lambda_returns(window, value, discount=0.9, trace_decay=0.0)
    expected = window.reward[:, 0] + 0.9 * jnp.where(
        window.terminated[:, 0], 0.0, value[:, 0]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_awr_prepares_the_returns_of_its_discount():
    experience = Experience.of(small_log("discrete"))
    for discount in (0.5, 0.9):
        data = prepare(AWR(discount=discount), experience)
        rows = returns_to_go(
            experience.transitions.reward, experience.episode_end, jnp.float32(discount)
        )
        np.testing.assert_allclose(data.of_return, rows, rtol=1e-5, atol=1e-5)
    assert AWR.prepared_by == ("discount",)


def test_rvs_asks_for_the_quantile_of_the_log():
    log = small_log("discrete")
    experience = Experience.of(log)
    pace = np.concatenate(
        [np.cumsum(r[::-1])[::-1] / np.arange(8, 0, -1) for r in log.reward.reshape(-1, 8)]
    )
    pace = (pace - pace.mean()) / pace.std()
    for share in (0.0, 0.9, 1.0):
        algorithm = RvS(batch_size=64, target_quantile=share)
        batch = algorithm.sample(prepare(algorithm, experience), jax.random.key(0))
        expected = np.quantile(pace, share, method="nearest")
        np.testing.assert_allclose(batch.target, expected, atol=1e-4)
        gap = np.abs(np.asarray(batch.pace)[:, None] - pace).min(axis=1)
        assert gap.max() < 1e-4  # All are of the log.
