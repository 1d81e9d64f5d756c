"""Several choices at once, read from files: every row tells what both were."""

from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import EPISODE, MAPPING, SIZE, STEP, arrays, columns, in_memory
from sources.test_tables import write_csv

from stitchrl.choices import Choices
from stitchrl.dataset import MAX_ACTIONS, Dataset
from stitchrl.findings import DataError
from stitchrl.sources import load, write_table
from stitchrl.sources.mapping import mapping_of
from stitchrl.sources.observations import load_observations

FLUIDS = EPISODE % 3  # 0, 1, 2 and 0 again.
PRESSOR = np.array(["no", "yes"])[STEP % 2]
ROLES = {name: value for name, value in MAPPING.items() if not name.startswith("action")}


def table(**changed) -> dict:
    both = {"fluids": FLUIDS.tolist(), "pressor": PRESSOR.tolist()}
    return columns() | both | changed


def read(tmp_path: Path, said: dict, **entries) -> Dataset:
    path = write_csv(tmp_path / "log.csv", said)
    return load(path, mapping_of(ROLES | {"actions": ["fluids", "pressor"]} | entries))


def refusal(tmp_path: Path, said: dict, **entries) -> str:
    with pytest.raises(DataError) as caught:
        read(tmp_path, said, **entries)
    return str(caught.value)


def told(dataset: Dataset) -> list[tuple[str, ...]]:
    assert isinstance(dataset.actions, Choices)
    return [
        tuple(dataset.actions.told(action).values()) for action in dataset.action.tolist()
    ]


LOGGED = [(str(f), p) for f, p in zip(FLUIDS.tolist(), PRESSOR.tolist())]


def test_columns_become_one_joint_action(tmp_path: Path):
    dataset = read(tmp_path, table())
    assert told(dataset) == LOGGED
    parts = (("0", "1", "2"), ("no", "yes"))
    assert dataset.actions == Choices.joint(("fluids", "pressor"), parts)
    said = {finding.code: finding.message for finding in dataset.notes}
    never = 6 - len(set(LOGGED))
    sizes = "The 6 joint actions are all combinations of 3 of 'fluids' x 2 of 'pressor'; "
    assert f"{sizes}{never} of them never occur in the log." in said["JOINT_ACTIONS"]
    assert never == 1


def test_declared_labels_give_the_order_and_what_never_occurs(tmp_path: Path):
    labels = {"fluids": [3, 2, 1, 0], "pressor": ["yes", "no"]}
    dataset = read(tmp_path, table(), action_labels=labels)
    assert dataset.actions.parts == (("3", "2", "1", "0"), ("yes", "no"))
    assert told(dataset) == LOGGED
    only = read(tmp_path, table(), action_labels={"pressor": ["yes", "no"]})
    assert only.actions.parts == (("0", "1", "2"), ("yes", "no"))


@pytest.mark.parametrize(
    "entries, said",
    [
        ({"action_labels": ["a", "b"]}, "must be a table, column -> list of labels"),
        ({"action_labels": {"fluid": ["0"]}}, "Did you mean 'fluids'?"),
        ({"action_labels": {"fluids": ["0", "1"]}}, "has '2'"),
        ({"action": "act"}, "both action and actions"),
        ({"actions": ["fluids", "presor"]}, "Did you mean 'pressor'?"),
        ({"valid_actions": ["x", "y", "p"]}, "each of the 6 actions, but has 3"),
    ],
)
def test_what_does_not_fit_is_refused(entries: dict, said: str, tmp_path: Path):
    assert said in refusal(tmp_path, table(), **entries)


def test_a_table_of_labels_is_not_for_one_choice(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", columns())
    mapping = mapping_of(ROLES | {"action": "act", "action_labels": {"act": ["low"]}})
    with pytest.raises(DataError, match="must be a list of labels"):
        load(path, mapping)


def test_a_choice_that_is_missing_is_named(tmp_path: Path):
    gone = [*PRESSOR.tolist()]
    gone[1] = ""
    said = refusal(tmp_path, table(pressor=gone))
    assert "'pressor'" in said and "first in row 1" in said


def test_too_many_combinations_are_refused_with_the_way_out(tmp_path: Path):
    labels = {"fluids": [*range(101)], "pressor": ["no", "yes", *map(str, range(98))]}
    said = refusal(tmp_path, table(), action_labels=labels)
    assert f"At most {MAX_ACTIONS:,} joint actions" in said
    assert "10,100: 101 of 'fluids' x 100 of 'pressor'" in said and "fewer levels" in said


def test_flags_of_each_choice_allow_what_all_parts_allow(tmp_path: Path):
    fluids = np.arange(SIZE)[:, None] % 3 != np.array([1, 2, 0])
    pressor = np.stack([np.ones(SIZE, bool), STEP % 2 == 1], axis=1)
    pressor[:, 0] = STEP % 2 == 0
    flags = np.concatenate([fluids, pressor], axis=1)
    names = ["f0", "f1", "f2", "no_ok", "yes_ok"]
    said = table() | {name: flags[:, i].tolist() for i, name in enumerate(names)}
    dataset = read(tmp_path, said, valid_actions=names)
    expected = fluids[:, :, None] & pressor[:, None, :]
    np.testing.assert_array_equal(dataset.valid_actions, expected.reshape(SIZE, 6))
    # New rows of a policy are read the same way.
    new = load_observations(
        tmp_path / "log.csv",
        mapping_of(ROLES | {"actions": ["fluids", "pressor"], "valid_actions": names}),
        feature_names=dataset.feature_names,
        choices=dataset.actions.sizes,
    )
    np.testing.assert_array_equal(new.valid_actions, dataset.valid_actions)


def test_an_array_of_whole_numbers_is_several_choices(tmp_path: Path):
    both = np.stack([FLUIDS, STEP % 2], axis=1)
    path = tmp_path / "log.npz"
    np.savez(path, **(arrays() | {"action": both}))
    dataset = load(path, mapping_of({"preset": "plain", "actions": ["action"]}))
    assert dataset.actions.names == ("a0", "a1")
    assert told(dataset) == [(str(f), str(s % 2)) for f, s in zip(FLUIDS, STEP)]


def test_what_is_written_is_read_again(tmp_path: Path):
    actions = Choices.joint(("fluids", "pressor"), (("0", "1", "2"), ("no", "yes")))
    valid = np.random.default_rng(0).uniform(size=(SIZE, 6)) < 0.7
    action = actions.combined(np.stack([FLUIDS, STEP % 2], axis=1))
    dataset = in_memory(actions=actions, action=action, valid_actions=valid)
    write_table(dataset, tmp_path / "log.parquet")
    again = load(tmp_path / "log.parquet")
    assert again.actions == actions and again.content_hash() == dataset.content_hash()
    np.testing.assert_array_equal(again.action, action)
