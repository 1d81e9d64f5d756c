"""Filtered BC keeps exactly the episodes it should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.filtered_bc import FilteredBC
from stitchrl.dataset import Choices, Dataset
from stitchrl.experience import Drawing, Experience
from stitchrl.population import stack
from stitchrl.train import prepare

#          length, return of each of ten episodes; two tie for the second place.
EPISODES = [
    (4, 3.0), (1, 8.0), (3, 5.0), (2, 9.0), (5, 1.0),
    (1, 0.0), (2, 2.0), (4, 8.0), (6, 4.0), (2, 7.0),
]  # fmt: skip
BY_RETURN = [3, 1, 7, 9, 2, 8, 0, 6, 4, 5]  # Ties: the earlier one first.


def log(weight: np.ndarray | None = None) -> Experience:
    """Each action is the number of its episode: batches tell where they are from."""
    lengths = np.array([length for length, _ in EPISODES])
    episode = np.repeat(np.arange(10), lengths)
    last = np.cumsum(lengths) - 1
    reward = np.zeros(30)
    reward[last] = [value for _, value in EPISODES]
    ends = np.isin(np.arange(30), last)
    return Experience.of(
        Dataset.create(
            observation=np.arange(30.0),
            action=episode,
            reward=reward,
            terminated=ends,
            truncated=np.zeros(30, bool),
            actions=Choices(tuple("abcdefghij")),
        ),
        weight=weight,
    )


def kept(algorithm: FilteredBC, experience: Experience) -> tuple[set[int], set[int]]:
    """Episodes and rows that appear in a large batch."""
    batch = algorithm.sample(prepare(algorithm, experience), jax.random.key(0))
    return set(batch.action.tolist()), set(batch.observation[:, 0].astype(int).tolist())


@pytest.mark.parametrize(
    "share, count",
    [(1e-9, 1), (0.05, 1), (0.1, 1), (0.19, 1), (0.2, 2), (0.3, 3), (0.7, 7), (1.0, 10)],
)
def test_by_episodes(share: float, count: int):
    algorithm = FilteredBC(best_share=share, batch_size=4096)
    episodes, rows = kept(algorithm, log())
    assert episodes == set(BY_RETURN[:count])
    lengths = [EPISODES[i][0] for i in episodes]
    assert len(rows) == sum(lengths)  # All their rows.


# Steps counted down the ranking: 2, 3, 7, 9, 12, 18, 22, 24, 29, 30 of 30.
BY_STEPS = [(1e-9, 1), (0.06, 1), (0.099, 1), (0.1, 2), (0.233, 2), (0.234, 3), (0.4, 5)]


@pytest.mark.parametrize("share, count", [*BY_STEPS, (0.6, 6), (1.0, 10)])
def test_by_steps(share: float, count: int):
    algorithm = FilteredBC(best_share=share, by_steps=True, batch_size=4096)
    episodes, _ = kept(algorithm, log())
    assert episodes == set(BY_RETURN[:count])


def test_rows_are_drawn_uniformly():
    algorithm = FilteredBC(best_share=0.3, batch_size=70_000)  # Episodes 3, 1 and 7.
    batch = algorithm.sample(prepare(algorithm, log()), jax.random.key(0))
    counts = np.bincount(np.asarray(batch.observation[:, 0], int), minlength=30)
    assert (np.abs(counts[counts > 0] - 10_000) < 5 * 100).all()


def test_kept_rows_are_drawn_as_they_weigh():
    weight = np.arange(30.0) ** 2
    weight[8] = 0.0  # The first row of episode 3, which is the best one.
    algorithm = FilteredBC(best_share=0.3, batch_size=100_000)  # Episodes 3, 1 and 7.
    batch = algorithm.sample(prepare(algorithm, log(weight)), jax.random.key(0))
    counts = np.bincount(np.asarray(batch.observation[:, 0], int), minlength=30)
    rows = np.array([4, 9, 18, 19, 20, 21])  # Those of the three that weigh something.
    assert counts.sum() == counts[rows].sum()
    expected = 100_000 * weight[rows] / weight[rows].sum()
    distance = ((counts[rows] - expected) ** 2 / expected).sum()
    assert distance < 27  # χ² of 5 degrees of freedom: beyond it in 6 of 100,000.


def test_running_sums_of_weights_are_exact_in_long_logs():
    """In float32 they would round to a quarter at four million."""
    size = 2**22
    ends = np.arange(size) == size - 1
    weight = jnp.tile(jnp.array([0.1, 1.9]), size // 2)
    drawing = Drawing(weight, jnp.ones(size), jnp.arange(size))
    transitions = log().transitions
    numbers = jnp.zeros(size), jnp.arange(size)
    long = Experience(transitions, jnp.asarray(ends), *numbers, drawing)
    weight = np.asarray(FilteredBC().prepare(long).weight)
    parts = np.diff(weight, prepend=0)
    assert weight[-1] < 2**30 and parts.min() > 0
    np.testing.assert_allclose(parts[::2] / parts[1::2], 0.1 / 1.9, rtol=0.03)


def test_a_share_that_weighs_nothing_gives_way_to_the_best_row_that_does():
    weight = np.zeros(30)
    weight[[0, 5, 6]] = 1.0  # Episodes 0 and, better, 2.
    algorithm = FilteredBC(best_share=0.3, batch_size=64)
    batch = algorithm.sample(prepare(algorithm, log(weight)), jax.random.key(0))
    assert set(batch.observation[:, 0].tolist()) == {5.0}


def test_the_share_can_be_swept():
    experience = log()
    data = prepare(FilteredBC(batch_size=512), experience)

    sweep = stack([FilteredBC(batch_size=512, best_share=x) for x in (0.1, 0.5, 1.0)])
    drawn = jax.vmap(lambda a: a.sample(data, jax.random.key(0)).action)(sweep)
    assert [len(set(row.tolist())) for row in drawn] == [1, 5, 10]


def test_an_episode_without_its_last_row_is_still_one():
    """Truncated, and nobody knows what followed: that row cannot be learned from."""
    dataset = Dataset.create(
        observation=np.arange(9.0),
        action=[0, 0, 0, 1, 1, 1, 2, 2, 2],
        reward=[0, 0, 5.0, 0, 0, 1.0, 0, 0, 3.0],
        terminated=[False] * 5 + [True] + [False] * 3,
        truncated=[False, False, True] + [False] * 5 + [True],
        actions=Choices(("a", "b", "c")),
    )
    experience = Experience.of(dataset)
    assert experience.row.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert experience.episode_end.tolist() == [0, 1, 0, 0, 1, 0, 1]
    for share, expected in ((0.34, {0}), (0.67, {0, 2}), (1.0, {0, 1, 2})):
        episodes, _ = kept(FilteredBC(best_share=share, batch_size=512), experience)
        assert episodes == expected
