"""One small finished run, which the tests of all verbs look at."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import pytest
from typer.testing import CliRunner, Result

from stitchrl.cli import app
from stitchrl.problems import icu_sepsis
from stitchrl.sources import write_table

# One algorithm, one seed and a tiny network: everything else is closed form.
SMALL = "--algorithms bc --seeds 1 --updates 40 -o bc.hidden=8 -o bc.batch_size=16".split()


@pytest.fixture(scope="session", autouse=True)
def started():
    """JAX as other tests use it: the first verb must not choose devices for them."""
    jax.devices()


def call(*words: object) -> Result:
    """A verb in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


def document(result: Result) -> Any:
    """The JSON that is all of stdout."""
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Finished:
    """A run of 300 patients that has a policy, because it was forced to export one."""

    log: Path
    directory: Path
    words: list[str]  # What it was called with.
    result: Result


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 patients, treated by clinicians."""
    place = tmp_path_factory.mktemp("log") / "patients.parquet"
    write_table(icu_sepsis.load().simulate(300, seed=0), place)
    return place


@pytest.fixture(scope="session")
def finished(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    directory = tmp_path_factory.mktemp("finished") / "run"
    words = ["run", str(log), *SMALL, "--force", "--outcome", "Survival"]
    result = call(*words, "--out", directory)
    assert result.exit_code == 0, result.output
    return Finished(log, directory, words, result)
