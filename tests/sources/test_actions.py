"""Actions: labels, bounds, valid actions, propensities and other policies."""

from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import EPISODE, MAPPING, SIZE, STEP, amount, check, columns
from sources.test_tables import write_csv, write_parquet

from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.findings import DataError, Finding
from stitchrl.sources import load, load_policy_probabilities
from stitchrl.sources.mapping import mapping_of


def read(tmp_path: Path, table: dict, **entries) -> Dataset:
    path = write_csv(tmp_path / "log.csv", table)
    return load(path, mapping_of(MAPPING | entries))


def refusal(tmp_path: Path, table: dict, **entries) -> DataError:
    with pytest.raises(DataError) as caught:
        read(tmp_path, table, **entries)
    return caught.value


def noted(code: str, dataset: Dataset) -> Finding:
    return next(finding for finding in dataset.notes if finding.code == code)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([10, 9, 100], ("9", "10", "100")),
        (["10.0", "9.0", "100.0"], ("9", "10", "100")),
        (["b", "a", "c"], ("a", "b", "c")),
        (["1", "two", "03"], ("03", "1", "two")),
        ([True, False, True], ("False", "True")),
        ([0, 7, 0], ("0", "7")),
    ],
)
def test_labels_are_the_sorted_values(values: list, labels: tuple, tmp_path: Path):
    table = columns() | {"act": [values[row % 3] for row in range(SIZE)]}
    dataset = read(tmp_path, table)
    assert dataset.actions == Choices(labels)
    spelled = [str(value).removesuffix(".0") for value in table["act"]]
    assert [labels[action] for action in dataset.action] == spelled
    said = str(noted("ACTIONS_FROM_LOG", dataset))
    counted = ", ".join(f"'{label}' {spelled.count(label)}" for label in labels)
    assert f"The {len(labels)} actions are the values" in said
    assert f"in column 'act': {counted}." in said


def test_of_many_labels_the_commonest_are_listed(tmp_path: Path):
    table = {name: values * 3 for name, values in columns().items()}
    table["stay"] = list(range(3 * SIZE))
    table["act"] = [f"a{row:02d}" for row in range(3 * SIZE - 1)] + ["a20"]
    dataset = read(tmp_path, table)
    said = str(noted("ACTIONS_FROM_LOG", dataset))
    assert "The 29 actions are the values found in column 'act': 'a20' 2, 'a00' 1" in said
    assert "'a10' 1, …." in said and "a11" not in said


def test_declared_labels(tmp_path: Path):
    labels = ["wait", "stop", "low", "high"]
    dataset = read(tmp_path, columns(), action_labels=labels)
    assert dataset.actions == Choices(tuple(labels))
    assert [labels[action] for action in dataset.action] == columns()["act"]
    numbered = columns() | {"act": STEP.tolist()}
    dataset = read(tmp_path, numbered, action_labels=[3, 2, 1, 0])
    np.testing.assert_array_equal(dataset.action, 3 - STEP)


def test_an_action_that_is_not_declared(tmp_path: Path):
    table = columns()
    table["act"][7] = "hihg"
    labels = ["wait", "low", "high"]
    error = refusal(tmp_path, table, action_labels=labels)
    assert (error.findings[0].code, error.findings[0].rows) == ("ACTION_SET", (7,))
    assert "Actions in column 'act'" in str(error)
    assert "among the 3 in action_labels, but row 7 has 'hihg'" in str(error)
    assert "Did you mean 'high'?" in str(error)
    error = refusal(tmp_path, table, action_labels=["wait", "wait"])
    assert "has an entry twice" in str(error)


def test_more_than_ten_thousand_actions(tmp_path: Path):
    count = 10_001
    table = {"act": range(count), "pay": [0] * count, "x": range(count)}
    entries = {"action": "act", "reward": "pay", "observation": ["x"]}
    path = write_csv(tmp_path / "log.csv", table)
    mapping = mapping_of(entries | {"terminated": "every_row"})
    with pytest.raises(DataError) as caught:
        load(path, mapping)
    error = caught.value
    assert error.findings[0].code == "TOO_MANY_ACTIONS"
    assert "At most 10,000 discrete actions" in str(error) and "10,001" in str(error)
    assert "Group rare actions" in str(error)
    assert 'action = ["act"]' in str(error)


def test_amounts_that_are_read_as_choices(tmp_path: Path):
    table = columns()
    error = refusal(tmp_path, table | {"act": [0.5 + row for row in range(SIZE)]})
    assert "Column 'act'" in str(error) and "row 0 has 0.5" in str(error)
    assert 'action = ["act"], with brackets' in str(error)


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_levels_to_choose_from(write, tmp_path: Path):
    doses = [[0.5, 10.0, 2.0][row % 3] for row in range(SIZE)]
    path = write(tmp_path / f"log.{write.__name__[6:]}", columns() | {"act": doses})
    with pytest.raises(DataError, match="list them in action_labels"):
        load(path, mapping_of(MAPPING))
    mapping = mapping_of(MAPPING | {"action_labels": ["0.5", "2.0", "10.0"]})
    np.testing.assert_array_equal(load(path, mapping).action, [0, 2, 1] * 3 + [0])


def with_amounts() -> dict[str, list]:
    fluid, pressor = amount(EPISODE, STEP).T.tolist()
    return columns() | {"fluid": fluid, "pressor": pressor}


def test_amounts(tmp_path: Path):
    entries = {"action": ["fluid", "pressor"], "action_low": -1, "action_high": [1, 2.5]}
    dataset = read(tmp_path, with_amounts(), **entries)
    check(dataset, knows_final=False, is_discrete=False)
    assert dataset.actions == Bounds(("fluid", "pressor"), (-1.0, -1.0), (1.0, 2.5))
    error = refusal(tmp_path, with_amounts(), **entries | {"action_high": [1.0]})
    assert "action_high" in str(error) and "has 1 entries, but there are 2" in str(error)


def test_bounds_from_the_log_are_counted(tmp_path: Path):
    dataset = read(tmp_path, with_amounts(), action=["fluid"], action_high=1.0)
    assert dataset.actions == Bounds(("fluid",), (0.0,), (1.0,))
    finding = noted("BOUNDS_FROM_LOG", dataset)
    assert "action_low is not declared: taken from the log (0)" in finding.message


def test_missing_amounts(tmp_path: Path):
    table = with_amounts()
    table["pressor"][5] = ""
    error = refusal(tmp_path, table, action=["fluid", "pressor"])
    assert "Column 'pressor'" in str(error) and "first in row 5" in str(error)


def valid_columns(with_final: bool) -> dict[str, list]:
    table = columns(with_final=with_final)
    for index, label in enumerate(("high", "low", "wait")):
        table[f"may.{label}"] = [
            int(label == act or (stay + bloc + index) % 2)
            for act, stay, bloc in zip(table["act"], table["stay"], table["bloc"])
        ]
    return table


def test_valid_actions(tmp_path: Path):
    table = valid_columns(with_final=True)
    given = np.array([table[f"may.{label}"] for label in ("high", "low", "wait")]).T
    is_decision = np.array([act is not None for act in table["act"]])
    dataset = read(tmp_path, table, valid_actions=["may.*"], final_rows=True)
    assert dataset.final_valid_actions is not None
    np.testing.assert_array_equal(dataset.valid_actions, given[is_decision])
    np.testing.assert_array_equal(dataset.final_valid_actions[[1, 2]], given[~is_decision])
    assert dataset.final_valid_actions[[0, 3]].all()
    dataset = read(tmp_path, valid_columns(False), valid_actions=["may.*"])
    assert dataset.final_valid_actions is not None and dataset.final_valid_actions.all()


def test_valid_actions_of_the_wrong_number(tmp_path: Path):
    names = ["may.high", "may.low"]
    error = refusal(tmp_path, valid_columns(False), valid_actions=names)
    assert "one column for each of the 3 actions, but has 2" in str(error)


def test_log_propensities(tmp_path: Path):
    table = columns()
    table["p"] = np.log(table["p"]).tolist()
    dataset = read(tmp_path, table, propensity_is="log_probability")
    assert dataset.propensity is not None
    check(dataset, knows_final=False)


def policy(tmp_path: Path, table: dict, **entries) -> np.ndarray:
    path = write_csv(tmp_path / "log.csv", table)
    return load_policy_probabilities(path, mapping_of(MAPPING | entries))


def test_probabilities_of_another_policy(tmp_path: Path):
    table = columns(with_final=True)
    share = [(10 * stay + bloc) / 100 for stay, bloc in zip(table["stay"], table["bloc"])]
    table |= {"pi.high": share, "pi.low": [1 - p for p in share], "pi.wait": [0] * 12}
    order = np.random.default_rng(0).permutation(12)
    table = {name: [values[row] for row in order] for name, values in table.items()}
    entries = {"sort": True, "final_rows": True}
    given = policy(tmp_path, table, policy_probability=["pi.*"], **entries)
    expected = (10 * EPISODE + STEP) / 100
    zero = np.zeros(SIZE)
    np.testing.assert_allclose(given, np.stack([expected, 1 - expected, zero], axis=1))
    given = policy(tmp_path, table, policy_probability="pi.high", **entries)
    np.testing.assert_allclose(given, expected)
    assert given.dtype == np.float64


def test_what_is_no_probability(tmp_path: Path):
    table = columns() | {"a": [0.5] * 10, "b": [0.5] * 10, "c": [0.0] * 10}
    for wrong, value in (("a", 0.6), ("b", -0.5), ("c", ""), ("c", 1.5)):
        broken = table | {wrong: [*table[wrong][:4], value, *table[wrong][5:]]}
        with pytest.raises(DataError, match="but decision 4 has"):
            policy(tmp_path, broken, policy_probability=["a", "b", "c"])
    with pytest.raises(DataError, match="must have 1 or 3 columns, but has 2"):
        policy(tmp_path, table, policy_probability=["a", "b"])
    with pytest.raises(DataError, match="Write policy_probability"):
        policy(tmp_path, table)
