"""Parts of the main job on their own: training alone, and judging once more."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stitchrl import artifacts, devices
from stitchrl.artifacts import ArtifactError
from stitchrl.dataset import Dataset
from stitchrl.job.checked import checked
from stitchrl.job.clock import Clock, Tell
from stitchrl.job.directory import (
    DATA,
    ESTIMATES,
    PLAN,
    REPORT,
    Commands,
    is_saved,
    load_log,
    open_directory,
    read_plan,
    read_saved,
)
from stitchrl.job.results import Results
from stitchrl.job.run import finish_job
from stitchrl.job.training import Trained, parts_of, train_all
from stitchrl.needs import met_by
from stitchrl.plan import Plan


def train_job(
    plan: Plan,
    dataset: Dataset,
    directory: str | Path,
    *,
    tell: Tell = lambda message: None,
    commands: Commands = (),
    cluster: str | None = None,
    ranked: bool = True,
) -> Trained:
    """Train and rank (unless not `ranked`), and leave the certification split alone.

    `resume_job`, or `run_job` with the same plan, then goes on with the verdict. Raises as
    `run_job` does.
    """
    directory, clock = Path(directory), Clock(tell)
    with clock("validate"):
        ready = checked(plan, dataset)
    open_directory(directory, ready, devices.describe(), commands=commands)
    with clock("train"):
        return train_all(
            ready.plan,
            parts_of(ready.plan, ready.dataset),
            discount=ready.discount,
            directory=directory / "members",
            tell=tell,
            cluster=cluster,
            ranked=ranked,
        )


def evaluate_job(
    directory: str | Path,
    changes: Mapping[str, Any],
    *,
    tell: Tell = lambda message: None,
    commands: Commands = (),
    date: str = "",
) -> Results:
    """Judge a finished run once more, with other entries of its plan; train nothing.

    This is a further use of its certification split, and counted. Raises `ArtifactError`
    if the run has no verdict yet.
    """
    directory, clock = Path(directory), Clock(tell)
    before = read_plan(directory)
    if not is_saved(directory, ESTIMATES):
        raise ArtifactError(
            f"'{directory}' has no verdict yet. Finish it first: stitchrl resume "
            f"{directory}"
        )
    plan = Plan.model_validate({**before.model_dump(), **changes})
    with clock("validate"):
        ready = checked(plan, load_log(plan))
    machine = devices.describe()
    as_begun = ready._replace(plan=before)
    open_directory(directory, as_begun, machine, allow_different_threads=True)
    results = finish_job(
        ready, directory, clock, machine=machine, tell=tell, commands=commands, date=date
    )
    said = read_saved(directory, PLAN) | {"plan": ready.plan.model_dump(mode="json")}
    artifacts.save_sealed(directory, {PLAN: artifacts.json_to_bytes(said)})
    return results


def is_finished(plan: Plan, dataset: Dataset, directory: str | Path) -> bool:
    """Whether exactly this plan on exactly this log was run here, to its report."""
    directory = Path(directory)
    if not is_saved(directory, REPORT):
        return False
    if plan.horizon is not None:
        dataset = replace(dataset, horizon=plan.horizon)
    is_same_log = read_saved(directory, DATA)["content_hash"] == dataset.content_hash()
    return is_same_log and read_plan(directory) == plan.resolved(
        dataset.spec, met_by(dataset)
    )
