"""Who made a log: one way of acting or several, and always the same one or not."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from stitchrl.audit.places import Places
from stitchrl.behavior.calibration import entropy
from stitchrl.dataset import Dataset

MOST_PLACES = 30  # The busiest ones, in which ways of acting are told apart.
MOST_WAYS = 4
ROUNDS = 50  # Of expectation maximization.
PRIOR = 1.0  # Pseudo-decisions per place, as the whole log acts there.
PERMUTATIONS = 999
SURE = 0.01  # p-value below which something changed.


@dataclass(frozen=True)
class Change:
    """A quantity over the order of the log, before and after its likeliest break."""

    p: float  # Of the largest cumulative deviation, by permutations.
    at: int  # Episodes before the break.
    before: float
    after: float

    @property
    def is_sure(self) -> bool:
        return self.p < SURE


@dataclass(frozen=True)
class Behavior:
    """How the log acts."""

    explained: float  # Bits per decision by which the place foretells the move, unseen.
    entropy: float  # Bits per decision of moves, whatever the place.
    ways: int  # Kinds of groups that act differently.
    shares: tuple[float, ...]  # Of groups, largest first.
    is_timed: bool  # Whether the order is that of a time column.
    returns: Change
    acting: Change  # Surprise in bits per decision, under the log's mean behavior.


def behavior_of(dataset: Dataset, places: Places, *, seed: int = 0) -> Behavior:
    """Tell ways of acting apart and look for breaks. Equal logs give equal answers."""
    rng = np.random.default_rng(seed)
    visits = places.visits().astype(np.float64)
    overall = visits.sum(axis=0) / visits.sum()
    surprise = _surprise(places, visits, overall)
    bits = entropy(overall)
    of_episode = np.add.reduceat(surprise, dataset.first_row) / dataset.lengths
    order = np.arange(dataset.episodes)
    if dataset.time is not None:
        order = np.argsort(dataset.time[dataset.first_row], kind="stable")
    shares = _ways(dataset, places, rng)
    return Behavior(
        explained=bits - float(surprise.mean()),
        entropy=bits,
        ways=len(shares),
        shares=tuple(sorted(shares.tolist(), reverse=True)),
        is_timed=dataset.time is not None,
        returns=change_in(dataset.returns()[order], rng),
        acting=change_in(of_episode[order], rng),
    )


def change_in(values: np.ndarray, rng: np.random.Generator) -> Change:
    """CUSUM: where the sum of deviations from the mean is largest, and how rare that is."""
    centered = values - values.mean()
    path = np.abs(np.cumsum(centered))[:-1]
    if len(values) < 2 or path.max() <= 1e-9 * max(np.abs(values).max(), 1e-300):
        mean = float(values.mean())
        return Change(1.0, len(values), mean, mean)
    at = int(path.argmax()) + 1
    reached = 0
    for _ in range(PERMUTATIONS):
        shuffled = np.abs(np.cumsum(rng.permutation(centered)))[:-1]
        reached += shuffled.max() >= path.max() * (1 - 1e-12)
    p = (1 + reached) / (1 + PERMUTATIONS)
    return Change(float(p), at, float(values[:at].mean()), float(values[at:].mean()))


def _surprise(places: Places, visits: np.ndarray, overall: np.ndarray) -> np.ndarray:
    """float64 (size,): -log2 of how often other decisions of the place made this move."""
    others = visits[places.row, places.move] - 1 + PRIOR * overall[places.move]
    return -np.log2(others / (visits[places.row].sum(axis=1) - 1 + PRIOR))


def _ways(dataset: Dataset, places: Places, rng: np.random.Generator) -> np.ndarray:
    """float64 (ways,): shares of groups that act alike; as many as MOST_WAYS or more.

    Mixtures of policies over groups, fitted to every other decision of each group and
    judged on the rest: as many as foretell the rest surely better than one fewer. Where
    places are clusters, groups that keep to different corners of them look different.
    """
    busiest = np.argsort(-places.visits().sum(axis=1))[:MOST_PLACES]
    number = np.full(places.count, -1)
    number[busiest] = np.arange(len(busiest))
    rows = np.flatnonzero(number[places.row] >= 0)
    key = number[places.row[rows]] * places.moves + places.move[rows]
    shape = groups, _ = dataset.groups, len(busiest) * places.moves
    if groups < 2:
        return np.ones(1)
    fitted, judged = (
        csr_array((np.ones(len(key[h::2])), (dataset.group[rows[h::2]], key[h::2])), shape)
        for h in (0, 1)
    )
    shares, score = _mixture(fitted, judged, 1, places.moves, rng)
    for ways in range(2, min(MOST_WAYS, groups) + 1):
        more, better = _mixture(fitted, judged, ways, places.moves, rng)
        gain = better - score
        if gain.mean() <= 3 * gain.std() / np.sqrt(groups) or gain.mean() <= 0:
            break
        shares, score = more, better
    return shares


def _mixture(
    fitted: csr_array, judged: csr_array, ways: int, moves: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Shares (ways,) by expectation maximization, and each group's bits of the rest."""
    groups = len(fitted.indptr) - 1
    belongs = np.eye(ways)[rng.integers(ways, size=groups)] * 0.5 + 0.5 / ways
    everyone = _shares_by_place((np.ones((1, groups)) @ fitted), moves, 1.0)
    policy = np.log(everyone)
    for _ in range(ROUNDS if ways > 1 else 1):
        counts = (fitted.T @ belongs).T + PRIOR * everyone
        policy = np.log(_shares_by_place(counts, moves, 0.0))
        share = (belongs.sum(axis=0) + 1) / (groups + ways)
        weight = fitted @ policy.T + np.log(share)
        weight -= weight.max(axis=1, keepdims=True)
        belongs = np.exp(weight) / np.exp(weight).sum(axis=1, keepdims=True)
    likelihood = np.asarray(judged @ policy.T)
    top = np.max(likelihood, axis=1, keepdims=True)
    mixed = np.log((belongs * np.exp(likelihood - top)).sum(axis=1)) + top[:, 0]
    return belongs.mean(axis=0), mixed / np.log(2)


def _shares_by_place(counts: np.ndarray, moves: int, prior: float) -> np.ndarray:
    """float64 as `counts` (n, places * moves): moves of each place sum to 1."""
    of_place = counts.reshape(len(counts), -1, moves) + prior
    shares = of_place / of_place.sum(axis=2, keepdims=True)
    return shares.reshape(counts.shape)
