"""Parts of a log share no group, whatever the seed."""

import numpy as np
import pytest

from stitchrl.dataset import Choices, Dataset
from stitchrl.splits import folds, split


def log(groups: int, episodes_each: int = 3, length: int = 2) -> Dataset:
    """Every value is its row; group g owns episodes g, g + groups, ..."""
    episodes = groups * episodes_each
    size = episodes * length
    rows = np.arange(size)
    ends = rows % length == length - 1
    return Dataset.create(
        observation=rows.astype(float),
        action=np.zeros(size),
        reward=rows,
        terminated=ends,
        truncated=np.zeros(size, bool),
        actions=Choices(("a", "b")),
        group=rows // length % groups,
    )


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_disjoint_and_complete(seed: int):
    whole = log(50)
    parts = split(whole, seed)
    groups = [set(part.group_id.tolist()) for part in parts]
    assert [len(g) for g in groups] == [30, 10, 10]
    assert set.union(*groups) == set(range(50))
    assert sum(map(len, groups)) == 50
    rows = np.concatenate([part.row for part in parts])
    assert sorted(rows.tolist()) == list(range(whole.size))
    for part in parts:
        assert part.episodes == 3 * part.groups  # All episodes of each group.
        np.testing.assert_array_equal(part.reward, part.row)


def test_the_seed_decides():
    whole = log(50)
    assert split(whole, 1).train.row.tolist() == split(whole, 1).train.row.tolist()
    assert split(whole, 1).train.row.tolist() != split(whole, 2).train.row.tolist()


def test_shares_are_of_groups():
    parts = split(log(10), 0, (0.5, 0.3, 0.2))
    assert [part.groups for part in parts] == [5, 3, 2]
    assert [part.groups for part in split(log(7), 0)] == [4, 2, 1]


def test_folds_keep_groups_together_and_are_even():
    whole = log(11)
    fold = folds(whole, seed=3, count=2)
    assert fold.shape == (33,)
    of_group = [set(fold[whole.episode_group == g].tolist()) for g in range(11)]
    assert all(len(found) == 1 for found in of_group)
    sizes = np.bincount([found.pop() for found in of_group])
    assert sorted(sizes.tolist()) == [5, 6]
    assert set(folds(whole, seed=3, count=5).tolist()) == set(range(5))
    assert folds(whole, 3).tolist() != folds(whole, 4).tolist()
