"""Observations: categories, gaps and one-hot states."""

from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import EPISODE, MAPPING, SIZE, STEP, columns
from sources.test_tables import write_csv

from stitchrl.dataset import Dataset
from stitchrl.findings import DataError, Finding
from stitchrl.sources import load
from stitchrl.sources.mapping import mapping_of
from stitchrl.validation import errors, validate

SEX = ["f", "m", "f", "f"]


def read(tmp_path: Path, table: dict, **entries) -> Dataset:
    path = write_csv(tmp_path / "log.csv", table)
    given = {k: v for k, v in (MAPPING | entries).items() if v is not None}
    return load(path, mapping_of(given))


def refusal(tmp_path: Path, table: dict, **entries) -> DataError:
    with pytest.raises(DataError) as caught:
        read(tmp_path, table, **entries)
    return caught.value


def with_sex(*, with_final: bool = False) -> dict[str, list]:
    table = columns(with_final=with_final)
    return table | {"sex": [SEX[stay] for stay in table["stay"]]}


def column(dataset: Dataset, name: str) -> np.ndarray:
    return dataset.observation[:, dataset.feature_names.index(name)]


def noted(code: str, dataset: Dataset) -> Finding:
    return next(finding for finding in dataset.notes if finding.code == code)


def test_declared_categories(tmp_path: Path):
    entries = {"observation": ["x", "sex"], "categories": {"sex": ["m", "d", "f"]}}
    dataset = read(tmp_path, with_sex(with_final=True), final_rows=True, **entries)
    assert dataset.feature_names == ("x", "sex=m", "sex=d", "sex=f")
    np.testing.assert_array_equal(column(dataset, "sex=m"), EPISODE == 1)
    np.testing.assert_array_equal(column(dataset, "sex=d"), np.zeros(SIZE))
    np.testing.assert_array_equal(column(dataset, "sex=f"), EPISODE != 1)
    assert dataset.final_observation[1].tolist() == [1001, 1, 0, 0]


def test_numbers_as_categories(tmp_path: Path):
    entries = {"observation": ["bloc"], "categories": {"bloc": [0, 1, 2, 3]}}
    dataset = read(tmp_path, columns(), **entries)
    assert dataset.feature_names == ("bloc=0", "bloc=1", "bloc=2", "bloc=3")
    np.testing.assert_array_equal(dataset.observation.argmax(axis=1), STEP)


def test_categories_of_the_log(tmp_path: Path):
    entries = {"observation": ["x", "sex"], "categories": "auto"}
    dataset = read(tmp_path, with_sex(), **entries)
    assert dataset.feature_names == ("x", "sex=f", "sex=m")
    assert "'sex' became one-hot by the 2 values" in noted("CATEGORIES", dataset).message


def test_undeclared_text(tmp_path: Path):
    error = refusal(tmp_path, with_sex(), observation=["x", "sex"])
    assert error.findings[0].code == "TEXT"
    assert "'sex' of" in str(error) and "is text with 2 values" in str(error)
    assert """Write [categories] 'sex' = ["f", "m"]""" in str(error)


def test_too_many_categories(tmp_path: Path):
    table = {name: values * 6 for name, values in columns().items()}
    table |= {"stay": list(range(60)), "note": [f"text {row}" for row in range(60)]}
    for categories in ("auto", {}, {"note": [str(value) for value in range(51)]}):
        entries = {"observation": ["x", "note"], "categories": categories}
        error = refusal(tmp_path, table, **entries)
        assert error.findings[0].code == "TOO_MANY_CATEGORIES"
        assert "'note'" in str(error) and "at most 50" in str(error)
        assert "Group rare values" in str(error)


def test_values_that_no_category_covers(tmp_path: Path):
    entries = {"observation": ["sex"], "categories": {"sex": ["f"]}}
    dataset = read(tmp_path, with_sex(), **entries)
    np.testing.assert_array_equal(column(dataset, "sex=f"), EPISODE != 1)
    finding = noted("UNKNOWN_CATEGORY", dataset)
    assert finding.rows == (3,) and "such as 'm'" in finding.message


def with_gaps(*, with_final: bool = False) -> dict[str, list]:
    table = with_sex(with_final=with_final)
    table["y"] = ["" if row in (1, 6) else y for row, y in enumerate(table["y"])]
    table["sex"][1] = ""
    return table


GAPS = {"observation": ["x", "y", "sex"], "categories": {"sex": ["f", "m"]}}


def test_gaps_are_refused_unless_declared(tmp_path: Path):
    dataset = read(tmp_path, with_gaps(), **GAPS)
    found = errors(validate(dataset))
    assert [finding.code for finding in found] == ["NONFINITE"] * 3
    assert found[0].rows == (1, 6) and "'y'" in found[0].message
    assert 'missing = "mean"' in found[0].remedy


def test_gaps_to_be_filled_with_the_mean(tmp_path: Path):
    dataset = read(tmp_path, with_gaps(), missing="mean", **GAPS)
    assert dataset.feature_names == ("x", "y", "sex=f", "sex=m")
    assert dataset.may_be_missing == ("y", "sex=f", "sex=m")
    np.testing.assert_array_equal(
        np.isnan(column(dataset, "y")), np.isin(range(10), [1, 6])
    )
    assert errors(validate(dataset)) == ()
    gaps = [finding for finding in dataset.notes if finding.code == "MISSING"]
    assert [finding.rows for finding in gaps] == [(1, 6), (1,)]
    assert "'y' has gaps: filled with the mean" in gaps[0].message


def test_gaps_to_be_flagged(tmp_path: Path):
    table = with_gaps(with_final=True)
    dataset = read(tmp_path, table, missing="flag", final_rows=True, **GAPS)
    flags = ("y is missing", "sex is missing")
    assert dataset.feature_names == ("x", "y", "sex=f", "sex=m", *flags)
    missing = np.isin(range(SIZE), [1, 5])  # Row 6 of the file is the fifth decision.
    np.testing.assert_array_equal(column(dataset, "y is missing"), missing)
    assert dataset.may_be_missing == ("y", "sex=f", "sex=m")
    assert dataset.final_observation[1].tolist() == [1001, -1001.5, 0, 1, 0, 0]


def test_gaps_in_next_observations(tmp_path: Path):
    table = columns()
    table |= {"x2": [x + 1 for x in table["x"]], "y2": [y - 1 for y in table["y"]]}
    table["y2"][3] = ""
    entries = {"next_observation": ["x2", "y2"], "missing": "flag"}
    dataset = read(tmp_path, table, **entries)
    assert dataset.feature_names == ("x", "y", "y is missing")
    np.testing.assert_array_equal(dataset.final_observation[1], [1001, np.nan, 1])
    np.testing.assert_array_equal(dataset.final_observation[2], [2004, -2004.5, 0])


def test_our_own_prefix_is_left_out_of_names(tmp_path: Path):
    table = columns()
    table = {f"observation.{n}" if n in "xy" else n: v for n, v in table.items()}
    dataset = read(tmp_path, table, observation=["observation.*"])
    assert dataset.feature_names == ("x", "y")


def test_states_in_place_of_observations(tmp_path: Path):
    table = columns(with_final=True)
    table["s"] = [3 * stay + bloc for stay, bloc in zip(table["stay"], table["bloc"])]
    entries = {"observation": None, "state_id": "s", "final_rows": True}
    dataset = read(tmp_path, table, **entries)
    assert dataset.state_id is not None and dataset.final_state_id is not None
    np.testing.assert_array_equal(dataset.state_id, 3 * EPISODE + STEP)
    assert dataset.final_state_id.tolist() == [-1, 4, 10, -1]
    assert dataset.state_count == 11
    np.testing.assert_array_equal(dataset.observation, np.eye(11)[dataset.state_id])
    assert np.isnan(dataset.final_observation[[0, 3]]).all()
    np.testing.assert_array_equal(dataset.final_observation[[1, 2]], np.eye(11)[[4, 10]])


def test_state_ids_beside_features(tmp_path: Path):
    table = columns() | {"s": list(range(SIZE))}
    dataset = read(tmp_path, table, state_id="s", state_count=20)
    assert (dataset.feature_names, dataset.state_count) == (("x", "y"), 20)
    error = refusal(tmp_path, table, state_id="s", state_count=5)
    assert error.findings[0].rows == (5, 6, 7, 8, 9)
    assert "whole numbers from 0 to 4, but row 5 has 5" in str(error)
    table["s"][2] = -1
    assert "row 2 has -1" in str(refusal(tmp_path, table, state_id="s"))
    table["s"][2] = ""
    assert "row 2 has nan" in str(refusal(tmp_path, table, state_id="s"))


def test_too_many_states_for_one_hot(tmp_path: Path):
    table = columns() | {"s": [1000, *[0] * 9]}
    error = refusal(tmp_path, table, observation=None, state_id="s")
    assert "has 1,001 states and no observation columns" in str(error)


def test_two_columns_for_one_name(tmp_path: Path):
    table = columns() | {"observation.x": [0] * SIZE}
    error = refusal(tmp_path, table, observation=["observation.x", "x"])
    assert error.findings[0].code == "COLUMN_TWICE"
    assert "'observation.x' and 'x' both make an observation called 'x'" in str(error)


@pytest.mark.parametrize(
    ("good", "bad", "code", "kind"),
    [
        ([f"{98 + i / 2}" for i in range(SIZE)], "98,5", "NOT_A_NUMBER", "numbers"),
        (
            [f"2024-07-{i + 1:02d}" for i in range(SIZE)],
            "2024-13-45",
            "NOT_A_DATE",
            "dates",
        ),
        ([f"{i + 1}.07.2024 20:00" for i in range(SIZE)], "soon", "NOT_A_DATE", "dates"),
    ],
)
def test_one_bad_value_does_not_make_text_of_a_column(tmp_path, good, bad, code, kind):
    rows = 2 * SIZE
    table = {name: values * 2 for name, values in columns().items()}
    table["stay"] = list(range(rows))
    table["x"] = good + good[:-1] + [bad]
    (found,) = refusal(tmp_path, table).findings
    assert (found.code, found.rows) == (code, (rows - 1,))
    assert f"must hold {kind}, as most of its values are, but row {rows - 1} has" in str(
        found
    )
    assert f"'{bad}'" in found.message
