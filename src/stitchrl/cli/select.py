"""`stitchrl select`: choose among settings by the log, or by a few trials as well."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from stitchrl.cli import machine, options
from stitchrl.cli.errors import LINE
from stitchrl.cli.output import AsJson, print_json, remark, results, say

if TYPE_CHECKING:
    from stitchrl.candidates import Candidate
    from stitchrl.job.selection import Environment, Selected
    from stitchrl.job.training import Trained
    from stitchrl.zoo.entry import Entry


def select(
    ctx: typer.Context,
    log: options.Log,
    mapping: options.Mapping = None,
    out: options.Out = Path("run"),
    plan: options.PlanFile = None,
    algorithms: options.Algorithms = None,
    option: options.Options = None,
    draws: options.Draws = None,
    preset: options.Preset = None,
    seeds: options.Seeds = None,
    updates: options.Updates = None,
    seed: options.Seed = None,
    reward: options.Reward = None,
    normalize: options.Normalize = None,
    n_steps: options.NSteps = None,
    balance: options.Balance = None,
    discount: options.Discount = None,
    horizon: options.Horizon = None,
    fqe_updates: options.FQEUpdates = None,
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many of the trained policies FQE ranks: the best by weighted "
            "importance sampling, which costs little. Without it: all.",
        ),
    ] = None,
    budget: Annotated[
        int, typer.Option(min=0, help="Episodes that may be played to choose.")
    ] = 0,
    env: Annotated[
        str | None,
        typer.Option(help="Where they are played: a name of `stitchrl zoo list`."),
    ] = None,
    threads: options.Threads = None,
    precision: options.Precision = None,
    cluster: options.Cluster = None,
    force: options.Force = False,
    strict: options.Strict = False,
    as_json: AsJson = False,
) -> None:
    """Train a grid, rank it, and say which policies the log cannot tell apart.

    By FQE; of features by the lower of FQE and a model of the process.

    With --budget and --env, the rest is settled by trials: the next episode is played by
    the policy that promises most, and every step is counted. What is best is saved in
    OUT/selected; for the verdict, go on with `stitchrl resume`.
    """
    if (budget > 0) != (env is not None):
        raise typer.BadParameter(
            "--budget says how many episodes, --env where they are played: give both, or "
            "neither."
        )
    machine.prepare(threads, precision)
    from stitchrl.cli import planning, working
    from stitchrl.job.selection import select as select_job
    from stitchrl.job.stages import train_job

    entry = None if env is None else _entry(env)
    planning.require_directory(out)
    resolved, dataset = planning.planned(
        log,
        file=plan,
        mapping=mapping,
        algorithms=algorithms,
        options=option or (),
        flags={
            "seeds": seeds,
            "updates": updates,
            "seed": seed,
            "draws": draws,
            "preset": preset,
            "reward": reward,
            "normalize": normalize,
            "n_steps": n_steps,
            "sampling": balance and {"by": balance.value},
            "discount": discount,
            "horizon": horizon,
            "fqe_updates": fqe_updates,
            "keep": keep,
            "force": force or None,
            "strict": strict or None,
        },
    )
    if entry is not None:
        entry.require_alike(dataset)  # Before hours of training.
    with working.working(out) as tell:
        trained = train_job(
            resolved,
            dataset,
            out,
            tell=tell,
            commands=[("The choice", ctx.meta[LINE])],
            cluster=cluster,
        )
        found = select_job(
            trained,
            resolved,
            out,
            environment=None if entry is None else _environment(entry),
            budget=budget,
            tell=tell,
        )
    _show(found, trained, out, as_json=as_json)


def _entry(name: str) -> "Entry":
    from stitchrl import zoo
    from stitchrl.zoo import packages

    entry = zoo.find(name)
    packages.require(entry.needs, f"'{name}'")
    return entry


def _environment(entry: "Entry") -> "Environment":
    def play(candidate: "Candidate", seed: int) -> tuple[float, int]:
        value = entry.trial(candidate.policy, act=candidate.act, seed=seed)
        return value.mean, value.steps

    return play


def _show(found: "Selected", trained: "Trained", out: Path, *, as_json: bool) -> None:
    steps = sum(trial.steps for trial in found.trials)
    choice = found.choice
    if as_json:
        ranking = [
            {
                "name": standing.candidate.name,
                "value": standing.value,
                "behind_at_least": standing.lowest_gap,
                "trials": None if choice is None else int(choice.tried[number]),
                "tried_value": None if choice is None else float(choice.mean[number]),
            }
            for number, standing in enumerate(found.standings)
        ]
        print_json(
            {
                "directory": str(out),
                "selected": found.best.name,
                "ranking": ranking,
                "set_aside": trained.set_aside,
                "episodes_played": len(found.trials),
                "environment_steps": steps,
            }
        )
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Policy")
    table.add_column("Value", justify="right")
    table.add_column("Against the first")
    if choice is not None:
        table.add_column("Trials", justify="right")
        table.add_column("Believed", justify="right")
    for number, standing in enumerate(found.standings):
        row = [standing.candidate.name, f"{standing.value:.4g}", _apart(found, number)]
        if choice is not None:
            believed = f"{choice.mean[number]:.4g} ± {choice.deviation[number]:.2g}"
            row += [f"{choice.tried[number]:.0f}", believed]
        table.add_row(*row)
    results().print(table)
    for line in trained.aside:
        say(line)
    if choice is not None:
        say(f"{len(found.trials):,} episodes were played, {steps:,} steps in all.")
    say(f"Selected: {found.best.name} ({out}/selected)")
    remark(
        "Chosen, not certified: it may still be worse than what is done today. For the "
        f"verdict: stitchrl resume {out}"
    )


def _apart(found: "Selected", number: int) -> str:
    standing = found.standings[number]
    if number == 0:
        return "ranked first"
    return "surely behind" if standing.is_apart else "cannot be told apart"
