"""`stitchrl doctor`: facts about the machine, and checks that can fail."""

import pytest
from cli.conftest import call, document

from stitchrl import artifacts
from stitchrl.devices import versions


def test_a_healthy_machine_exits_with_0():
    result = call("doctor", "--json")
    said = document(result)
    assert result.exit_code == 0, said
    assert said["ok"] is True
    assert set(said["checks"]) == {"matrix products", "training", "saving"}
    assert said["machine"]["versions"] == versions()
    assert said["disk"] > 0


def test_a_check_that_fails_exits_with_1(monkeypatch: pytest.MonkeyPatch):
    def broken(path, files):
        raise artifacts.ArtifactError("the disk is full")

    monkeypatch.setattr(artifacts, "save_directory", broken)
    result = call("doctor")
    assert result.exit_code == 1
    assert "failed: ArtifactError: the disk is full" in " ".join(result.stdout.split())
