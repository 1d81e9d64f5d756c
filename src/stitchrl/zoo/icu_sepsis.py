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
        count = icu.mdp.actions
        features = np.asarray(icu.features, np.float32)
        if act == "mode":
            table = np.eye(count)[np.asarray(jax.vmap(policy.mode)(features))]
        else:
            rows = jax.vmap(action_probabilities, (None, 0, None))(policy, features, count)
            table = np.asarray(rows, np.float64)
        return Value(icu.mdp.value(table, discount=1.0), 0.0, 0, 0)
