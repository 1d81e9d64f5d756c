"""Whether a log and a plan fit each other."""

import pytest

from stitchrl.findings import DataError
from stitchrl.job.checked import checked
from stitchrl.plan import Plan
from stitchrl.testing import small_log

LOG = small_log("discrete")  # Half of its episodes are truncated.


def codes(**changes) -> set[str]:
    plan = Plan(log="log.csv", **changes)
    return {finding.code for finding in checked(plan, LOG).findings}


def test_whoever_learns_from_returns_is_told_of_episodes_that_were_cut():
    assert "MC_TRUNCATED" in codes(algorithms={"filtered_bc": {}, "bc": {}})
    assert "MC_TRUNCATED" in codes()
    assert "MC_TRUNCATED" not in codes(algorithms={"bc": {}, "iql": {}})


def test_strict_refuses_them_unless_forced():
    asked = {"filtered_bc": {}}
    with pytest.raises(DataError, match="whole returns: filtered_bc") as caught:
        codes(algorithms=asked, strict=True)
    assert "32 of 64 episodes were cut" in str(caught.value)
    assert "MC_TRUNCATED" in codes(algorithms=asked, strict=True, force=True)
