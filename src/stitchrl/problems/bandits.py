"""Problems to train on: one with a known best answer, two that mislead Q-learning."""

from typing import Any

import numpy as np

from stitchrl.dataset import Bounds, Choices, Dataset

CORNERS = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])


def one_step(kind: str, *, size: int = 512, seed: int = 0) -> Dataset:
    """`size` logged decisions of one step each, on observations s in the plane.

    "continuous": reward -|a - s|², so the best action is s; logged are noisy s / 2.
    "discrete": reward -|corner - s|², so the best action is the nearest of four `CORNERS`;
    logged are it in every fourth row and any in the others.
    "masked": likewise, but every corner other than the first is closed half of the time.
    """
    rng = np.random.default_rng(seed)
    ended: dict[str, Any] = {
        "terminated": np.ones(size, bool),
        "truncated": np.zeros(size, bool),
    }
    if kind == "continuous":
        observation = rng.uniform(-0.5, 0.5, (size, 2))
        action = np.clip(observation / 2 + rng.normal(0, 0.4, (size, 2)), -1, 1)
        bounds = Bounds(names=("x", "y"), low=(-1.0, -1.0), high=(1.0, 1.0))
        reward = -((action - observation) ** 2).sum(axis=1)
        return Dataset.create(
            observation=observation, action=action, reward=reward, actions=bounds, **ended
        )
    observation = rng.uniform(-1, 1, (size, 2))
    valid = np.ones((size, len(CORNERS)), bool)
    if kind == "masked":
        valid[:, 1:] = rng.random((size, len(CORNERS) - 1)) < 0.5
    losses = np.where(valid, _losses(observation), np.inf)
    anything = np.where(valid, rng.random(valid.shape), -1).argmax(axis=1)
    action = np.where(rng.random(size) < 0.25, losses.argmin(axis=1), anything)
    return Dataset.create(
        observation=observation,
        action=action,
        reward=-losses[np.arange(size), action],
        actions=Choices(labels=("south-west", "north-west", "south-east", "north-east")),
        valid_actions=valid if kind == "masked" else None,
        **ended,
    )


def _losses(observation: np.ndarray) -> np.ndarray:
    return ((CORNERS - observation[:, None]) ** 2).sum(axis=2)


def regret(dataset: Dataset, action: np.ndarray) -> float:
    """Mean reward lost in `one_step` by these actions, one for each row of `dataset`.

    Infinite if an action is chosen that is not allowed.
    """
    observation = dataset.observation.astype(np.float64)
    if isinstance(dataset.actions, Bounds):
        return float(((action - observation) ** 2).sum(axis=1).mean())
    losses = _losses(observation)
    if dataset.valid_actions is not None:
        losses[~dataset.valid_actions] = np.inf
    return float((losses[np.arange(dataset.size), action] - losses.min(axis=1)).mean())


LEFT, RIGHT, WAIT = range(3)
FEATURES = np.array([[1.0, 0.3], [1.0, 0.0]])  # Of s1 and s2, which are neighbors.
DISCOUNT = 0.9


def overestimation_bandit(rounds: int = 64) -> Dataset:
    """Two states that follow each other for ever; waiting in s1 is never logged.

    In s1, left is worth 5 or 4 and right 3 or 2; in s2, waiting is worth 10 or 9. Waiting
    in s1 would cost 100, but a network that generalizes from s2 believes in about 10. It
    is best to go left, worth `LEFT_VALUE` from s1 at `DISCOUNT`; always waiting is worth
    `WAIT_VALUE`.
    """
    ways = np.tile([LEFT, RIGHT, LEFT, RIGHT], rounds)
    pays = np.tile([5.0, 3.0, 4.0, 2.0], rounds)
    back = np.tile([10.0, 9.0, 9.0, 10.0], rounds)
    size = 2 * len(ways)
    ends = np.arange(size) == size - 1
    return Dataset.create(
        observation=np.tile(FEATURES, (len(ways), 1)),
        action=np.stack([ways, np.full(len(ways), WAIT)], axis=1).ravel(),
        reward=np.stack([pays, back], axis=1).ravel(),
        terminated=np.zeros(size, bool),
        truncated=ends,
        final_observation=FEATURES[:1],
        actions=Choices(labels=("left", "right", "wait")),
        state_id=np.arange(size) % 2,
        final_state_id=[0],
        state_count=2,
    )


LEFT_VALUE = (4.5 + DISCOUNT * 9.5) / (1 - DISCOUNT**2)
WAIT_VALUE = (-100 + DISCOUNT * 9.5) / (1 - DISCOUNT**2)
SAFE = 0.3  # The log of `cliff` stays within ±SAFE; beyond it, nothing is known.


def cliff(*, size: int = 512, seed: int = 0) -> Dataset:
    """More is better as far as the log goes, |a| ≤ `SAFE`; beyond it is a fall.

    The reward is 1 + a, the same state follows, nobody ever tried more than `SAFE`. A
    critic extrapolates that 1 is best.
    """
    action = np.random.default_rng(seed).uniform(-SAFE, SAFE, size)
    return Dataset.create(
        observation=np.ones(size),
        action=action,
        reward=1 + action,
        terminated=np.zeros(size, bool),
        truncated=np.arange(size) == size - 1,
        final_observation=np.ones((1, 1)),
        actions=Bounds(names=("a",), low=(-1.0,), high=(1.0,)),
    )
