"""Gymnasium's Hopper-v4: one leg that is to hop forward without falling.

Reward: forward speed, 1 for standing, minus a thousandth of the squared torques. Falling
terminates. D4RL's scores are those of this reward, with its reference returns.
"""

from pathlib import Path

import numpy as np

from stitchrl.rollout import Outcome
from stitchrl.zoo import packages
from stitchrl.zoo.bodies import Bodies

NEEDS = ("gymnasium", "mujoco")
MAX_STEPS = 1000
# Returns that score 0 and 100: infos.py of github.com/Farama-Foundation/D4RL.
REFERENCE = (-20.272305, 3234.3)
FRAME_SKIP, SECONDS = 4, 0.002 * 4  # Of simulation in one decision.
START_NOISE = 5e-3
LOWEST, WIDEST_ANGLE, LARGEST_STATE, LARGEST_VELOCITY = 0.7, 0.2, 100.0, 10.0

FEATURES = tuple(
    """
    height torso_angle thigh_angle leg_angle foot_angle forward_velocity
    upward_velocity torso_spin thigh_spin leg_spin foot_spin
    """.split()
)
ACTIONS = ("thigh_torque", "leg_torque", "foot_torque")


class Hopper:
    """Copies of Hopper-v4 without its time limit."""

    def __init__(self):
        packages.require(NEEDS, "Hopper")
        folder = Path(str(packages.module("gymnasium.envs.mujoco").__file__)).parent
        path = folder / "assets" / "hopper.xml"
        model = packages.module("mujoco").MjModel.from_xml_path(str(path))
        self._bodies = Bodies(model, FRAME_SKIP)

    def reset(self, episodes: int, rng: np.random.Generator) -> np.ndarray:
        position, velocity = self._bodies.start
        noise = rng.uniform(-START_NOISE, START_NOISE, (episodes, 2, len(position)))
        return self.place(position + noise[:, 0], velocity + noise[:, 1])

    def place(self, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Start episodes from these positions (n, 6) and velocities (n, 6)."""
        self._bodies.reset(position, velocity)
        return _observed(position, velocity)

    def step(self, playing: np.ndarray, action: np.ndarray) -> Outcome:
        before = self._bodies.positions(playing)[:, 0]
        self._bodies.step(playing, action)
        position = self._bodies.positions(playing)
        velocity = self._bodies.velocities(playing)
        cost = np.float32(1e-3) * np.square(action).sum(axis=1)
        reward = (position[:, 0] - before) / SECONDS + 1.0 - cost
        others = np.concatenate([position[:, 2:], velocity], axis=1)
        stands = (
            (abs(others) < LARGEST_STATE).all(axis=1)
            & (position[:, 1] > LOWEST)
            & (abs(position[:, 2]) < WIDEST_ANGLE)
        )
        return Outcome(_observed(position, velocity), reward, ~stands)


def _observed(position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    velocity = np.clip(velocity, -LARGEST_VELOCITY, LARGEST_VELOCITY)
    return np.concatenate([position[:, 1:], velocity], axis=1).astype(np.float32)
