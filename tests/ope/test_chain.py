"""Expected sums along chains: by hand, and by each of the solvers."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from stitchrl.ope import chain as chain_module
from stitchrl.ope.chain import Chain

# 0 goes on to 1 or ends; 1 goes back with .5 or ends.
TWO = np.array([[0.0, 0.8], [0.5, 0.0]])


def test_sums_and_visits_by_hand():
    chain = Chain(csr_array(TWO), 1.0)
    reward = np.array([1.0, 2.0])
    first = (1 + 0.8 * 2) / (1 - 0.4)
    np.testing.assert_allclose(chain.sums(reward), [first, 2 + 0.5 * first])
    visits = chain.visits(np.array([1.0, 0.0]))
    np.testing.assert_allclose(visits, [1 / 0.6, 0.8 / 0.6])
    assert visits @ reward == pytest.approx(first)


def test_a_horizon_stops_everything():
    chain = Chain(csr_array(TWO), 0.5, horizon=3)
    reward = np.array([1.0, 2.0])
    np.testing.assert_allclose(chain.sums(reward), [1.8 + 0.1, 2.25 + 0.2])
    visits = chain.visits(np.array([1.0, 0.0]))
    np.testing.assert_allclose(visits, [1 + 0.1, 0.4])
    by_steps = chain.sums_by_steps_left(reward)
    np.testing.assert_allclose(by_steps[0], reward)
    np.testing.assert_allclose(by_steps[2], chain.sums(reward))
    # Reward at the last decision only: 3 steps to go, then 2, then 1.
    last = np.array([[1.0, 1.0], [0, 0], [0, 0]])
    np.testing.assert_allclose(chain.sums(last), [0.25 * 0.4, 0.25 * 0.4])


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_all_solvers_agree(discount, monkeypatch):
    monkeypatch.setattr(chain_module, "ITERATIVE_FROM", 10)
    rng = np.random.default_rng(0)
    following = rng.dirichlet(np.ones(40), size=40) * rng.uniform(0.7, 0.95, (40, 1))
    reward = rng.normal(size=40)
    dense = Chain(csr_array(following), discount)
    iterative = Chain(csr_array(following), discount, tolerance=1e-12)
    expected = np.linalg.solve(np.eye(40) - discount * following, reward)
    np.testing.assert_allclose(dense.sums(reward), expected, atol=1e-12)
    np.testing.assert_allclose(iterative.sums(reward), expected, atol=1e-9)
    monkeypatch.setattr(chain_module, "DENSE_UP_TO", 10)
    sparse = Chain(csr_array(following), discount)
    np.testing.assert_allclose(sparse.sums(reward), expected, atol=1e-12)
    np.testing.assert_allclose(sparse.visits(reward), dense.visits(reward), atol=1e-12)


def test_states_that_never_end_are_found():
    """2 and 3 lead to each other only; 0 may end or fall into them; 1 ends."""
    following = np.zeros((4, 4))
    following[0, [1, 2]] = [0.5, 0.3]
    following[2, 3] = following[3, 2] = 1
    chain = Chain(csr_array(following), 1.0)
    np.testing.assert_array_equal(chain.endless, [False, False, True, True])
    reward = np.array([1.0, 2.0, 7.0, 9.0])
    np.testing.assert_allclose(chain.sums(reward), [1 + 1 + 0.3 * 7, 2, 7, 9])
    assert not Chain(csr_array(following), 0.99).endless.any()
    assert not Chain(csr_array(following), 1.0, horizon=5).endless.any()


@pytest.mark.parametrize(("leaving", "is_endless"), [(1e-6, False), (1e-12, True)])
def test_a_cycle_that_is_hardly_ever_left_is_endless(leaving, is_endless):
    """Two states that visit each other: left once in a million steps, or never."""
    following = csr_array(np.array([[0.0, 1.0], [1.0 - leaving, 0.0]]))
    chain = Chain(following, 1.0)
    assert chain.endless.tolist() == [is_endless] * 2
    sums = chain.sums(np.array([0.0, leaving]))  # What leaving pays: 1 in the end.
    expected = [0.0, leaving] if is_endless else [1.0, 1.0]
    assert sums == pytest.approx(expected, rel=1e-8)
    assert np.isfinite(chain.visits(np.array([1.0, 0.0]))).all()
