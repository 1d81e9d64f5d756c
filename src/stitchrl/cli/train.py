"""`stitchrl train`: learn and rank, without a verdict."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.table import Table

from stitchrl.cli import machine, options
from stitchrl.cli.errors import LINE
from stitchrl.cli.output import AsJson, print_json, remark, results

if TYPE_CHECKING:
    from stitchrl.job.training import Trained


def train(
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
    threads: options.Threads = None,
    precision: options.Precision = None,
    cluster: options.Cluster = None,
    no_ranking: options.NoRanking = False,
    force: options.Force = False,
    strict: options.Strict = False,
    as_json: AsJson = False,
) -> None:
    """Learn and rank policies; the certification split stays untouched.

    `stitchrl resume` then goes on to the verdict. The ranking is for choosing: it is no
    evidence that a policy is better than what made the log.
    """
    machine.prepare(threads, precision)
    from stitchrl.cli import planning, working
    from stitchrl.job.stages import train_job

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
            "force": force or None,
            "strict": strict or None,
        },
    )
    with working.working(out) as tell:
        trained = train_job(
            resolved,
            dataset,
            out,
            tell=tell,
            commands=[("The training", ctx.meta[LINE])],
            cluster=cluster,
            ranked=not no_ranking,
        )
    _show(trained, out, as_json=as_json)


def _show(trained: "Trained", out: Path, *, as_json: bool) -> None:
    from stitchrl.algorithms import is_control

    controls = {one.plan.number for one in trained.fitted if is_control(one.plan.algorithm)}
    stopped = {one.plan.number: one.stopped for one in trained.fitted if one.stopped}
    ailing = {
        f"{number:03d}": found
        for number, found in trained.diagnoses.items()
        if found.ailment != "none" and number not in controls
    }
    if as_json:
        ranking = [
            {
                "name": candidate.name,
                "kind": candidate.kind,
                "value": trained.ranking[candidate.name],
                "members": list(candidate.members),
            }
            for candidate in trained.candidates
            if candidate.name in trained.ranking
        ]
        numbered = {f"{number:03d}": reason for number, reason in stopped.items()}
        ailments = {
            number: {
                "ailment": found.ailment,
                "updates": found.checkpoint,
                "sentence": found.sentence,
                "remedy": found.remedy,
            }
            for number, found in ailing.items()
        }
        said = {"directory": str(out), "ranking": ranking, "stopped": numbered}
        print_json(said | {"ailments": ailments, "set_aside": trained.set_aside})
        return
    if trained.ranking:
        table = Table(box=box.SIMPLE_HEAD, title="Fitted value on the selection split")
        table.add_column("Policy")
        table.add_column("Kind")
        table.add_column("Value", justify="right")
        for candidate in trained.candidates:
            value = f"{trained.ranking[candidate.name]:.4g}"
            table.add_row(candidate.name, candidate.kind, value)
        results().print(table)
    else:
        results().print(f"Policies trained, not ranked: {len(trained.candidates)}")
    for line in trained.aside:
        remark(line)
    for number, reason in stopped.items():
        remark(f"Member {number:03d} {reason}")
    for number, found in ailing.items():
        remark(f"Member {number}, {found.ailment}: {found.sentence} {found.remedy}")
    remark(f"For the verdict: stitchrl resume {out}")
