"""Weights of rows: shares of strata are exact, whatever the log's own weights."""

from dataclasses import replace

import numpy as np
import pytest

from stitchrl.dataset import Choices, Dataset
from stitchrl.experience import Experience
from stitchrl.sampling import Sampling, balanced

# Six episodes; the last row of the last one is not learned from (nobody knows what came).
LENGTHS = [3, 1, 2, 2, 1, 3]
EPISODE = np.repeat(np.arange(6), LENGTHS)
LAST = np.cumsum(LENGTHS) - 1
SOURCE = np.array(["b", "a", "a", "c", "c", "b"])[EPISODE]
WEIGHT = np.array([1, 2, 3, 4, 0, 6, 7, 8, 9, 10, 11, 12.0])


def log(**changed) -> Dataset:
    reward = np.zeros(12)
    reward[LAST] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    columns = {
        "observation": np.arange(12.0),
        "action": np.arange(12) % 2,
        "reward": reward,
        "terminated": np.isin(np.arange(12), LAST[:-1]),
        "truncated": np.arange(12) == 11,
        "episode": EPISODE,
        "actions": Choices(("x", "y")),
        "source": SOURCE,
    }
    return Dataset.create(**(columns | changed))


def shares(weight: np.ndarray, by: np.ndarray) -> dict[str, float]:
    return {str(name): float(weight[by == name].sum()) for name in np.unique(by)}


def test_without_a_wish_rows_count_alike_or_as_the_log_says():
    assert Sampling().of(log()) == (None, (), False)
    np.testing.assert_array_equal(Sampling().of(log(weight=WEIGHT)).weight, WEIGHT)
    assert Sampling(weighted=False).of(log(weight=WEIGHT)).weight is None


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_sources_get_equal_shares_and_rows_within_keep_theirs(weight):
    found = Sampling(by="source").of(log(weight=weight))
    assert found.weight is not None and found.weight[11] == 0
    third = pytest.approx(1 / 3)
    assert shares(found.weight, SOURCE) == {"a": third, "b": third, "c": third}
    plain = np.ones(12) if weight is None else WEIGHT
    for name in "abc":
        rows = (SOURCE == name) & (np.arange(12) < 11) & (plain > 0)
        ratio = found.weight[rows] / plain[rows]
        np.testing.assert_allclose(ratio, ratio[0])
    # And so they are in what training draws from.
    drawing = Experience.of(log(), weight=found.weight).drawing
    assert drawing is not None
    drawn = shares(np.asarray(drawing.weight) / 11, SOURCE[:11])
    assert drawn == {name: pytest.approx(1 / 3, rel=1e-5) for name in "abc"}


def test_given_shares_and_the_counts_that_are_reported():
    sampling = Sampling(by="source", shares={"a": 1, "b": 0, "c": 3})
    found = sampling.of(log())
    assert shares(found.weight, SOURCE) == {"a": 0.25, "b": 0.0, "c": 0.75}
    strata = {one.name: one for one in found.strata}
    assert (strata["b"].rows, strata["b"].episodes, strata["b"].share) == (6, 2, 0)
    assert strata["b"].before == pytest.approx(5 / 11)
    (note,) = balanced(found)
    assert note.code == "BALANCED" and note.count == 12
    assert "'c' (3 rows of 2 episodes) 75.0% instead of 27.3%" in note.message


@pytest.mark.parametrize("bins", [2, 3])
def test_bins_of_the_return_hold_about_as_many_episodes(bins: int):
    found = Sampling(by="return", bins=bins).of(log())
    assert [one.name for one in found.strata] == [str(i + 1) for i in range(bins)]
    assert [one.episodes for one in found.strata] == [6 // bins] * bins
    bin_of_row = (EPISODE * bins // 6).astype(str)  # Returns rise with the episode.
    expected = {str(i): pytest.approx(1 / bins) for i in range(bins)}
    assert shares(found.weight, bin_of_row) == expected


def test_bins_that_ties_leave_empty_get_nothing():
    reward = np.zeros(12)
    reward[11] = 1.0
    found = Sampling(by="return").of(log(reward=reward))
    assert [one.episodes for one in found.strata] == [0, 0, 0, 6]
    (note,) = balanced(found)
    assert "from 1 strata" in note.message and "'4' (12 rows of 6 episodes)" in note.message
    two = Sampling(by="return").of(log(reward=(EPISODE >= 3) * 1.0))
    held = [one.share for one in two.strata if one.episodes]
    assert held == [pytest.approx(1 / len(held))] * len(held) and len(held) >= 2


def test_balance_and_weights_are_both_said():
    (note,) = balanced(Sampling(by="source").of(log(weight=WEIGHT)))
    assert "within each by the log's column of weights" in note.message
    (note,) = balanced(Sampling(by="source").of(log()))
    assert "column of weights" not in note.message


def test_a_stratum_that_weighs_nothing_leaves_its_share_to_the_others():
    weight = np.where(SOURCE == "a", 0.0, 1.0)
    found = Sampling(by="source").of(log(weight=weight))
    assert [one.share for one in found.strata] == [0, 0.5, 0.5]


@pytest.mark.parametrize(
    "sampling, changed, words",
    [
        (Sampling(by="source"), {"source": None}, "does not say which policy"),
        (
            Sampling(by="return"),
            {"reward": (np.isin(np.arange(12), LAST)) * 1.0},
            "return 1",
        ),
        (Sampling(by="source", shares={"a": 1}), {}, "a, b, c"),
        (Sampling(by="source", shares={"a": 1, "b": -1, "c": 1}), {}, "0 or more"),
        (Sampling(by="source", shares={"a": 0, "b": 0, "c": 0}), {}, "no row to learn"),
        (Sampling(shares={"a": 1}), {}, "nothing to balance"),
    ],
)
def test_what_cannot_be_balanced_is_refused(sampling: Sampling, changed, words: str):
    with pytest.raises(ValueError, match=words):
        sampling.of(log(**changed))


def test_weights_alone_are_counted_too():
    (note,) = balanced(Sampling().of(log(weight=WEIGHT)))
    assert note.code == "WEIGHED" and "1 rows never" in note.message
    assert balanced(Sampling().of(log())) == []


def test_parts_of_a_log_keep_the_names_of_all_sources():
    some = log(weight=WEIGHT).take_episodes(np.array([0, 5]))
    assert some.source_id is not None and some.source_id.tolist() == ["a", "b", "c"]
    assert some.source is not None and set(some.source.tolist()) == {1}
    np.testing.assert_array_equal(some.weight, WEIGHT[[0, 1, 2, 9, 10, 11]])
    found = Sampling(by="source").of(some)
    assert [one.share for one in found.strata] == [0, 1, 0]


def test_hashes_tell_sources_and_weights_apart():
    plain = log(source=None)
    hashes = [plain, log(), log(weight=WEIGHT), replace(log(), weight=2 * WEIGHT)]
    assert len({one.content_hash() for one in hashes}) == 4
