"""What repeats a run, and the line that watches a pilot."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from job import example

from stitchrl.job.reporting import build
from stitchrl.job.reporting.reproduce import scores_line
from stitchrl.job.results import Results
from stitchrl.ope.base import Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.planning import PilotTest, betting_capital
from stitchrl.report.schema import Report


@pytest.fixture(scope="module")
def icu() -> tuple[Results, Report]:
    return example.icu(), build(example.icu())


def test_reproduce_applies_a_policy_only_if_one_was_saved(icu):
    results, _ = icu
    lines = [("Apply it", "stitchrl decide run/policy NEW.parquet")]

    def found(name: str | None) -> list[str]:
        chosen = replace(results.recommendation, name=name)
        changed = replace(results, commands=lines, recommendation=chosen)
        return [command.line for command in build(changed).reproduce.commands]

    assert found("value_iteration at 10%")[0] == lines[0][1]
    assert lines[0][1] not in found(None)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-50.0, 100.0)])
def test_the_line_that_scores_a_pilot_runs(bounds):
    low, high = bounds
    test = PilotTest(
        low + 0.5 * (high - low),
        low + 0.6 * (high - low),
        ReturnBounds(low, high, Source.DECLARED),
    )
    line = scores_line(test).replace("...", f"{high}, {low}, {high}")
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, check=True)
    returns = np.array([1.0, 0.0, 1.0])
    expected = [
        betting_capital(returns, 0.6, against="at most")[-1],
        betting_capital(returns, 0.5, against="at least")[-1],
    ]
    printed = [float(part) for part in ran.stdout.split()]
    assert printed == pytest.approx(expected)


def test_reproduce_has_hashes_versions_and_seeds(icu):
    results, report = icu
    found = report.reproduce
    hashes = {one.name: one.value for one in found.hashes}
    plan = results.plan.model_dump_json().encode()
    assert hashes == {
        "the log": results.dataset.content_hash(),
        "the plan": hashlib.sha256(plan).hexdigest(),
    }
    assert {one.name for one in found.versions} == results.machine["versions"].keys()
    assert found.threads == results.machine["threads"]
    assert len(found.devices) == results.machine["device_count"]
    assert [one.value for one in found.seeds] == ["0", "0, 1"]
    assert [one.seconds for one in found.phases] == list(results.phases.values())
    assert found.commands[0].line == "stitchrl run log.parquet"
    assert json.loads(results.plan.model_dump_json())["seed"] == 0
