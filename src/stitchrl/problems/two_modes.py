"""A log with two habits: what one Gaussian can make of it, by forward and by reverse KL.

One state, one action a in [-1, 1], which the log draws from two narrow Gaussians. Weighed
likelihood (behavior cloning, advantage-weighted regression) minimizes the forward KL,
KL(p || q), and ends between the habits, where nobody ever was. The reverse KL, KL(q || p),
ends in one of them.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from stitchrl.dataset import Bounds, Dataset

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
QUADRATURE = WEIGHTS / WEIGHTS.sum()  # Of N(0, 1).


class Normal(NamedTuple):
    """A Gaussian over the action."""

    mean: float
    deviation: float


class TwoModes(NamedTuple):
    """The log draws N(-center, spread²) or N(center, spread²); right pays `gain` more.

    Left of 0 the reward is 0, right of it `gain`.
    """

    center: float = 0.5
    spread: float = 0.05
    right_share: float = 0.5
    gain: float = 0.0

    def weighed_share(self, inverse_temperature: float = 0.0) -> float:
        """Of the right mode in p(a) ∝ β(a) exp(inverse_temperature · r(a)).

        Exact but for the mass that crosses 0: below 1e-20 while center ≥ 10 spread.
        """
        right = self.right_share * np.exp(inverse_temperature * self.gain)
        return float(right / (right + 1 - self.right_share))

    def forward(self, inverse_temperature: float = 0.0) -> Normal:
        """The Gaussian q with the least KL(p || q): it has p's mean and variance."""
        share = self.weighed_share(inverse_temperature)
        mean = (2 * share - 1) * self.center
        variance = self.spread**2 + 4 * share * (1 - share) * self.center**2
        return Normal(mean, float(np.sqrt(variance)))

    def reverse(self, inverse_temperature: float = 0.0) -> Normal:
        """The Gaussian q with the least KL(q || p), by quadrature, from the larger mode.

        With modes far apart it is that mode, and the divergence -log of its share.
        """
        share = self.weighed_share(inverse_temperature)
        side = 1.0 if share >= 0.5 else -1.0

        def divergence(point: np.ndarray) -> float:
            found = Normal(float(point[0]), float(np.exp(point[1])))
            return self.reverse_kl(found, inverse_temperature)

        first = np.array([side * self.center, np.log(self.spread)])
        best = minimize(divergence, first, method="Nelder-Mead", tol=1e-12).x
        return Normal(float(best[0]), float(np.exp(best[1])))

    def reverse_kl(self, found: Normal, inverse_temperature: float = 0.0) -> float:
        """KL(q || p) of a Gaussian q, in nats."""
        action = found.mean + found.deviation * NODES
        entropy = 0.5 * np.log(2 * np.pi * np.e * found.deviation**2)
        return float(-entropy - QUADRATURE @ self._log_density(action, inverse_temperature))

    def forward_kl(self, found: Normal, inverse_temperature: float = 0.0) -> float:
        """KL(p || q) of a Gaussian q plus the entropy of p, in nats."""
        share = self.weighed_share(inverse_temperature)
        square = 0.0
        for side, weight in ((-1, 1 - share), (1, share)):
            away = side * self.center - found.mean
            square += weight * (self.spread**2 + away**2)
        width = np.log(2 * np.pi * found.deviation**2)
        return float(0.5 * (width + square / found.deviation**2))

    def _log_density(self, action: np.ndarray, inverse_temperature: float) -> np.ndarray:
        share = self.weighed_share(inverse_temperature)
        parts = []
        for side, weight in ((-1, 1 - share), (1, share)):
            error = (action - side * self.center) / self.spread
            parts.append(np.log(weight) - 0.5 * error**2)
        return np.logaddexp(*parts) - 0.5 * np.log(2 * np.pi * self.spread**2)

    def reward(self, action: np.ndarray) -> np.ndarray:
        """Elementwise."""
        return np.where(action > 0, self.gain, 0.0)

    def log(self, size: int, seed: int) -> Dataset:
        """`size` decisions of one step; the shares of both modes are exact to one row."""
        rng = np.random.default_rng(seed)
        is_right = rng.permutation(size) < round(self.right_share * size)
        action = np.where(is_right, self.center, -self.center)
        action = np.clip(action + rng.normal(0, self.spread, size), -1, 1)
        return Dataset.create(
            observation=np.ones(size),
            feature_names=("constant",),
            action=action,
            actions=Bounds(names=("a",), low=(-1.0,), high=(1.0,)),
            reward=self.reward(action),
            terminated=np.ones(size, bool),
            truncated=np.zeros(size, bool),
        )
