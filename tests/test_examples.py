"""Examples run as they stand, and so does what the README shows on twenty rows."""

import re
import runpy
import tomllib
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
from cli.conftest import call, document

from stitchrl.sources import load

EXAMPLES = Path(__file__).parents[1] / "examples"
LOG, MAP = EXAMPLES / "twenty_rows.csv", EXAMPLES / "map.toml"


def test_from_log_to_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(EXAMPLES / "from_log_to_verdict.py"))
    said = capsys.readouterr().out
    assert "warning FEW_GROUPS" in said
    assert "cannot_say" in said and "no interval holds with fewer than 30" in said
    evaluated = {verdict.evidence.name for verdict in names["results"].verdicts}
    assert evaluated == {"iql", *(f"iql at {share}0%" for share in (1, 2, 3, 5))}
    assert (tmp_path / "run" / "report.html").is_file()


FIGURES = {
    "why_online_methods_fail": r"double DQN waits in [45] of 5",
    "expectiles": "",
    "stitching": "",
    "two_modes": r"reverse KL: (0.00|0.9\d) near the left habit, (0.00|0.9\d) near",
    "notifications": "with CQL",
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_demonstration_leaves_its_figure(name, tmp_path, monkeypatch, capsys):
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    with matplotlib.rc_context({"backend": "Agg"}):
        runpy.run_path(str(path))
    plt.close("all")
    assert re.search(FIGURES[name], capsys.readouterr().out)
    assert (tmp_path / f"{name}.svg").read_text().startswith("<?xml")


def test_twenty_rows_are_read_as_the_mapping_says():
    log = load(LOG, MAP)
    assert (log.size, log.episodes) == (20, 10)
    assert log.feature_names == ("age", "pressure", "ward=north", "ward=south")
    assert log.actions.labels == ("high", "low")
    assert log.terminated.sum() == 10 and log.horizon == 2
    # The log says .7 for the likelier dose: high where pressure is over 130.
    first = log.propensity[log.first_row]
    assert set(first) == {0.3, 0.7}


def test_what_guessing_leaves_open_is_what_the_example_fills_in():
    result = call("map", LOG, "--guess")
    guessed, given = tomllib.loads(result.stdout), tomllib.loads(MAP.read_text())
    assert guessed["episode"] == given["episode"]
    assert guessed["propensity"] == given["propensity"]
    for role in ("step", "action", "reward", "terminated", "horizon"):
        assert role not in guessed and role in given


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The README's run, with networks and updates as small as in the example."""
    out = tmp_path_factory.mktemp("twenty") / "run"
    words = ["run", LOG, "--mapping", MAP, "--out", out, "--force", "--json"]
    words += ["--algorithms", "iql", "-o", "iql.hidden=16x16"]
    result = call(*words, "--updates", "1000", "--fqe-updates", "300")
    assert result.exit_code == 0, result.output
    assert document(result)["decision"] == "cannot_say"
    return out


def test_the_walk_ends_in_decisions(directory, tmp_path):
    out = tmp_path / "decisions.csv"
    result = call("decide", directory / "policy", LOG, "--out", out)
    assert result.exit_code == 0, result.output
    lines = out.read_text().splitlines()
    assert len(lines) == 21 and lines[0] == '"row","action","probability"'


def test_the_walk_has_a_report(directory):
    page = (directory / "report.html").read_text()
    assert "no interval holds with fewer than 30" in page
