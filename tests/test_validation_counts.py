"""Too few groups to judge by, too few actions, too few rows of one; rows of the source."""

import numpy as np
import pytest
from test_validation import LENGTH, SIZE, at, log, the

from stitchrl.findings import Severity
from stitchrl.ope.refusals import FEWEST_GROUPS
from stitchrl.splits import split
from stitchrl.validation import validate


@pytest.mark.parametrize("groups", range(145, 151))
def test_few_groups_are_those_with_which_the_certification_part_is_too_small(groups: int):
    dataset = log(group=np.arange(SIZE) // LENGTH % groups)
    is_small = split(dataset, seed=0).certification.groups < FEWEST_GROUPS
    codes = [finding.code for finding in validate(dataset)]
    assert codes == (["FEW_GROUPS"] if is_small else [])


def test_one_action():
    finding = the("ONE_ACTION", log(action=np.ones(SIZE, int)))
    assert finding.severity is Severity.ERROR
    assert "'low' was taken in all 450 rows" in finding.message
    assert "nothing to learn or compare" in finding.message


def test_rare_actions():
    action = np.arange(SIZE) % 2
    action[[7, 70]] = 2
    finding = the("RARE_ACTION", log(action=action))
    assert finding.severity is Severity.WARNING
    assert (finding.count, finding.rows) == (2, (7, 70))
    assert "1 of 3 actions occur in fewer than 5 rows: 'high' 2 (first in row 7)." in (
        finding.message
    )
    action[:5] = 2
    assert validate(log(action=action)) == ()


def test_rows_are_those_of_the_source():
    rows = np.arange(SIZE)[::-1] * 10
    finding = the("NONFINITE", log(reward=at(7, np.nan, np.full(SIZE, 0.5)), row=rows))
    assert finding.rows == (rows[7],)
    action = np.arange(SIZE) % 2
    action[7] = 2
    finding = the("RARE_ACTION", log(action=action, row=rows))
    assert finding.rows == (rows[7],) and f"first in row {rows[7]:,}" in finding.message
