"""Who made the log, where states are discrete: smoothed frequencies per state."""

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.ope.policy_table import PolicyTable

SMOOTHING = 1.0  # Pseudo-decisions per state, spread like the actions of the whole log.


def action_frequencies(
    dataset: Dataset, *, states: int, smoothing: float = SMOOTHING
) -> np.ndarray:
    """float64 (states, count): (N(s, a) + m p(a)) / (N(s) + m), m = `smoothing`.

    p(a) is the frequency of each action in the whole log, plus one decision each, so that
    no action has probability 0. Smoothing 0 is maximum likelihood; states without decisions
    are then p itself. Raises `ValueError` without state ids or with continuous actions.
    """
    if dataset.state_id is None or not isinstance(dataset.actions, Choices):
        raise ValueError(
            "Frequencies per state need a 'state_id' column and discrete actions. Map "
            "both, or fit a network as behavior model."
        )
    count = dataset.actions.count
    key = dataset.state_id * count + dataset.action
    taken = np.bincount(key, minlength=states * count).reshape(states, count)
    overall = taken.sum(axis=0) + 1.0
    overall /= overall.sum()
    visits = taken.sum(axis=1, keepdims=True)
    strength = np.where(visits > 0, smoothing, 1.0)
    return (taken + strength * overall) / (visits + strength)


def behavior_table(
    dataset: Dataset, fold: np.ndarray | None = None, *, smoothing: float = SMOOTHING
) -> PolicyTable:
    """The fitted behavior at every row and every final observation.

    With `fold` (episodes,), as from `stitchrl.splits.folds`, each episode's probabilities
    come from the other folds, so that no row tells about itself. Actions that
    `valid_actions` forbids get 0.
    """
    states = max(dataset.state_count, _largest_id(dataset) + 1)
    if fold is None:
        frequencies = action_frequencies(dataset, states=states, smoothing=smoothing)
        return _valid(dataset, PolicyTable.of_states(dataset, frequencies))
    tables = []
    for number in range(int(fold.max()) + 1):
        others = dataset.take_episodes(fold != number)
        frequencies = action_frequencies(others, states=states, smoothing=smoothing)
        tables.append(PolicyTable.of_states(dataset, frequencies))
    of_row = fold[dataset.episode]
    return _valid(
        dataset,
        PolicyTable(
            np.stack([table.probabilities for table in tables])[
                of_row, np.arange(dataset.size)
            ],
            np.stack([table.final_probabilities for table in tables])[
                fold, np.arange(dataset.episodes)
            ],
        ),
    )


def _largest_id(dataset: Dataset) -> int:
    known = [dataset.state_id, dataset.final_state_id]
    return max((int(ids.max()) for ids in known if ids is not None), default=-1)


def _valid(dataset: Dataset, table: PolicyTable) -> PolicyTable:
    probabilities, final = table.probabilities, table.final_probabilities
    if dataset.valid_actions is not None:
        probabilities = np.where(dataset.valid_actions, probabilities, 0.0)
    if dataset.final_valid_actions is not None:
        final = np.where(dataset.final_valid_actions | np.isnan(final), final, 0.0)
    return PolicyTable(
        probabilities / probabilities.sum(axis=1, keepdims=True),
        final / final.sum(axis=1, keepdims=True),
    )
