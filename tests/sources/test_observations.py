"""New rows become exactly the features that a policy was learned from."""

import numpy as np
import pytest

from stitchrl.findings import DataError
from stitchrl.sources import Mapping, load, load_observations, write_table
from stitchrl.sources.mapping import mapping_of

LOG = """\
visit,age,pulse,ward,dose,won
1,50,70,north,low,0
1,51,,south,high,1
2,60,80,north,low,1
"""
ENTRIES = {
    "episode": "visit",
    "observation": ["age", "pulse", "ward"],
    "action": "dose",
    "reward": "won",
    "terminated": "last_row",
    "missing": "flag",
    "categories": "auto",
}


def write(place, text: str):
    place.write_text(text)
    return place


def mapping(**changes) -> Mapping:
    return mapping_of({**ENTRIES, **changes})


def names(tmp_path, found: Mapping) -> tuple[str, ...]:
    return load(write(tmp_path / "log.csv", LOG), found).feature_names


def test_new_rows_need_only_observations(tmp_path):
    wanted = names(tmp_path, mapping())
    assert wanted == ("age", "pulse", "ward=north", "ward=south", "pulse is missing")
    new = write(tmp_path / "new.csv", "ward,pulse,age\nsouth,71,40\nnorth,,41\n")
    found = load_observations(new, mapping(), feature_names=wanted)
    expected = [[40, 71, 0, 1, 0], [41, np.nan, 1, 0, 1]]
    np.testing.assert_array_equal(found.observation, np.float32(expected))
    assert found.valid_actions is None and found.state_id is None


def test_the_log_itself_is_read_as_before(tmp_path):
    log = write(tmp_path / "log.csv", LOG)
    dataset = load(log, mapping())
    found = load_observations(log, mapping(), feature_names=dataset.feature_names)
    np.testing.assert_array_equal(found.observation, dataset.observation)


def test_a_category_that_the_log_never_showed_is_told(tmp_path):
    wanted = names(tmp_path, mapping())
    new = write(tmp_path / "new.csv", "ward,pulse,age\nwest,71,40\n")
    found = load_observations(new, mapping(), feature_names=wanted)
    np.testing.assert_array_equal(found.observation, np.float32([[40, 71, 0, 0, 0]]))
    assert [note.code for note in found.notes] == ["UNKNOWN_CATEGORY"]


def test_columns_that_are_missing_are_named(tmp_path):
    wanted = names(tmp_path, mapping())
    new = write(tmp_path / "new.csv", "wards,pulse,years\nwest,71,40\n")
    with pytest.raises(DataError) as caught:
        load_observations(new, mapping(), feature_names=wanted)
    messages = [finding.message for finding in caught.value.findings]
    assert ["'age'" in messages[0], "'ward'" in messages[1], len(messages)] == [
        True,
        True,
        2,
    ]
    assert "Did you mean 'wards'?" in caught.value.findings[1].remedy


def test_a_pattern_takes_only_what_makes_a_feature(tmp_path):
    text = "x.age,x.pulse,action,reward,terminated\n50,70,a,1,1\n60,80,b,0,1\n"
    given = mapping_of({"preset": "plain", "observation": ["x.*"]})
    wanted = load(write(tmp_path / "log.csv", text), given).feature_names
    new = write(tmp_path / "new.csv", "x.pulse,x.note,x.age\n71,text,40\n")
    found = load_observations(new, given, feature_names=wanted)
    np.testing.assert_array_equal(found.observation, [[40, 71]])
    lacking = write(tmp_path / "lacking.csv", "x.age,x.note\n40,text\n")
    with pytest.raises(DataError, match="lacks 1 of the 2 features .* 'x.pulse'"):
        load_observations(lacking, given, feature_names=wanted)


def test_gaps_need_permission(tmp_path):
    given = mapping(observation=["age"], missing=None, categories={})
    new = write(tmp_path / "new.csv", "age\n40\n\n41\n")
    with pytest.raises(DataError, match="'age' must be known in every row") as caught:
        load_observations(new, given, feature_names=("age",))
    assert caught.value.findings[0].rows == (1,)
    allowed = mapping(observation=["age"], missing="mean", categories={})
    found = load_observations(new, allowed, feature_names=("age",))
    np.testing.assert_array_equal(found.observation[:, 0], np.float32([40, np.nan, 41]))


STATES = "state_id,action,reward,terminated\n0,a,1,1\n2,b,0,1\n"


def test_states_are_numbers_that_the_policy_knows(tmp_path):
    new = write(tmp_path / "new.csv", "state_id\n2\n0\n")
    found = load_observations(new, None, feature_names=(), states=3)
    np.testing.assert_array_equal(found.state_id, [2, 0])
    with pytest.raises(DataError, match="from 0 to 1, .* row 0 has 2"):
        load_observations(new, None, feature_names=(), states=2)
    without = write(tmp_path / "without.csv", "state\n2\n")
    with pytest.raises(DataError, match="acts by state, but .* has no state ids"):
        load_observations(without, None, feature_names=(), states=2)


def test_states_alone_become_one_hot_observations(tmp_path):
    dataset = load(write(tmp_path / "log.csv", STATES))
    assert dataset.feature_names == ("state=0", "state=1", "state=2")
    new = write(tmp_path / "new.csv", "state_id\n2\n0\n")
    found = load_observations(new, None, feature_names=dataset.feature_names)
    np.testing.assert_array_equal(found.observation, [[0, 0, 1], [1, 0, 0]])


def test_valid_actions_are_read_in_the_order_of_labels(tmp_path):
    text = "observation.x,valid_actions.a,valid_actions.b\n1,0,1\n2,1,1\n"
    new = write(tmp_path / "new.csv", text)
    found = load_observations(new, None, feature_names=("x",), choices=(2,))
    np.testing.assert_array_equal(found.valid_actions, [[False, True], [True, True]])
    none = write(tmp_path / "none.csv", text.replace("1,0,1", "1,0,0"))
    with pytest.raises(DataError, match="At least one action must be valid"):
        load_observations(none, None, feature_names=("x",), choices=(2,))
    without = write(tmp_path / "without.csv", "observation.x\n1\n")
    with pytest.raises(DataError, match="learned with valid actions"):
        load_observations(without, None, feature_names=("x",), choices=(2,))


def test_our_own_tables_are_read_by_what_they_carry(tmp_path):
    dataset = load(write(tmp_path / "log.csv", LOG), mapping(missing="mean"))
    write_table(dataset, tmp_path / "log.parquet")
    found = load_observations(
        tmp_path / "log.parquet", None, feature_names=dataset.feature_names
    )
    np.testing.assert_array_equal(found.observation, dataset.observation)
