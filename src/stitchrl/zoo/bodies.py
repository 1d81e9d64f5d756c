"""Copies of one MuJoCo model, stepped directly: six times faster than through a package.

The environments around MuJoCo are thin; what they add is written out beside each use, and
tests/zoo/test_simulators.py steps both and compares every number.
"""

from typing import Any

import numpy as np

from stitchrl.zoo import packages


class Bodies:
    """Independent states of one model; positions and velocities can be read and written."""

    def __init__(self, model: Any, frame_skip: int):
        self._mujoco = packages.module("mujoco")
        self._model, self._frame_skip = model, frame_skip
        self._states: list[Any] = []
        # Views into the states, kept because making one costs as much as a step.
        self._position: list[np.ndarray] = []
        self._velocity: list[np.ndarray] = []
        self._control: list[np.ndarray] = []

    @property
    def start(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions (nq,) and velocities (nv,) in which the model is defined."""
        return self._model.qpos0.copy(), np.zeros(self._model.nv)

    def reset(self, position: np.ndarray, velocity: np.ndarray) -> None:
        """One state for each row of `position` (n, nq) and `velocity` (n, nv)."""
        while len(self._states) < len(position):
            state = self._mujoco.MjData(self._model)
            self._states.append(state)
            self._position.append(state.qpos)
            self._velocity.append(state.qvel)
            self._control.append(state.ctrl)
        for index in range(len(position)):
            self._mujoco.mj_resetData(self._model, self._states[index])
            self._position[index][:] = position[index]
            self._velocity[index][:] = velocity[index]
            self._mujoco.mj_forward(self._model, self._states[index])

    def step(self, playing: np.ndarray, control: np.ndarray) -> None:
        """Hold `control` (n, nu) for one decision in the states `playing` (n,)."""
        for index, force in zip(playing.tolist(), control):
            self._control[index][:] = force
            self._mujoco.mj_step(self._model, self._states[index], self._frame_skip)

    def shift(self, playing: np.ndarray, by: np.ndarray) -> None:
        """Move the states `playing` (n,) by (n, nq), and stop them."""
        for index, distance in zip(playing.tolist(), by):
            self._position[index][:] += distance
            self._velocity[index][:] = 0.0

    def limit_velocity(self, playing: np.ndarray, limit: float) -> None:
        for index in playing.tolist():
            velocity = self._velocity[index]
            np.clip(velocity, -limit, limit, out=velocity)

    def positions(self, playing: np.ndarray) -> np.ndarray:
        """float64 (n, nq)"""
        return np.array([self._position[index] for index in playing.tolist()])

    def velocities(self, playing: np.ndarray) -> np.ndarray:
        """float64 (n, nv)"""
        return np.array([self._velocity[index] for index in playing.tolist()])
