"""Estimators of single decisions: by hand, and against moments in closed form."""

import numpy as np
import pytest
from scipy.integrate import quad

from stitchrl.ope import bandit as of
from stitchrl.ope.kernels import KERNELS, MASSES, kernel_weights
from stitchrl.problems.exact import Bandit

ROUNDS = of.Rounds(
    reward=np.array([1.0, 0.0, 2.0]),
    weight=np.array([0.5, 4.0, 0.0]),
    logged=np.array([0.5, 1.0, 1.0]),
    expected=np.array([0.25, 0.75, 1.0]),
)


@pytest.mark.parametrize(
    "parts, expected",
    [
        (of.ipw(ROUNDS), [0.5, 0, 0]),
        (of.snipw(ROUNDS), [1 / 3, 0, 0]),
        (of.direct_method(ROUNDS), [0.25, 0.75, 1]),
        (of.doubly_robust(ROUNDS), [0.5, -3.25, 1]),
        (of.self_normalized_doubly_robust(ROUNDS), [0.25 + 1 / 6, 0.75 - 8 / 3, 1]),
        (of.switch(ROUNDS, threshold=1.0), [0.5, 0.75, 1]),
        (of.switch(ROUNDS, threshold=4.0), [0.5, -3.25, 1]),
        (of.optimistic_shrinkage(ROUNDS, strength=4.0), [0.25 + 2 / 8.5, 0.75 - 0.8, 1]),
        (of.optimistic_shrinkage(ROUNDS, strength=0.0), [0.25, 0.75, 1]),
        (of.optimistic_shrinkage(ROUNDS, strength=np.inf), [0.5, -3.25, 1]),
        (of.sub_gaussian_ipw(ROUNDS, strength=0.5), [2 / 3, 0, 0]),
        (of.sub_gaussian_ipw(ROUNDS, strength=0.0), [0.5, 0, 0]),
        (of.sub_gaussian_ipw(ROUNDS, strength=1.0), [1, 0, 0]),
        (
            of.sub_gaussian_doubly_robust(ROUNDS, strength=0.5),
            [0.25 + 1 / 3, 0.75 - 1.6, 1],
        ),
    ],
)
def test_by_hand(parts, expected):
    np.testing.assert_allclose(parts, expected)


def test_moments_in_closed_form():
    """IPW, SNIPW and DR with the true means: n Var within 5 % of what is computed."""
    arms, n, repeats = Bandit(), 400, 4_000
    rng = np.random.default_rng(0)
    action = rng.choice(3, size=(repeats, n), p=arms.behavior)
    success = np.array(arms.success)
    reward = (rng.random((repeats, n)) < success[action]).astype(float)
    found = {"ipw": [], "snipw": [], "doubly_robust": []}
    for a, r in zip(action, reward):
        expected = np.full(n, arms.value)
        rounds = of.Rounds(r, arms.weights[a], success[a], expected)
        for name, values in found.items():
            values.append(getattr(of, name)(rounds).mean())
    exact = {
        "ipw": arms.ips_variance,
        "snipw": arms.snips_variance,
        "doubly_robust": arms.doubly_robust_variance,
    }
    assert exact["ipw"] == pytest.approx(1.713167, abs=1e-6)
    assert exact["snipw"] == pytest.approx(0.326542, abs=1e-6)
    assert exact["doubly_robust"] == pytest.approx(0.257033, abs=1e-6)
    for name, values in found.items():
        error = np.std(values) / np.sqrt(repeats)
        assert abs(np.mean(values) - arms.value) < 4 * error + 1e-3
        assert n * np.var(values) == pytest.approx(exact[name], rel=0.1)


def test_without_weight_there_is_no_normalized_value():
    rounds = ROUNDS._replace(weight=np.zeros(3))
    assert np.isnan(of.snipw(rounds)).all()
    assert of.ipw(rounds).sum() == 0


def test_strength_beyond_its_range_is_refused():
    with pytest.raises(ValueError, match=r"'strength' must be in \[0, 1\], but is 2"):
        of.sub_gaussian_ipw(ROUNDS, strength=2.0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_are_densities(kernel):
    assert quad(KERNELS[kernel], -8, 8, points=[-1, 0, 1])[0] == pytest.approx(1, abs=1e-6)
    for end in (-0.7, 0.2, 1.5):
        part = quad(KERNELS[kernel], -8, end, points=[-1, 0, min(end, 1)])[0]
        assert MASSES[kernel](np.array([end]))[0] == pytest.approx(part, abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("chosen", [0.0, 0.95])
def test_kernel_weights_average_one_inside_the_bounds(kernel, chosen):
    """Actions logged evenly over [-1, 1]: E[w] = 1, also for a choice near the bound."""
    logged = np.linspace(-1, 1, 200_001)
    density = np.full(len(logged), 0.5)
    wanted = np.full(len(logged), chosen)
    weights = kernel_weights(
        logged, wanted, density, width=0.1, kernel=kernel, bounds=(-1.0, 1.0)
    )
    assert weights.mean() == pytest.approx(1, abs=1e-4)
    lost = kernel_weights(logged, wanted, density, width=0.1, kernel=kernel).mean()
    assert (lost < 0.9) == (chosen > 0.9)


def test_kernels_find_the_value_of_a_deterministic_policy():
    """r = 1 - (a - x)² and π(x) = x / 2: J = 1 - E[x²] / 4 = .9166…, bias O(h²)."""
    rng = np.random.default_rng(0)
    n = 200_000
    x, a = rng.uniform(-1, 1, (2, n))
    reward = 1 - (a - x) ** 2
    weights = kernel_weights(
        a, x / 2, np.full(n, 0.5), width=0.1, kernel="epanechnikov", bounds=(-1.0, 1.0)
    )
    error = np.std(weights * reward) / np.sqrt(n)
    assert abs((weights * reward).mean() - (1 - 1 / 12)) < 4 * error + 0.1**2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"width": 0.0}, "'width' must be above 0"),
        ({"width": 1.0, "kernel": "box"}, "There is no kernel 'box'. There are: gaussian"),
    ],
)
def test_bad_kernels_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kernel_weights(np.zeros(2), np.zeros(2), np.ones(2), **options)
