"""Linear dynamics, quadratic cost, Gaussian noise: continuous, with exact values."""

from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Bounds, Dataset

ACTION_LIMIT = 10.0  # Never reached by sensible policies; logs must declare bounds.


class LinearGaussian(NamedTuple):
    """The policy u ~ N(-gain · s, deviation²)."""

    gain: float
    deviation: float

    def density(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Probability density of the action, elementwise, in the units of the log."""
        error = (action + self.gain * state) / self.deviation
        return np.exp(-(error**2) / 2) / (self.deviation * np.sqrt(2 * np.pi))


TARGET, BEHAVIOR = LinearGaussian(0.6, 0.2), LinearGaussian(0.4, 0.3)


class LQG(NamedTuple):
    """From s ~ N(0, 1) to s' = drift · s + push · u + N(0, noise²) for each action u.

    The reward is -(s² + action_cost · u²); nothing terminates.
    """

    drift: float = 0.9
    push: float = 0.5
    noise: float = 0.1
    action_cost: float = 0.1

    def quadratic_value(
        self, policy: LinearGaussian, discount: float, horizon: int | None = None
    ) -> tuple[float, float]:
        """(P, c) with V(s) = -(P s² + c): the fixed point, or `horizon` steps to it."""
        kept = (self.drift - self.push * policy.gain) ** 2
        state_cost = 1 + self.action_cost * policy.gain**2
        spread = (self.push * policy.deviation) ** 2 + self.noise**2
        exploration = self.action_cost * policy.deviation**2
        if horizon is None:
            curvature = state_cost / (1 - discount * kept)
            constant = (exploration + discount * curvature * spread) / (1 - discount)
            return curvature, constant
        curvature, constant = 0.0, 0.0
        for _ in range(horizon):
            constant = exploration + discount * (curvature * spread + constant)
            curvature = state_cost + discount * kept * curvature
        return curvature, constant

    def value(
        self, policy: LinearGaussian, discount: float, horizon: int | None = None
    ) -> float:
        """J(π), H = ∞ without `horizon`."""
        curvature, constant = self.quadratic_value(policy, discount, horizon)
        return -(curvature + constant)  # E[s0²] = 1.

    def best_gain(self, discount: float) -> float:
        """Of the best policy, which is linear and does not explore: Riccati's equation."""
        curvature, gain = 0.0, 0.0
        while True:
            cost = self.action_cost + discount * curvature * self.push**2
            gain = discount * curvature * self.push * self.drift / cost
            kept = (self.drift - self.push * gain) ** 2
            following = 1 + self.action_cost * gain**2 + discount * kept * curvature
            if abs(following - curvature) < 1e-14:
                return gain
            curvature = following

    def log(
        self, policy: LinearGaussian, *, episodes: int, horizon: int, seed: int
    ) -> Dataset:
        """Episodes cut after `horizon` steps; propensities are densities."""
        rng = np.random.default_rng(seed)
        state = np.empty((episodes, horizon + 1))
        action = np.empty((episodes, horizon))
        state[:, 0] = rng.standard_normal(episodes)
        for step in range(horizon):
            now = state[:, step]
            jitter, shock = rng.standard_normal((2, episodes))
            action[:, step] = -policy.gain * now + policy.deviation * jitter
            pushed = self.drift * now + self.push * action[:, step]
            state[:, step + 1] = pushed + self.noise * shock
        before = state[:, :-1]
        step = np.tile(np.arange(horizon), episodes)
        return Dataset.create(
            observation=before.reshape(-1, 1),
            feature_names=("position",),
            action=action.reshape(-1, 1),
            actions=Bounds(("push",), (-ACTION_LIMIT,), (ACTION_LIMIT,)),
            reward=-(before**2 + self.action_cost * action**2).ravel(),
            terminated=np.zeros(len(step), bool),
            truncated=step == horizon - 1,
            step=step,
            propensity=policy.density(before, action).ravel(),
            final_observation=state[:, -1:],
            horizon=horizon,
        )


def weight_second_moment(target: float, behavior: float) -> float:
    """E[ρ²] of N(m, target²) against N(m, behavior²).

    Infinite from target² = 2 behavior² on: weighted estimates then have no variance.
    """
    excess = 2 / target**2 - 1 / behavior**2
    if excess <= 0:
        return np.inf
    return behavior / (target**2 * excess**0.5)
