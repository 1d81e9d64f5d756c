"""A reward that is written on the row after the last decision is kept, and counted."""

from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import CUT, EPISODE, LAST, STEP, columns, reward
from sources.test_episodes import noted, read


def late(value: object) -> dict[str, list]:
    table = columns(with_final=True)
    after = [row for row, act in enumerate(table["act"]) if act is None]
    for row in after:
        table["pay"][row] = value
    return table


def test_it_is_added_to_the_decision_before(tmp_path: Path):
    dataset = read(tmp_path, late(7.5), final_rows=True)
    expected = reward(EPISODE, STEP) + 7.5 * (LAST & CUT[EPISODE])
    np.testing.assert_allclose(dataset.reward, expected)
    finding = noted("FINAL_REWARD", dataset)
    assert finding.count == CUT.sum()
    assert "'pay'" in finding.message and "one row" in finding.remedy


@pytest.mark.parametrize("nothing", [None, 0.0])
def test_where_there_is_none_nothing_is_said(tmp_path: Path, nothing):
    dataset = read(tmp_path, late(nothing), final_rows=True)
    np.testing.assert_allclose(dataset.reward, reward(EPISODE, STEP))
    assert "FINAL_REWARD" not in [finding.code for finding in dataset.notes]


def test_further_rewards_are_kept_too(tmp_path: Path):
    table = late(None)
    table["cost"] = [1.0] * len(table["pay"])
    dataset = read(tmp_path, table, final_rows=True, rewards={"cost": "cost"})
    expected = 1.0 + (LAST & CUT[EPISODE])
    np.testing.assert_allclose(dataset.rewards["cost"], expected)
    assert "'cost'" in noted("FINAL_REWARD", dataset).message


def test_rows_that_a_column_marks_as_final_hold_padding(tmp_path: Path):
    table = late(7.5)
    table["over"] = [act is None for act in table["act"]]
    table["act"] = [act or "wait" for act in table["act"]]
    dataset = read(tmp_path, table, final_rows="over")
    np.testing.assert_allclose(dataset.reward, reward(EPISODE, STEP))


def test_empty_flags_are_told_by_rows_of_the_file(tmp_path: Path):
    table = columns()
    order = np.arange(len(table["pay"]))[::-1]
    table = {name: [values[row] for row in order] for name, values in table.items()}
    table["dead"] = [None if row == 2 else dead for row, dead in enumerate(table["dead"])]
    finding = noted("FLAG_MISSING", read(tmp_path, table, sort=True))
    assert finding.rows == (2,)
