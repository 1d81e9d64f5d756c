"""Policies that were not trained in this run."""

import numpy as np
import pytest

from stitchrl import bundle
from stitchrl.candidates import table
from stitchrl.dataset import Choices, Dataset
from stitchrl.job.external import external_request
from stitchrl.plan import Plan
from stitchrl.sources import load

HEADER = "episode,step,observation.x,action,reward,terminated,truncated,propensity"
COLUMNS = "policy_probability.a,policy_probability.b"
ROWS = """\
1,0,0.5,a,1,0,0,0.5,0.25,0.75
1,1,0.4,b,0,1,0,0.5,0.5,0.5
2,0,0.3,b,1,0,0,0.5,1,0
2,1,0.2,a,1,{ends},0.5,0,1
"""
POLICY = [[0.25, 0.75], [0.5, 0.5], [1, 0], [0, 1]]


def write(place, *, ends="1,0", more=""):
    place.write_text(f"{HEADER},{COLUMNS}\n" + ROWS.format(ends=ends) + more)
    return Plan(log=str(place)), load(place)


def test_columns_are_a_policy_row_by_row(tmp_path):
    plan, dataset = write(tmp_path / "log.csv")
    request = external_request("column", plan, dataset)
    assert (request.share, request.candidate.kind) == (1.0, "external")
    np.testing.assert_array_equal(table(request.candidate, dataset).probabilities, POLICY)
    second = dataset.take_episodes(np.array([1]))
    found = table(request.candidate, second)
    np.testing.assert_array_equal(found.probabilities, POLICY[2:])
    assert np.isnan(found.final_probabilities).all()


def test_columns_must_cover_what_followed_a_cut(tmp_path):
    plan, dataset = write(tmp_path / "log.csv", ends="0,1", more="2,2,0.1,,,,,,,\n")
    with pytest.raises(ValueError, match="after the last decision of 1 episodes"):
        external_request("column", plan, dataset)


def test_one_column_is_not_enough(tmp_path):
    place = tmp_path / "log.csv"
    place.write_text(f"{HEADER},policy_probability\n1,0,0.5,a,1,1,0,0.5,0.25\n")
    with pytest.raises(ValueError, match="has one column, but a policy can only be"):
        external_request("column", Plan(log=str(place)), load(place))


def uniform(path, dataset: Dataset, *, share=1.0, **changes):
    entries = {
        "name": "uniform",
        "policy": "uniform",
        "act_by": "sample",
        "share": share,
        "feature_names": dataset.feature_names,
        "actions": dataset.actions,
        "uses_valid_actions": False,
        "reading": {},
        "certified": {},
    }
    bundle.save(path, bundle.Bundle(**entries | changes))
    return str(path)


def test_a_bundle_is_followed_at_its_share(tmp_path):
    plan, dataset = write(tmp_path / "log.csv")
    path = uniform(tmp_path / "run" / "policy", dataset, share=0.3)
    request = external_request(path, plan, dataset)
    assert (request.name, request.share) == ("run/policy at 30%", 0.3)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"feature_names": ("y",)}, "for other observations .* the log lacks 'y'"),
        ({"feature_names": ("x", "x2")}, "for other observations"),
        ({"actions": Choices(("b", "a"))}, "for other actions"),
    ],
)
def test_a_bundle_for_other_logs_is_refused(tmp_path, changes, said):
    plan, dataset = write(tmp_path / "log.csv")
    path = uniform(tmp_path / "policy", dataset, **changes)
    with pytest.raises(ValueError, match=said):
        external_request(path, plan, dataset)


def test_an_unknown_policy_says_what_can_be_given(tmp_path):
    plan, dataset = write(tmp_path / "log.csv")
    with pytest.raises(ValueError, match="'best' is no policy: give 'uniform' or the path"):
        external_request("best", plan, dataset)
