"""The map of a log: counted by hand where paths cross, and in order where they are many."""

from dataclasses import replace

import numpy as np
import pytest
from audit.test_stitching import CROSSING, paths

from stitchrl.audit import audit
from stitchrl.audit.map import MOST_SITES, Map, Passage, map_of
from stitchrl.audit.places import Places, standardized
from stitchrl.audit.stitching import meetings_of
from stitchrl.problems import icu_sepsis


def mapped(dataset) -> Map:
    meetings = meetings_of(dataset, discount=1.0)
    return map_of(dataset, Places.of(dataset), meetings, discount=1.0)


def test_crossing_paths_by_hand():
    """States 1 2 3 4 5 end with 0; 7 8 4 6 9 with 1. They meet in 4."""
    found = mapped(paths(*CROSSING))
    assert (found.places, found.visits_share) == (9, 1.0)
    crossing, *others = found.sites
    assert (crossing.visits, crossing.step, crossing.to_go) == (2, 2.5, 0.5)
    assert crossing.tried == 1.0 and crossing.meeting == 1.0  # One goes odd, one even.
    assert {site.visits for site in others} == {1}
    assert all(site.tried == 0.5 for site in others)
    # Nobody else was where the first path was before, so nothing is met there.
    assert [site.meeting for site in others] == [0.0, 0.0, 0.0, 0.0] + [None] * 4
    assert [site.to_go for site in others] == [0.0] * 4 + [1.0] * 4
    ways = {(one.start, one.end): one.count for one in found.passages}
    assert sum(ways.values()) == 8 and len(ways) == 8
    assert Passage(0, 4, 1) in found.passages  # From 4 on to 5.


def test_the_busiest_come_first_and_shares_are_those_of_the_log():
    dataset = icu_sepsis.load().simulate(300, seed=0)
    found = mapped(dataset)
    visits = np.bincount(dataset.state_id)
    top = np.sort(visits)[::-1][:MOST_SITES]
    assert [site.visits for site in found.sites] == top.tolist()
    assert found.visits_share == pytest.approx(top.sum() / dataset.size)
    assert found.places == (visits > 0).sum()
    counts = [passage.count for passage in found.passages]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    busiest = int(visits.argmax())
    tried = len(np.unique(dataset.action[dataset.state_id == busiest])) / 25
    assert found.sites[0].tried == pytest.approx(tried)


def test_features_may_be_missing():
    """They count as at their mean, as the normalizer of learning has it."""
    dataset = paths(*CROSSING * 4, features=True)
    observation = dataset.observation.copy()
    observation[3, 0] = np.nan
    found = audit(replace(dataset, observation=observation), discount=1.0)
    assert sum(site.visits for site in found.map.sites) == dataset.size
    points = standardized(np.array([[1.0, 5.0], [np.nan, 5.0], [3.0, np.inf]]))
    np.testing.assert_allclose(points, [[-1, 0], [0, 0], [1, 0]])
