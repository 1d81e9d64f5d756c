"""Order, final rows and ends, each from a table written by hand."""

from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import EPISODE, LAST, MAPPING, SIZE, TERMINATED, check, columns
from sources.test_tables import write_csv

from stitchrl.dataset import Dataset
from stitchrl.findings import DataError, Finding
from stitchrl.sources import load
from stitchrl.sources.mapping import mapping_of
from stitchrl.validation import validate


def read(tmp_path: Path, table: dict, **entries) -> Dataset:
    given = {k: v for k, v in (MAPPING | entries).items() if v is not None}
    return load(write_csv(tmp_path / "log.csv", table), mapping_of(given))


def refusal(tmp_path: Path, table: dict, **entries) -> DataError:
    with pytest.raises(DataError) as caught:
        read(tmp_path, table, **entries)
    return caught.value


def reordered(order) -> dict[str, list]:
    return {
        name: [values[row] for row in order]
        for name, values in columns(with_final=True).items()
    }


def noted(code: str, dataset: Dataset) -> Finding:
    return next(finding for finding in dataset.notes if finding.code == code)


def test_sorting(tmp_path: Path):
    order = np.random.default_rng(0).permutation(SIZE + 2)
    dataset = read(tmp_path, reordered(order), sort=True, final_rows=True)
    check(dataset, knows_final=True)
    moved = np.count_nonzero(np.argsort(order) != np.arange(SIZE + 2))
    assert noted("SORTED", dataset).count == moved
    assert "'stay' and 'bloc'" in noted("SORTED", dataset).message
    assert dataset.row is not None
    decisions = np.array(columns(with_final=True)["act"]) != None  # noqa: E711
    np.testing.assert_array_equal(dataset.row, np.argsort(order)[decisions])


def test_sorting_what_is_sorted_is_not_counted(tmp_path: Path):
    dataset = read(tmp_path, columns(), sort=True)
    assert "SORTED" not in [finding.code for finding in dataset.notes]


def test_episodes_keep_the_order_of_the_file(tmp_path: Path):
    order = [8, 9, 0, 1, 2, 3, 4, 5, 6, 7]
    table = {name: [values[row] for row in order] for name, values in columns().items()}
    dataset = read(tmp_path, table)
    assert dataset.episode_id.tolist() == [3, 0, 1, 2]
    assert dataset.observation[:3, 0].tolist() == [3000, 3001, 0]


def test_an_interrupted_episode(tmp_path: Path):
    table = reordered([0, 1, 3, 4, 2, 5, 6, 7, 8, 9, 10, 11])
    error = refusal(tmp_path, table, final_rows=True)
    assert error.findings[0].code == "EPISODE_SPLIT"
    assert "'stay' 0 starts again at row 4" in str(error)
    assert "sort = true" in str(error)


def test_without_an_episode_column_flags_end_them(tmp_path: Path):
    table = columns(with_final=True)
    check(read(tmp_path, table, episode=None, final_rows=True), knows_final=True)
    table = columns()
    check(read(tmp_path, table, episode=None), knows_final=False)


def test_one_flag_for_both_ends(tmp_path: Path):
    table = columns() | {"end": [int(last) for last in LAST]}
    for episode in ("stay", None):
        entries = {"truncated": None, "episode_end": "end", "episode": episode}
        check(read(tmp_path, table, **entries), knows_final=False)


def test_negated_flags(tmp_path: Path):
    table = columns()
    table["alive"] = [not dead for dead in table.pop("dead")]
    check(read(tmp_path, table, terminated="not alive"), knows_final=False)


def test_ends_without_flags_are_taken_as_cuts_and_counted(tmp_path: Path):
    dataset = read(tmp_path, columns(), terminated=None, truncated=None)
    assert not dataset.terminated.any()
    np.testing.assert_array_equal(dataset.truncated, LAST)
    finding = noted("LAST_ROW_TRUNCATED", dataset)
    assert (finding.severity, finding.count) == ("warning", 4)
    assert 'terminated = "last_row"' in finding.remedy


def test_only_some_ends_are_flagged(tmp_path: Path):
    dataset = read(tmp_path, columns(), truncated=None)
    check(dataset, knows_final=False)
    assert noted("LAST_ROW_TRUNCATED", dataset).rows == (3, 7)


def test_a_flag_that_is_never_raised_is_not_explained_away(tmp_path: Path):
    table = columns() | {"dead": [0] * SIZE}
    dataset = read(tmp_path, table, truncated=None)
    assert not dataset.truncated.any()
    assert "NO_END" in [finding.code for finding in validate(dataset)]
    dataset = read(tmp_path, table, truncated="last_row")
    np.testing.assert_array_equal(dataset.truncated, LAST)
    assert "NO_END" not in [finding.code for finding in validate(dataset)]


def test_an_open_episode_where_cuts_are_flagged(tmp_path: Path):
    table = columns()
    table["cut"][3] = False
    dataset = read(tmp_path, table)
    opened = [found for found in validate(dataset) if found.code == "EPISODE_OPEN"]
    assert opened[0].rows == (3,)


def test_words_for_ends(tmp_path: Path):
    entries = {"terminated": "last_row", "truncated": None}
    np.testing.assert_array_equal(read(tmp_path, columns(), **entries).terminated, LAST)
    entries = {"terminated": "every_row", "truncated": None, "episode": None, "step": None}
    rounds = read(tmp_path, columns(), **entries)
    assert rounds.terminated.all() and rounds.episodes == SIZE
    error = refusal(tmp_path, columns(), terminated="last_row", episode=None)
    assert 'terminated = "last_row"' in str(error)
    assert 'Write episode = "COLUMN"' in str(error)


def test_empty_flags_are_counted(tmp_path: Path):
    table = columns()
    table["dead"] = [dead or "" for dead in table["dead"]]
    dataset = read(tmp_path, table)
    check(dataset, knows_final=False)
    assert noted("FLAG_MISSING", dataset).count == SIZE - np.count_nonzero(TERMINATED)


def test_flags_on_final_rows_count_for_the_decision_before(tmp_path: Path):
    table = columns(with_final=True)
    table["cut"] = [act is None for act in table["act"]]
    for episode in ("stay", None):
        dataset = read(tmp_path, table, final_rows=True, episode=episode)
        check(dataset, knows_final=True)


def test_an_end_told_after_the_last_decision(tmp_path: Path):
    table = columns(with_final=True)
    table["dead"] = [row == 4 or dead for row, dead in enumerate(table["dead"])]
    table["cut"] = [False] * len(table["act"])
    dataset = read(tmp_path, table, final_rows=True)
    assert np.flatnonzero(dataset.terminated).tolist() == [2, 3, 9]
    assert np.flatnonzero(dataset.truncated).tolist() == [7]


def test_final_rows_are_cuts_without_any_flag(tmp_path: Path):
    table = columns(with_final=True)
    dataset = read(tmp_path, table, final_rows=True, truncated=None)
    check(dataset, knows_final=True)
    assert "LAST_ROW_TRUNCATED" not in [finding.code for finding in dataset.notes]


def test_the_observation_after_a_terminated_decision_is_not_kept(tmp_path: Path):
    table = columns(with_final=True)
    table["dead"] = [row == 3 or dead for row, dead in enumerate(table["dead"])]
    dataset = read(tmp_path, table, final_rows=True)
    assert np.isnan(dataset.final_observation[1]).all()
    assert not np.isnan(dataset.final_observation[2]).any()


@pytest.mark.parametrize("row", [0, 5, 6])
def test_rows_without_a_decision_elsewhere(row: int, tmp_path: Path):
    table = columns(with_final=True)
    table["act"][row] = None
    error = refusal(tmp_path, table, final_rows=True)
    assert error.findings[0].code == "FINAL_ROW"
    assert f"but row {row} does not" in str(error)


def test_rows_without_a_decision_that_nobody_declared(tmp_path: Path):
    error = refusal(tmp_path, columns(with_final=True))
    assert error.findings[0].code == "ACTION_MISSING"
    assert error.findings[0].rows == (4, 9)
    assert "final_rows = true" in str(error)


def test_only_rows_without_decisions(tmp_path: Path):
    table = columns() | {"act": [None] * SIZE}
    error = refusal(tmp_path, table, final_rows=True)
    assert error.findings[0].code in ("EMPTY", "FINAL_ROW")


def test_episodes_without_a_name(tmp_path: Path):
    table = columns()
    table["stay"][6] = ""
    error = refusal(tmp_path, table)
    assert error.findings[0].code == "ID_MISSING"
    assert "first in row 6" in str(error)


def test_ids_keep_their_leading_zeros_and_numbers_stay_numbers(tmp_path: Path):
    table = columns()
    table["stay"] = [f"{stay:03}" for stay in table["stay"]]
    assert read(tmp_path, table).episode_id.tolist() == ["000", "001", "002", "003"]
    table["stay"] = [f"{stay}.0" for stay in EPISODE]
    assert read(tmp_path, table).episode_id.tolist() == [0, 1, 2, 3]
    table["stay"] = [2**70 + stay for stay in EPISODE.tolist()]
    assert read(tmp_path, table).episode_id.tolist() == [str(2**70 + i) for i in range(4)]


def test_steps_must_be_whole(tmp_path: Path):
    table = columns()
    table["bloc"][7] = 1.5
    error = refusal(tmp_path, table)
    assert "Column 'bloc'" in str(error) and "row 7 has 1.5" in str(error)


def test_groups(tmp_path: Path):
    table = columns()
    table["patient"] = ["zoe" if stay % 2 else "ann" for stay in table["stay"]]
    dataset = read(tmp_path, table, group="patient")
    assert dataset.group_id.tolist() == ["ann", "zoe"]
    np.testing.assert_array_equal(dataset.group, EPISODE % 2)


def test_sorting_needs_an_episode(tmp_path: Path):
    error = refusal(tmp_path, columns(), sort=True, episode=None)
    assert 'Write episode = "COLUMN"' in str(error)


def test_one_episode_and_equal_rewards_are_read_and_then_warned_about(tmp_path: Path):
    table = {name: values[4:8] for name, values in columns().items()} | {"pay": [1] * 4}
    codes = [finding.code for finding in validate(read(tmp_path, table))]
    assert {"ONE_EPISODE", "REWARD_CONSTANT"} <= set(codes)
