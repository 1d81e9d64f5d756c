"""Parquet and CSV: values, types and broken files."""

import csv
import datetime
import decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources.coded_log import MAPPING, SIZE, TRUNCATED, check, columns

from stitchrl.dataset import Choices, Dataset
from stitchrl.findings import DataError
from stitchrl.sources import load
from stitchrl.sources.mapping import mapping_of


def write_csv(path: Path, table: dict[str, list], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(table)
        writer.writerows(zip(*table.values()))
    return path


def write_parquet(path: Path, table: dict) -> Path:
    pq.write_table(pa.table(table), path, write_page_checksum=True)
    return path


def refusal(path: Path, **entries) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path, mapping_of(MAPPING | entries))
    return caught.value


def codes(dataset: Dataset) -> list[str]:
    return [finding.code for finding in dataset.notes]


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_values(write, final: bool, tmp_path: Path):
    path = write(tmp_path / f"log.{write.__name__[6:]}", columns(with_final=final))
    dataset = load(path, mapping_of(MAPPING | {"final_rows": final}))
    check(dataset, knows_final=final)
    assert dataset.feature_names == ("x", "y")
    assert dataset.actions == Choices(("high", "low", "wait"))
    assert dataset.episode_id.tolist() == [0, 1, 2, 3]
    expected = np.arange(SIZE)
    if final:  # Source rows skip those without a decision.
        expected += np.cumsum(np.roll(TRUNCATED, 1))
    np.testing.assert_array_equal(dataset.row, expected)
    counted = ["FINAL_ROWS"] if final else []
    assert codes(dataset) == [*counted, "ACTIONS_FROM_LOG"]
    assert [finding.rows for finding in dataset.notes[:-1]] == [(4, 9)] * final


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters(delimiter: str, tmp_path: Path):
    path = write_csv(tmp_path / "log.tsv", columns(), delimiter)
    check(load(path, mapping_of(MAPPING)), knows_final=False)


def test_marks_quotes_and_line_ends(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", columns())
    text = "\ufeff" + path.read_text().replace("wait", '"wait, ""then"" see"')
    path.write_text(text, newline="\r\n")
    dataset = load(path, mapping_of(MAPPING))
    check(dataset, knows_final=False)
    assert dataset.actions == Choices(("high", "low", 'wait, "then" see'))


def test_names_that_look_like_patterns_are_files(tmp_path: Path):
    write_csv(tmp_path / "other.csv", {"a": [1]})
    path = write_csv(tmp_path / "log[1]'s.csv", columns())
    check(load(path, mapping_of(MAPPING)), knows_final=False)


def test_types_of_parquet(tmp_path: Path):
    table = columns()
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    clock = [start + datetime.timedelta(seconds=4 * row) for row in range(SIZE)]
    reward = [decimal.Decimal(f"{value:.2f}") for value in table["pay"]]
    typed = pa.table(table | {"when": clock, "pay": reward})
    stay = typed["stay"].cast(pa.string()).dictionary_encode()
    typed = typed.set_column(0, "stay", stay)
    typed = typed.set_column(2, "x", typed["x"].cast(pa.float32()))
    typed = typed.set_column(6, "dead", typed["dead"].cast(pa.int8()))
    pq.write_table(typed, tmp_path / "log.parquet")
    dataset = load(tmp_path / "log.parquet", mapping_of(MAPPING | {"time": "when"}))
    check(dataset, knows_final=False)
    np.testing.assert_array_equal(dataset.time, start.timestamp() + 4 * np.arange(SIZE))


def test_dates_in_csv_and_ids_that_look_like_dates(tmp_path: Path):
    table = columns()
    days = [f"2020-01-{1 + episode:02}" for episode in table["stay"]]
    table |= {"stay": days, "when": [f"{day} 00:00:0{row}" for row, day in enumerate(days)]}
    path = write_csv(tmp_path / "log.csv", table)
    dataset = load(path, mapping_of(MAPPING | {"time": "when"}))
    check(dataset, knows_final=False)
    assert dataset.episode_id.tolist() == [f"2020-01-0{day}" for day in (1, 2, 3, 4)]
    assert dataset.time is not None
    day = 86_400 * np.diff(dataset.episode)
    np.testing.assert_array_equal(np.diff(dataset.time), day + 1)


def test_lists_as_vectors(tmp_path: Path):
    table = columns(with_final=True)
    pairs = [[x, y] for x, y in zip(table.pop("x"), table.pop("y"))]
    fixed = pa.array(pairs, pa.list_(pa.float64(), 2))
    for vectors in (pairs, fixed):
        path = write_parquet(tmp_path / "log.parquet", table | {"obs": vectors})
        entries = {"observation": ["obs"], "final_rows": True}
        dataset = load(path, mapping_of(MAPPING | entries))
        check(dataset, knows_final=True)
        assert dataset.feature_names == ("x0", "x1")


def test_lists_of_amounts_with_final_rows(tmp_path: Path):
    table = columns(with_final=True)
    lengths = [None if act is None else [len(act) / 8, 0.5] for act in table["act"]]
    path = write_parquet(tmp_path / "log.parquet", table | {"act": lengths})
    dataset = load(path, mapping_of(MAPPING | {"final_rows": True, "action_high": 1}))
    given = [pair for pair in lengths if pair is not None]
    np.testing.assert_array_equal(dataset.action, given)
    assert dataset.final_observation[1].tolist() == [1001, -1001.5]


def test_lists_of_different_lengths(tmp_path: Path):
    vectors = [[1.0, 2.0]] * SIZE
    vectors[7] = [1.0]
    path = write_parquet(tmp_path / "log.parquet", columns() | {"obs": vectors})
    error = refusal(path, observation=["obs"])
    assert "'obs'" in str(error) and "must all hold 2 numbers" in str(error)
    assert "row 7 has 1 entries" in str(error)


def test_a_type_without_meaning(tmp_path: Path):
    path = write_parquet(tmp_path / "log.parquet", columns() | {"s": [{"a": 1}] * SIZE})
    error = refusal(path, observation=["s"])
    assert error.findings[0].code == "TYPE"
    assert "Column 's'" in str(error) and "STRUCT" in str(error)


@pytest.mark.parametrize("keep", [4, 100, 0.5, 0.99])
def test_truncated_parquet(keep: float, tmp_path: Path):
    path = write_parquet(tmp_path / "log.parquet", columns())
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    error = refusal(path)
    assert error.findings[0].code == "UNREADABLE"
    assert str(path) in str(error) and "cut short" in str(error)
    assert "compare its size with the original" in str(error)


def test_flipped_bits_in_parquet_are_noticed(tmp_path: Path):
    path = tmp_path / "log.parquet"
    table = pa.table({"x": np.arange(1000.0)} | all_rows(1000))
    plain = {"use_dictionary": False, "compression": "none"}
    pq.write_table(table, path, write_page_checksum=True, **plain)
    content = bytearray(path.read_bytes())
    where = content.index(np.arange(500.0, 504.0).tobytes())
    content[where] ^= 1
    path.write_bytes(content)
    error = refusal(path, observation=["x"])
    assert error.findings[0].code == "UNREADABLE" and str(path) in str(error)


def all_rows(count: int) -> dict[str, list]:
    return {
        "stay": list(range(count)),
        "bloc": [0] * count,
        "act": ["a", "b"] * (count // 2),
        "pay": [0.5] * count,
        "dead": [True] * count,
        "cut": [False] * count,
        "p": [0.5] * count,
    }


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda text: text[: text.rindex(",")], 11),
        (lambda text: text.replace("1000.0,", "", 1), 5),
        (lambda text: text.replace("1000.0,", "1000.0,8,", 1), 5),
        (lambda text: text.replace("-1000.5", "-1000,5", 1), 5),
    ],
)
def test_lines_with_too_few_or_many_fields(change, line: int, tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", columns())
    path.write_bytes(change(path.read_bytes().decode()).encode())
    error = refusal(path)
    assert error.findings[0].code == "UNREADABLE"
    assert f"'{path}' cannot be read as CSV" in str(error)
    assert f"line {line} has " in str(error) and " fields instead of 9)" in str(error)
    assert "strict_mode" not in str(error) and "Original Line" not in str(error)


def test_a_last_line_that_may_be_cut(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", columns())
    path.write_bytes(path.read_bytes().rstrip())
    dataset = load(path, mapping_of(MAPPING))
    check(dataset, knows_final=False)
    assert "NO_FINAL_NEWLINE" in codes(dataset)
    assert "its last line may be cut short" in str(dataset.notes[0])


def test_open_quotes_and_other_alphabets(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", columns())
    text = path.read_text()
    path.write_text(text.replace("wait", '"wait', 1))
    assert refusal(path).findings[0].code == "UNREADABLE"
    assert "has a quotation mark that is not closed" in str(refusal(path))
    path.write_bytes(text.replace("wait", "wärt").encode("latin1"))
    assert "utf-8" in str(refusal(path)).lower()
    path.write_bytes(text.replace("act", "äct").encode("latin1"))
    assert "not text in UTF-8" in str(refusal(path))
    path.write_bytes(text.encode("utf-16"))
    assert refusal(path).findings[0].code == "WRONG_FORMAT"


def test_columns_called_the_same(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text("x,act,x\n1,2,3\n")
    error = refusal(path)
    assert error.findings[0].code == "COLUMN_TWICE"
    assert f"'{path}' has several columns called 'x'" in str(error)


def test_no_rows(tmp_path: Path):
    empty = {name: values[:0] for name, values in columns().items()}
    for path in (
        write_csv(tmp_path / "log.csv", empty),
        write_parquet(tmp_path / "log.parquet", empty),
    ):
        error = refusal(path)
        assert error.findings[0].code == "EMPTY"
        assert f"'{path}' has no rows" in str(error)
        assert "any filter in the query" in str(error)


def test_text_where_numbers_belong(tmp_path: Path):
    table = columns()
    table["pay"] = [*table["pay"][:6], "n/a", "0,5", *table["pay"][8:]]
    path = write_csv(tmp_path / "log.csv", table)
    error = refusal(path)
    assert f"Column 'pay' of '{path}' must hold numbers, but row 7 has '0,5'" in str(error)
    assert error.findings[0].rows == (7,)


def test_words_for_missing_numbers(tmp_path: Path):
    table = columns()
    table["pay"] = ["NA", "", "NaN", "null", "None", "n/a", *table["pay"][6:]]
    path = write_csv(tmp_path / "log.csv", table)
    reward = load(path, mapping_of(MAPPING)).reward
    np.testing.assert_array_equal(np.isnan(reward), np.arange(SIZE) < 6)
    np.testing.assert_array_equal(reward[6:], table["pay"][6:])


@pytest.mark.parametrize("bad", ["2024-13-45 99:00", "soon"])
def test_one_bad_date_is_named_and_not_the_first_good_one(bad: str, tmp_path: Path):
    days = [f"2024-07-{row + 1:02} 20:00" for row in range(2 * SIZE)]
    table = {name: values * 2 for name, values in columns().items()}
    table |= {"stay": list(range(2 * SIZE)), "when": [*days[:7], bad, *days[8:]]}
    path = write_csv(tmp_path / "log.csv", table)
    error = refusal(path, time="when")
    assert f"Column 'when' of '{path}' must hold dates" in str(error)
    assert f"row 7 has '{bad}'" in str(error)
    assert (error.findings[0].code, error.findings[0].rows) == ("NOT_A_DATE", (7,))
