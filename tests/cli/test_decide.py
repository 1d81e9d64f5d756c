"""`stitchrl decide`: a policy on new rows."""

import shutil

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from cli.conftest import Finished, call, document

from stitchrl import artifacts, bundle
from stitchrl.problems import icu_sepsis
from stitchrl.sources import load, write_table


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """Eight patients that the policy has never seen."""
    place = tmp_path_factory.mktemp("new") / "new.parquet"
    write_table(icu_sepsis.load().simulate(8, seed=9), place)
    return place


def test_a_table_of_decisions(finished: Finished, new, tmp_path):
    out = tmp_path / "decisions.parquet"
    policy = finished.directory / "policy"
    result = call("decide", policy, new, "--out", out, "--seed", "1")
    assert result.exit_code == 0, result.output
    rows, table = load(new), pq.read_table(out)
    assert table.column_names == ["row", "action", "probability"]
    assert table.num_rows == rows.size
    assert f"{rows.size:,} decisions of Behavior cloning: {out}" in result.stdout
    exported = bundle.load(policy)
    labels = rows.actions.labels
    for row in range(0, rows.size, 7):
        p = exported.probabilities(rows.observation[row])
        action = table["action"][row].as_py()
        expected = exported.share * p[labels.index(action)]
        assert table["probability"][row].as_py() == pytest.approx(expected, rel=1e-5)
    again = tmp_path / "again.parquet"
    call("decide", policy, new, "--out", again, "--seed", "1")
    assert again.read_bytes() == out.read_bytes()


def test_decisions_as_csv_and_json(finished: Finished, new, tmp_path):
    out = tmp_path / "decisions.csv"
    said = document(
        call("decide", finished.directory / "policy", new, "--out", out, "--json")
    )
    table = pyarrow.csv.read_csv(out)
    assert said["rows"] == table.num_rows == sum(said["actions"].values())
    assert said["certified"]["decision"] in bundle_decisions()


def bundle_decisions():
    return ("deploy", "pilot", "collect_more_data", "do_not_deploy", "cannot_say")


def test_rows_that_lack_a_column_are_refused(finished: Finished, tmp_path):
    names = [f"observation.{name}" for name in icu_sepsis.FEATURE_NAMES]
    names.remove("observation.sofa")
    rows = tmp_path / "rows.csv"
    values = ",".join(["0.5"] * len(names))
    rows.write_text(",".join(names) + "\n" + values + "\n")
    result = call("decide", finished.directory / "policy", rows)
    assert result.exit_code == 3
    assert "lacks 1 of the 47 features that the policy reads: 'sofa'." in result.stderr


def test_columns_may_go_by_the_names_of_features(finished: Finished, tmp_path):
    rows = tmp_path / "rows.csv"
    values = np.arange(47) / 47
    rows.write_text(
        ",".join(reversed(icu_sepsis.FEATURE_NAMES))
        + "\n"
        + ",".join(f"{value:.6f}" for value in values[::-1])
        + "\n"
    )
    out = tmp_path / "out.csv"
    result = call("decide", finished.directory / "policy", rows, "--out", out)
    assert result.exit_code == 0, result.output
    table = pyarrow.csv.read_csv(out)
    exported = bundle.load(finished.directory / "policy")
    p = exported.probabilities(np.round(values, 6))
    action = list(exported.actions.labels).index(table["action"][0].as_py())
    assert table["probability"][0].as_py() == pytest.approx(p[action], rel=1e-5)


def test_other_endings_are_refused(finished: Finished, new, tmp_path):
    out = tmp_path / "decisions.xlsx"
    result = call("decide", finished.directory / "policy", new, "--out", out)
    assert result.exit_code == 2
    assert "written as .parquet or .csv" in result.stderr


def test_what_is_no_policy_is_refused(finished: Finished, new):
    result = call("decide", finished.directory / "members", new)
    assert result.exit_code == 3


def test_a_run_is_not_its_policy(finished: Finished, new):
    result = call("decide", finished.directory, new)
    assert result.exit_code == 3
    policy = finished.directory / "policy"
    assert f"is a run; its policy lies in '{policy}': name that." in result.stderr


def test_a_run_that_recommended_no_policy_says_so(finished: Finished, new, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished.directory, run)
    artifacts.remove_directory(run / "policy")
    artifacts.seal(run)
    for place in (run, run / "policy"):
        result = call("decide", place, new)
        assert result.exit_code == 3
        assert f"The run '{run}' recommended no policy: its verdict is " in result.stderr


def test_a_policy_works_far_from_its_run(finished: Finished, new, tmp_path):
    policy = tmp_path / "elsewhere" / "policy"
    shutil.copytree(finished.directory / "policy", policy)
    result = call("decide", policy, new, "--out", tmp_path / "decisions.csv")
    assert result.exit_code == 0 and "decisions of 'bc': " in result.stdout
