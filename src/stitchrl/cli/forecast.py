"""`--dry-run`: the resolved plan, with memory and time before anything is trained."""

from rich import box
from rich.table import Table

from stitchrl.cli.errors import plain_finding
from stitchrl.cli.output import duration, print_json, remark, results, say, size
from stitchrl.dataset import Dataset
from stitchrl.findings import Severity
from stitchrl.job.checked import checked
from stitchrl.job.dry_run import Forecast, forecast
from stitchrl.plan import Plan


def show_forecast(plan: Plan, dataset: Dataset, *, as_json: bool) -> None:
    """Print what a run will do and need, after all that it would check itself."""
    ready = checked(plan, dataset)
    plan = ready.plan
    expected = forecast(plan, ready.dataset)
    graver = [f for f in ready.findings if f.severity is not Severity.NOTE]
    if as_json:
        print_json(
            {
                "plan": plan.model_dump(mode="json"),
                "estimates": _plain(expected),
                "findings": [plain_finding(finding) for finding in graver],
            }
        )
        return
    for finding in graver:
        remark(str(finding))
    for name, value in plan.model_dump(mode="json", exclude_none=True).items():
        if name not in ("algorithms", "mapping"):
            say(f"{name} = {value}")
    results().print(_programs(expected))
    for name, value in _needs(expected).items():
        say(f"{name}: {value}")
    say("These are estimates: sizes are close, times right within a factor of about two.")


def _programs(expected: Forecast) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Trained together")
    for title in ("Members", "Parameters", "State", "Work", "Time"):
        table.add_column(title, justify="right", no_wrap=True)
    for program in expected.programs:
        table.add_row(
            program.name,
            f"{program.members}",
            f"{program.parameters:,}",
            size(program.state_bytes),
            f"{program.flops / 1e6:.1f} MFLOP",
            duration(program.seconds),
        )
    return table


def _needs(expected: Forecast) -> dict[str, str]:
    judging = "closed forms, seconds"
    if expected.networks:
        judging = f"{expected.networks} networks, {duration(expected.judge_seconds)}"
    return {
        "Data": size(expected.data_bytes),
        "Memory": f"{size(expected.memory_bytes)}, and what JAX itself takes",
        "Checkpoints on disk": size(expected.checkpoint_bytes),
        "Speed measured": f"{expected.flops_per_second / 1e9:,.0f} GFLOP/s on each of "
        f"{expected.devices} device(s)",
        "Compiling": duration(expected.compile_seconds),
        "Training": duration(expected.train_seconds),
        "Judging": judging,
        "In all": duration(expected.seconds),
    }


def _plain(expected: Forecast) -> dict[str, object]:
    programs = [program._asdict() for program in expected.programs]
    return {**expected._asdict(), "programs": programs, "seconds": expected.seconds}
