"""Bootstrap with refitting: what it resamples, and that it covers."""

import numpy as np
import pytest
from ope.logs import always, write_log

from stitchrl.ope.base import Label
from stitchrl.ope.fqe_bootstrap import bootstrap_interval, ends, refits, replicates_for
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.problems.exact import Bandit


def test_a_refit_is_a_fit_to_repeated_episodes():
    """Weights 2, 0, 1 are the log in which episode 0 stands twice and episode 1 never."""
    episodes = [
        [(0, 0, 1.0), (1, 1, 2.0)],
        [(0, 0, 5.0), (1, 0, 0.0)],
        [(0, 1, 1.0), (2, 1, 1.0)],
    ]
    policy = np.array([[0.3, 0.7], [0.6, 0.4], [0.5, 0.5], [1, 0]])
    found = []
    for chosen, weights in (((0, 1, 2), [2.0, 0.0, 1.0]), ((0, 0, 2), [1.0, 1.0, 1.0])):
        dataset = write_log([episodes[i] for i in chosen], return_bounds=(0.0, 6.0))
        log = TabularLog.of(dataset, discount=0.9)
        states = log.transitions.policy(PolicyTable.of_states(dataset, policy))
        fit = log.fit(np.array(weights))
        found.append([fit.evaluate(states), fit.value(states, 0.4)])
    (one, one_mixed), (other, other_mixed) = found
    assert one.value == pytest.approx(other.value, abs=1e-12)
    assert one.unseen_share == pytest.approx(other.unseen_share, abs=1e-12)
    assert one_mixed == pytest.approx(other_mixed, abs=1e-12)


def test_iterative_refits_are_close_to_direct_ones():
    dataset = Bandit().log(200, seed=0)
    log = TabularLog.of(dataset, discount=1.0)
    policy = np.array([Bandit().target])
    weights = np.random.default_rng(0).integers(0, 3, 200).astype(float)
    direct = log.fit(weights)
    iterative = log.fit(weights, tolerance=1e-9)
    assert iterative.value(policy) == pytest.approx(direct.value(policy), abs=1e-8)
    assert direct.value(policy) == pytest.approx(direct.evaluate(policy).value, abs=1e-12)


def test_whole_groups_are_drawn():
    """Both episodes of a group always come together: their mean never leaves 0.5."""
    dataset = write_log(
        [[(0, 0, 0.0)], [(0, 0, 1.0)]] * 5, group=np.repeat(np.arange(5), 2)
    )
    log = TabularLog.of(dataset, discount=1.0)
    fitted = refits(log, seed=0, replicates=20)
    policy = log.transitions.policy(always(dataset, 0))
    interval = bootstrap_interval(fitted, policy, level=0.95)
    assert (interval.low, interval.high) == pytest.approx((0.5, 0.5))
    assert interval.label is Label.MODEL_BASED
    apart = TabularLog.of(write_log([[(0, 0, 0.0)], [(0, 0, 1.0)]] * 5), discount=1.0)
    interval = bootstrap_interval(refits(apart, seed=0, replicates=20), policy, level=0.95)
    assert interval.width > 0.2


def test_ends_are_counted_among_the_gaps():
    """Of 39 values there are 40 gaps: beyond 1 and 39 lie 2.5 % each."""
    values = [float(value) for value in range(1, 40)]
    assert ends(values, 0.95) == pytest.approx((1.0, 39.0))
    assert ends(values, 0.9) == pytest.approx((2.0, 38.0))


@pytest.mark.parametrize(("level", "count"), [(0.95, 100), (0.99, 200), (0.9975, 800)])
def test_surer_intervals_take_more_refits(level, count):
    assert replicates_for(level) == count


def test_equal_seeds_draw_equal_groups():
    log = TabularLog.of(Bandit().log(50, seed=1), discount=1.0)
    policy = np.array([Bandit().target])
    one, again, other = (
        bootstrap_interval(refits(log, seed=seed, replicates=10), policy, level=0.9)
        for seed in (3, 3, 4)
    )
    assert one == again != other


def test_width_is_that_of_the_direct_method():
    """On a bandit FQE is the direct method: its deviation is that of DR with the true q."""
    bandit, n = Bandit(), 2000
    log = TabularLog.of(bandit.log(n, seed=2), discount=1.0)
    fitted = refits(log, seed=0, replicates=300)
    interval = bootstrap_interval(fitted, np.array([bandit.target]), level=0.95)
    expected = 2 * 1.96 * np.sqrt(bandit.doubly_robust_variance / n)
    assert interval.width == pytest.approx(expected, rel=0.15)
