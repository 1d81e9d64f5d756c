"""A trap: clinicians see what the log does not say, and treat accordingly.

Patients with pressure, oxygen and heart rate out of order are given antibiotics, a
vasopressor, ventilation, or any of them together. Some are hypersensitive: a vasopressor
throws their heart rate and oxygen out of order. Clinicians know who is, and spare them;
the log does not know. In it, whoever gets a vasopressor does well, and a policy that gives
it to everybody looks far better than the clinicians. It is far worse.

After the idea of Oberst and Sontag 2019, arXiv 1905.05824, with a process of its own. The
numbers below were fixed before any verdict was run on it.
"""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np

from stitchrl.dataset import Dataset
from stitchrl.problems.tabular import TabularMDP

LOW, NORMAL, HIGH = range(3)  # Of pressure; oxygen and heart rate are 1 if in order.
VITALS = tuple(itertools.product((LOW, NORMAL, HIGH), (0, 1), (0, 1)))
FEATURE_NAMES = ("low_pressure", "high_pressure", "low_oxygen", "fast_heart")
ANTIBIOTICS, VASOPRESSOR, VENTILATION = 1, 2, 4  # Bits of an action; 0 is nothing.
TREATMENTS = ("antibiotics", "vasopressor", "ventilation")
ACTION_LABELS = tuple(
    " and ".join(name for bit, name in enumerate(TREATMENTS) if action >> bit & 1)
    or "nothing"
    for action in range(8)
)
COUNT = len(VITALS)
DEATH, HOME = 2 * COUNT, 2 * COUNT + 1  # Among all states; the hypersensitive come second.

HYPERSENSITIVE = 0.3  # Share of patients.
REACTION = 0.7  # How often a vasopressor throws heart rate, and oxygen, out of order.
DEADLY = (0.0, 0.01, 0.05, 0.6)  # Chance to die in a step, by vitals out of order after it.
# Chance to be in order after a step, by whether it was before and is treated.
OXYGEN = {(0, False): 0.1, (0, True): 0.7, (1, False): 0.9, (1, True): 0.98}
HEART = {(0, False): 0.1, (0, True): 0.5, (1, False): 0.85, (1, True): 0.95}
PRESSURE = {  # Chances of low, normal and high.
    (LOW, False): (0.85, 0.15, 0.0),
    (LOW, True): (0.25, 0.7, 0.05),
    (NORMAL, False): (0.12, 0.86, 0.02),
    (NORMAL, True): (0.02, 0.88, 0.1),
    (HIGH, False): (0.0, 0.5, 0.5),
    (HIGH, True): (0.0, 0.1, 0.9),
}
STARTS = ((0.7, 0.3, 0.0), 0.6, 0.4)  # Of pressure; oxygen and heart rate in order.
HORIZON = 20  # Steps, after which who has not gone home counts as not having.
CARE = 0.95  # Share of decisions that are the best possible; the rest are by chance.


@cache
def mdp() -> TabularMDP:
    """All that there is, hypersensitivity included; 1 for going home.

    Home goes who is in order after a step without treatment.
    """
    states = 2 * COUNT + 2
    transition = np.zeros((states, 8, states))
    for hidden, (here, vitals), action in itertools.product(
        range(2), enumerate(VITALS), range(8)
    ):
        chances = _chances(vitals, action, is_hypersensitive=bool(hidden))
        row = transition[hidden * COUNT + here, action]
        for there, (following, chance) in enumerate(zip(VITALS, chances)):
            out_of_order = (
                (following[0] != NORMAL) + (not following[1]) + (not following[2])
            )
            dies = chance * DEADLY[out_of_order]
            goes_home = out_of_order == 0 and action == 0
            row[DEATH] += dies
            row[HOME if goes_home else hidden * COUNT + there] += chance - dies
    reward = np.zeros((1, 1, states))
    reward[..., HOME] = 1
    return TabularMDP.create(
        transition=transition,
        reward=reward,
        start=np.concatenate(
            [
                share * np.array([_start(vitals) for vitals in VITALS])
                for share in (1 - HYPERSENSITIVE, HYPERSENSITIVE)
            ]
            + [np.zeros(2)]
        ),
        terminal=np.arange(states) >= DEATH,
    )


@cache
def clinicians() -> np.ndarray:
    """(states, 8): nearly the best that can be done by who knows everything."""
    best, _ = mdp().optimal(0.99)
    return CARE * best + (1 - CARE) / 8


def behavior_value() -> float:
    """What the clinicians are worth."""
    return mdp().value(clinicians(), 1.0, HORIZON)


def value(policy: np.ndarray) -> float:
    """What a policy (12, 8) by vitals is worth in truth."""
    everywhere = np.concatenate([policy, policy, np.full((2, 8), 1 / 8)])
    return mdp().value(everywhere, 1.0, HORIZON)


def log(episodes: int, seed: int) -> Dataset:
    """What is recorded: vitals and treatments; no propensities, and nothing of the rest."""
    rows = mdp().simulate(clinicians(), episodes=episodes, seed=seed, max_steps=HORIZON)
    # What ended leads nowhere, whatever its number says.
    seen = rows._replace(state=rows.state % COUNT, final_state=rows.final_state % COUNT)
    pressure, oxygen, heart = np.array(VITALS).T
    features = np.stack(
        [pressure == LOW, pressure == HIGH, oxygen == 0, heart == 0], axis=1
    )
    dataset = seen.to_dataset(
        features.astype(np.float64),
        feature_names=FEATURE_NAMES,
        action_labels=ACTION_LABELS,
        horizon=HORIZON,
        reward_bounds=(0.0, 1.0),
        return_bounds=(0.0, 1.0),
    )
    return replace(dataset, propensity=None)


def planned(log: Dataset) -> np.ndarray:
    """(12, 8): the best policy for the counts of a log, softened to .99.

    Where an action was never logged it is taken to kill, so that it is never chosen.
    """
    assert log.state_id is not None
    died = log.terminated & (log.reward == 0)
    home = log.terminated & (log.reward == 1)
    following = np.where(died, COUNT, np.where(home, COUNT + 1, log.next_state_id))
    counts = np.zeros((COUNT + 2, 8, COUNT + 2))
    np.add.at(counts, (log.state_id, log.action, following), 1)
    counts[..., COUNT] += counts.sum(axis=2) == 0
    reward = np.zeros((1, 1, COUNT + 2))
    reward[..., COUNT + 1] = 1
    model = TabularMDP.create(
        transition=counts / counts.sum(axis=2, keepdims=True),
        reward=reward,
        start=np.eye(COUNT + 2)[0],
        terminal=np.arange(COUNT + 2) >= COUNT,
    )
    best, _ = model.optimal(0.99)
    return 0.99 * best[:COUNT] + 0.01 / 8


def _chances(
    vitals: tuple[int, int, int], action: int, *, is_hypersensitive: bool
) -> np.ndarray:
    """(12,): of all vitals after a step, apart from dying."""
    pressure, oxygen, heart = vitals
    pressor = bool(action & VASOPRESSOR)
    spared = 1 - REACTION if pressor and is_hypersensitive else 1.0
    oxygen_in_order = spared * OXYGEN[oxygen, bool(action & VENTILATION)]
    heart_in_order = spared * HEART[heart, bool(action & ANTIBIOTICS)]
    return np.array(
        [
            PRESSURE[pressure, pressor][p]
            * (oxygen_in_order if o else 1 - oxygen_in_order)
            * (heart_in_order if h else 1 - heart_in_order)
            for p, o, h in VITALS
        ]
    )


def _start(vitals: tuple[int, int, int]) -> float:
    pressure, oxygen, heart = vitals
    of_pressure, of_oxygen, of_heart = STARTS
    return (
        of_pressure[pressure]
        * (of_oxygen if oxygen else 1 - of_oxygen)
        * (of_heart if heart else 1 - of_heart)
    )
