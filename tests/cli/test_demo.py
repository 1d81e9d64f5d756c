"""`stitchrl demo`: patients are simulated once, judged, and compared with the truth."""

import json
import sys

import numpy as np
import pytest
from cli.conftest import call, document

from stitchrl.dataset import Choices
from stitchrl.problems import icu_sepsis
from stitchrl.sources import load

WORDS = ["demo", "--patients", "200", "--updates", "20", "--seeds", "1", "--json"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo of one algorithm, where it lies, and what it said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["stitchrl.cli.demo"], "ALGORITHMS", ("bc",))
        patch.setattr(sys.modules["stitchrl.cli.demo"], "HIDDEN", [8])
        out = tmp_path_factory.mktemp("demo") / "demo"
        yield out, call(*WORDS, "--out", out)


def test_a_demo_says_where_the_data_come_from(demo):
    _, result = demo
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert "200 simulated patients with sepsis" in said
    assert (
        "MIMIC-III" in said and "MIT License" in said and "no record of any patient" in said
    )
    assert "Solving for exact values" in said


def test_the_log_is_kept_beside_the_report(demo):
    out, _ = demo
    log = load(out / "log.parquet")
    simulated = icu_sepsis.load().simulate(200, seed=0)
    for name in ("action", "reward", "terminated", "state_id", "propensity"):
        np.testing.assert_array_equal(getattr(log, name), getattr(simulated, name))
    # Each drug is a column of its own, in the order of the 25 combinations.
    assert isinstance(log.actions, Choices)
    assert log.actions.names == ("fluids", "vasopressors")
    assert log.actions.told(7) == {"fluids": "1", "vasopressors": "2"}
    assert simulated.actions.labels[7] == "fluids 1, vasopressors 2"


def test_the_report_knows_the_truth(demo):
    out, result = demo
    report = json.loads((out / "report.json").read_text())
    values = {row["policy"]: row["value"] for row in report["truth"]["values"]}
    assert values["behavior"] == pytest.approx(0.78184, abs=5e-6)
    assert {"bc", "value_iteration"} <= values.keys()
    assert report["title"] == "Sepsis treatment in intensive care"
    assert document(result)["report"] == f"{out}/report.html"


def test_the_verdict_stands_beside_the_truth(demo):
    out, _ = demo
    shown = call("resume", out).stdout
    assert "In truth" in shown
    clinicians = next(line for line in shown.splitlines() if "Clinicians" in line)
    assert clinicians.split()[-2].startswith("0.78")


def test_a_second_demo_shows_the_first(demo):
    out, first = demo
    result = call(*WORDS, "--out", out)
    assert "was finished before" in result.stderr
    assert document(result) == document(first)


def test_other_patients_need_another_directory(demo):
    out, _ = demo
    result = call(*WORDS, "--seed", "1", "--out", out)
    assert result.exit_code == 3
    assert "holds other patients than these 200 of seed 1" in result.stderr
