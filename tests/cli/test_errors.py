"""Errors of ours are explained; everything else is a bug and keeps its traceback."""

import sys

import numpy as np
import pytest
from cli.conftest import call

from stitchrl.artifacts import ArtifactError
from stitchrl.cli.errors import plain_finding
from stitchrl.findings import Finding, Severity


def test_errors_of_ours_are_blocks_without_traceback(tmp_path):
    result = call("report", tmp_path)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: '{tmp_path}' has no report yet.")
    assert "Traceback" not in result.stderr and result.stdout == ""


def test_debug_shows_where_they_were_raised(tmp_path):
    result = call("--debug", "report", tmp_path)
    assert isinstance(result.exception, ArtifactError)


def test_errors_of_libraries_are_not_explained_away(monkeypatch, tmp_path):
    def broken(path, mapping):
        return np.zeros(3).reshape(2, 2)

    monkeypatch.setattr(sys.modules["stitchrl.sources"], "load", broken)
    result = call("validate", tmp_path)
    assert type(result.exception) is ValueError
    assert "reshape" in str(result.exception)


def test_a_finding_as_json():
    finding = Finding("RANGE", Severity.ERROR, "Too high.", "Correct it.", 2, (3, 7))
    assert plain_finding(finding) == {
        "code": "RANGE",
        "severity": "error",
        "message": "Too high.",
        "remedy": "Correct it.",
        "count": 2,
        "rows": [3, 7],
    }


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["nonsense"]])
def test_help_and_unknown_verbs(words):
    result = call(*words)
    assert result.exit_code == (0 if "--help" in words else 2)
