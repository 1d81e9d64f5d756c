"""The spread of returns under a policy: by hand, and where it is known."""

import numpy as np
import pytest

from stitchrl.ope.base import Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.distribution import ReturnDistribution
from stitchrl.ope.weights import Weights

RETURNS = np.array([3.0, 1.0, 2.0, 1.0, 9.0])


def distribution(weights, returns=RETURNS) -> ReturnDistribution:
    with np.errstate(divide="ignore"):
        log = np.log(np.asarray(weights, float))
    return ReturnDistribution.of(returns, Weights(log, np.arange(len(returns))))


@pytest.fixture
def spread():
    """1 with probability .5, 2 with .125, 3 with .375; 9 has no weight."""
    return distribution([3.0, 1.0, 1.0, 3.0, 0.0])


def test_by_hand(spread):
    np.testing.assert_allclose(spread.values, [1, 2, 3])
    np.testing.assert_allclose(spread.shares, [0.5, 0.125, 0.375])
    assert spread.mean == pytest.approx(0.5 + 0.25 + 1.125)
    assert spread.probability_below(2.0) == pytest.approx(0.5)
    found = spread.probability_up_to(np.array([0.0, 1.0, 1.5, 2.0, 3.0, 100.0]))
    np.testing.assert_allclose(found, [0, 0.5, 0.5, 0.625, 1, 1])
    assert [spread.quantile(q) for q in (0.1, 0.5, 0.51, 0.63, 1.0)] == [1, 1, 2, 3, 3]
    assert spread.cvar(0.25) == pytest.approx(1.0)
    assert spread.cvar(0.6) == pytest.approx((0.5 * 1 + 0.1 * 2) / 0.6)
    assert spread.cvar(1.0) == pytest.approx(spread.mean)
    assert spread.effective_size == pytest.approx(8**2 / 20)


def test_the_band_by_hand(spread):
    assert spread.band(level=0.95) == pytest.approx(np.sqrt(np.log(40) / 6.4))


def test_cvar_at_the_ends_of_its_band():
    """100 equal weights on 0 and 1, band .136: so much may be -1 at worst, 1 at best."""
    returns = np.repeat([0.0, 1.0], 50)
    spread = distribution(np.ones(100), returns)
    bounds = ReturnBounds(-1.0, 1.0, Source.DECLARED)
    width = spread.band(level=0.95)
    assert width == pytest.approx(0.13581, abs=1e-5)
    found = spread.cvar_interval(0.2, bounds, level=0.95)
    assert found.low == pytest.approx(-width / 0.2)
    assert found.high == pytest.approx(0.0)
    found = spread.cvar_interval(0.6, bounds, level=0.95)
    assert found.low == pytest.approx(-width / 0.6)  # And zeros.
    assert found.high == pytest.approx((0.6 - 0.5 + width) / 0.6)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_it_covers_where_the_truth_is_known(share):
    """Bernoulli .7 under the policy, .4 in the log: 200 logs, coverage at least .95."""
    truth = max(0.0, 1 - 0.3 / share)
    bounds, covered = ReturnBounds(0.0, 1.0, Source.DECLARED), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        returns = (rng.random(300) < 0.4).astype(float)
        weights = np.where(returns == 1, 0.7 / 0.4, 0.3 / 0.6)
        found = distribution(weights, returns).cvar_interval(share, bounds, level=0.95)
        covered += found.low - 1e-12 <= truth <= found.high + 1e-12
    assert covered >= 190


def test_without_weight_nothing_is_known():
    with pytest.raises(ValueError, match="No logged episode could have come from this"):
        distribution(np.zeros(5))


def test_a_share_is_a_share(spread):
    with pytest.raises(ValueError, match="'share' must be above 0 and at most 1"):
        spread.cvar(0.0)
