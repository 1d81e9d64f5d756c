"""The hand-made gradients are those of finite differences."""

import numpy as np
import pytest
from parity.numpy_networks import Adam, action_values, ensemble, log_likelihood, mlp

RNG = np.random.default_rng(3)


def network(*sizes: int, members: int | None = None) -> list[np.ndarray]:
    lead = () if members is None else (members,)
    found = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:]):
        found += [
            RNG.normal(size=(*lead, inputs, outputs)),
            RNG.normal(size=(*lead, outputs)),
        ]
    found[-2] = np.swapaxes(found[-2], -1, -2)  # That of the last layer: `Readout`.
    return found


def by_differences(function, x: np.ndarray) -> np.ndarray:
    slope = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-6
        slope[index] = (function(x + step) - function(x - step)) / 2e-6
    return slope


def check(compute, net: list[np.ndarray], x: np.ndarray | None = None) -> None:
    """`compute(net, x)` gives the outcome and its way back."""
    out, back = compute(net, x)
    weights = RNG.normal(size=out.shape)
    found = back(weights)
    slopes, slope_x = found if isinstance(found, tuple) else (found, None)
    for i, slope in enumerate(slopes):

        def loss(p, i=i):
            return (compute([*net[:i], p, *net[i + 1 :]], x)[0] * weights).sum()

        np.testing.assert_allclose(slope, by_differences(loss, net[i]), atol=1e-6)
    if x is not None and slope_x is not None:
        numeric = by_differences(lambda y: (compute(net, y)[0] * weights).sum(), x)
        np.testing.assert_allclose(slope_x, numeric, atol=1e-6)


def test_mlp():
    check(mlp, network(3, 5, 4, 2), RNG.normal(size=(6, 3)))


def test_ensemble():
    check(ensemble, network(3, 4, 2, members=2), RNG.normal(size=(5, 3)))


def test_values_of_continuous_actions():
    s = RNG.normal(size=(5, 3))
    net = network(5, 4, 1, members=2)
    check(lambda n, a: action_values(n, s, a), net, RNG.normal(size=(5, 2)))


def test_values_of_discrete_actions():
    s, a = RNG.normal(size=(5, 3)), np.array([0, 3, 1, 1, 2])
    check(lambda n, _: action_values(n, s, a), network(3, 4, 4, members=2))


@pytest.mark.parametrize("kind", ["continuous", "discrete", "masked"])
def test_log_likelihood(kind: str):
    s, allowed = RNG.normal(size=(5, 3)), np.ones((5, 4), bool)
    if kind == "continuous":
        a, net = RNG.uniform(-1, 1, (5, 2)), [*network(3, 4, 2), RNG.normal(size=2) / 2]
    else:
        a, net = np.array([0, 3, 1, 1, 2]), network(3, 4, 4)
    if kind == "masked":
        allowed = np.eye(4, dtype=bool)[a] | np.eye(4, dtype=bool)[1]
    check(lambda n, _: (lambda v, b: (v, b))(*log_likelihood(n, s, a, allowed)), net)


def test_adam_by_hand():
    adam = Adam(lambda count: 0.1 / (1 + count))
    one = adam.step([np.array(1.0)], [np.array(4.0)])
    np.testing.assert_allclose(one[0], 1 - 0.1, rtol=1e-8)
    two = adam.step(one, [np.array(-2.0)])
    mean = (0.9 * 0.4 - 0.2) / (1 - 0.81)
    square = (0.999 * 0.016 + 0.004) / (1 - 0.999**2)
    np.testing.assert_allclose(two[0], 0.9 - 0.05 * mean / np.sqrt(square), rtol=1e-7)
