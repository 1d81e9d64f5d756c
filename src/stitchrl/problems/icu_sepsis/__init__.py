"""Treating sepsis in intensive care: a process estimated from real patients' records.

ICU-Sepsis, K. Choudhary, D. Gupta and P. S. Thomas, 2024, arXiv:2406.05646: 716 states, 25
actions, reward 1 for survival. Its dynamics are known, so the exact value of any policy is.
"""

import functools
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.problems.tabular import TabularMDP

FILE = (
    Path(__file__).parent / "dynamics.npz"
)  # Unchanged from icu-sepsis 2.0.1, see NOTICE.
SHA256 = "36498f924c693c6be7ae18f3ce9e1a8e48d41f80f2cc553b3993b1373c8a9109"
DEATH, SURVIVAL, SINK = 713, 714, 715  # The terminal states; every other one is a patient.
LEVELS = 5  # Of each drug: 0 is none, 1 to 4 are quarters of the doses that were given.

# The order of the authors' preprocessing, after M. Komorowski et al. 2018: four that are
# shifted, then standardized ones, from `oxygen_saturation` on of logarithms.
FEATURE_NAMES = tuple(
    """
    gender mechanical_ventilation vasopressor_dose readmission age weight
    glasgow_coma_scale heart_rate systolic_pressure mean_pressure diastolic_pressure
    respiratory_rate temperature inspired_oxygen potassium sodium chloride glucose
    magnesium calcium hemoglobin white_cells platelets partial_thromboplastin_time
    prothrombin_time arterial_ph arterial_oxygen arterial_carbon_dioxide
    arterial_base_excess bicarbonate arterial_lactate sofa sirs shock_index
    oxygenation_ratio fluid_balance oxygen_saturation urea_nitrogen creatinine
    aspartate_transaminase alanine_transaminase bilirubin inr fluids_total
    fluids_4_hours urine_total urine_4_hours
    """.split()
)


@dataclass(frozen=True, eq=False)
class ICUSepsis:
    """The process, how clinicians act in it, and what its states look like.

    Terminal states have features 0, but no log shows them: nothing follows a last decision.
    """

    mdp: TabularMDP
    clinicians: np.ndarray  # float64 (716, 25): uniform in the terminal states.
    features: np.ndarray  # float64 (716, 47): mean over the patients in each state.
    sofa: np.ndarray  # float64 (716,): mean organ failure score of each state, 0 to 24.
    feature_names: tuple[str, ...] = FEATURE_NAMES
    action_labels: tuple[str, ...] = tuple(
        f"fluids {fluids}, vasopressors {vasopressors}"
        for fluids in range(LEVELS)
        for vasopressors in range(LEVELS)
    )

    def simulate(
        self, patients: int, seed: int, behavior: np.ndarray | None = None
    ) -> Dataset:
        """A log of this many patients, treated by the clinicians, or by `behavior` (S, A).

        Every patient is an episode and a group, every episode terminates, propensities are
        logged, and return 1 means survival.
        """
        policy = self.clinicians if behavior is None else behavior
        rows = self.mdp.simulate(policy, episodes=patients, seed=seed)
        return self.mdp.to_dataset(
            rows,
            features=self.features,
            feature_names=self.feature_names,
            action_labels=self.action_labels,
            group=rows.episode,
            reward_bounds=(0.0, 1.0),
            return_bounds=(0.0, 1.0),
        )


@functools.cache
def load() -> ICUSepsis:
    """Read the bundled file, once per process. Raises `ValueError` if it was altered."""
    with np.load(io.BytesIO(_verified(FILE))) as file:
        states, actions = file["expert_policy"].shape
        is_terminal = np.arange(states) >= DEATH
        mdp = TabularMDP.create(
            transition=file["tx_mat"],
            # As `r_mat` says, without reading its 100 MB: 1 for arriving at survival.
            reward=(np.arange(states) == SURVIVAL)[None, None],
            start=file["d_0"],
            terminal=is_terminal,
        )
        clinicians = file["expert_policy"]
        clinicians[is_terminal] = 1 / actions
        arrays = clinicians, file["state_cluster_centers"], file["sofa_scores"]
    for array in arrays:
        array.setflags(write=False)  # Everyone who loads gets the same ones.
    return ICUSepsis(mdp, *arrays)


def _verified(path: Path) -> bytes:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"'{path}' is not the file that was bundled: its SHA-256 must start with "
            f"{SHA256[:12]}, but starts with {found[:12]}. Install the package again."
        )
    return content
