"""What a run directory says of itself: its plan, its log, its machine, its uses."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stitchrl import artifacts, devices, sources
from stitchrl.dataset import Dataset
from stitchrl.job.checked import Checked
from stitchrl.plan import Plan
from stitchrl.splits import SHARES

Commands = Sequence[tuple[str, str]]  # What a line is for, and the line.
PLAN, DATA, ESTIMATES, CANDIDATES, REPORT, PAGE, REALIZED = (
    "plan.json",
    "data.json",
    "estimates.json",
    "candidates.json",
    "report.json",
    "report.html",
    "realized.json",
)


def read_plan(directory: str | Path) -> Plan:
    """The plan of a run. Raises `ArtifactError` if the directory holds none."""
    if not is_saved(directory, PLAN):
        raise artifacts.ArtifactError(
            f"'{directory}' is not a run directory: it has no {PLAN}. Give the directory "
            "that was named with --out."
        )
    return Plan.model_validate(read_saved(directory, PLAN)["plan"], strict=False)


def read_machine(directory: str | Path) -> dict[str, Any]:
    """What a run was begun on, as `devices.describe` said then."""
    read_plan(directory)
    return read_saved(directory, PLAN)["machine"]


def read_commands(directory: str | Path, more: Commands = ()) -> Commands:
    """Lines that a run was begun with and what each is for, and `more` for other ends."""
    begun_with = dict(read_saved(directory, PLAN).get("commands", []))
    others = ((why, line) for why, line in more if why not in begun_with)
    return (*begun_with.items(), *others)


def is_saved(directory: str | Path, name: str) -> bool:
    """Whether this file of a run was saved whole."""
    has_any = (Path(directory) / artifacts.MANIFEST).is_file()
    return has_any and artifacts.sealed_size(directory, name) > 0


def read_saved(directory: str | Path, name: str) -> Any:
    """A JSON file of a run. Raises `ArtifactError` if it is not what was saved."""
    data = artifacts.read_sealed(directory, name)
    return artifacts.bytes_to_json(data, source=str(Path(directory) / name))


def load_log(plan: Plan, path: str | Path | None = None) -> Dataset:
    """The log that a plan names, or another one at `path`, read as the plan says."""
    mapping = None
    if plan.mapping is not None:
        mapping = sources.Mapping.model_validate(plan.mapping)
    return sources.load(plan.log if path is None else path, mapping)


def open_directory(
    directory: Path,
    ready: Checked,
    machine: dict[str, Any],
    *,
    commands: Commands = (),
    allow_different_threads: bool = False,
) -> None:
    """Write the plan and what is known of the log; or check that they are as before.

    `commands` are the lines that the run is begun with, for `read_commands`.
    """
    plan, dataset, findings = ready.plan, ready.dataset, ready.findings
    data = {
        "content_hash": dataset.content_hash(),
        "rows": dataset.size,
        "episodes": dataset.episodes,
        "groups": dataset.groups,
        "split": {"seed": plan.seed, "by": "group", "shares": list(SHARES)},
        "findings": [asdict(finding) for finding in findings],
    }
    if is_saved(directory, PLAN):
        before = read_saved(directory, DATA)
        if before["content_hash"] != data["content_hash"]:
            raise artifacts.ArtifactError(
                f"The log '{plan.log}' is not the one that '{directory}' was begun with "
                f"(hash {data['content_hash'][:12]} instead of "
                f"{before['content_hash'][:12]}). Restore it, or choose another --out."
            )
        if changed := _differences(read_plan(directory), plan):
            raise artifacts.ArtifactError(
                f"'{directory}' holds a run with another plan: {changed}. Choose another "
                f"--out, or go on with that one: stitchrl resume {directory}"
            )
        if not allow_different_threads:
            _require_same_machine(directory, machine)
        return
    said = {
        "plan": plan.model_dump(mode="json"),
        "machine": machine,
        "commands": [*map(list, commands)],
    }
    files = {DATA: artifacts.json_to_bytes(data), PLAN: artifacts.json_to_bytes(said)}
    artifacts.save_sealed(directory, files)


def _differences(before: Plan, now: Plan) -> str:
    """'updates' is 400, was 40; …: entries in which two plans differ."""
    old, new = before.model_dump(), now.model_dump()
    changed = [name for name in new if new[name] != old[name]]
    return "; ".join(f"'{name}' is {new[name]!r}, was {old[name]!r}" for name in changed)


def _require_same_machine(directory: Path, machine: dict[str, Any]) -> None:
    changed = devices.differences(read_saved(directory, PLAN)["machine"], machine)
    if changed:
        raise artifacts.ArtifactError(
            f"'{directory}' was begun on another machine or with other settings, so that "
            f"its result would not be repeated bit for bit: {' '.join(changed)} Use the "
            "same, start anew with another --out, or go on all the same: stitchrl resume "
            "--allow-different-threads."
        )


def earlier_report(directory: Path) -> dict[str, bytes]:
    """The report of the use before, under the number of that use: report-1.html."""
    if not (is_saved(directory, ESTIMATES) and is_saved(directory, REPORT)):
        return {}
    number = count_use(directory) - 1
    return {
        f"report-{number}{Path(name).suffix}": artifacts.read_sealed(directory, name)
        for name in (REPORT, PAGE)
    }


def count_use(directory: Path) -> int:
    """How often the certification split has now been looked at."""
    if not is_saved(directory, ESTIMATES):
        return 1
    return int(read_saved(directory, ESTIMATES)["certification_uses"]) + 1
