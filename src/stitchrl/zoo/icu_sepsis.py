"""The sepsis process of `problems.icu_sepsis`, whose every value is known exactly."""

from typing import Any

import jax
import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.policies import action_probabilities
from stitchrl.problems import icu_sepsis
from stitchrl.rollout import Act
from stitchrl.zoo.entry import Value

PATIENTS, SEED = 15_000, 0


def simulate() -> Dataset:
    """A log of patients whom clinicians treat."""
    return icu_sepsis.load().simulate(PATIENTS, SEED)


class BySolving:
    """Values are probabilities of survival, by linear solve of the process."""

    def value(self, policy: Any, *, act: Act, episodes: int, seed: int) -> Value:
        """Of a policy that reads the features of a state, sampled or by its mode."""
        del episodes, seed
        icu = icu_sepsis.load()
        return Value(icu.mdp.value(_table(icu, policy, act), discount=1.0), 0.0, 0, 0)

    def trial(self, policy: Any, *, act: Act, seed: int) -> Value:
        """Whether one patient survives."""
        icu = icu_sepsis.load()
        rows = icu.mdp.simulate(_table(icu, policy, act), episodes=1, seed=seed)
        return Value(float(rows.reward.sum()), float("nan"), 1, len(rows.reward))


def _table(icu: icu_sepsis.ICUSepsis, policy: Any, act: Act) -> np.ndarray:
    """float64 (states, actions): what it does in each state."""
    if hasattr(policy, "probabilities"):
        return policy.probabilities
    features = np.asarray(icu.features, np.float32)
    count = icu.mdp.actions
    if act == "mode":
        return np.eye(count)[np.asarray(jax.vmap(policy.mode)(features))]
    rows = jax.vmap(action_probabilities, (None, 0, None))(policy, features, count)
    return np.asarray(rows, np.float64)
