"""`stitchrl run`: from a log to a verdict, a report and a policy."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stitchrl.cli import machine, options
from stitchrl.cli.errors import REFUSED
from stitchrl.cli.output import AsJson


class Required(StrEnum):
    """What --require can demand."""

    PILOT = "pilot"
    DEPLOY = "deploy"


def run(
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
    margin: options.Margin = None,
    policy: options.Policies = None,
    policy_columns: options.PolicyColumns = False,
    fqe_updates: options.FQEUpdates = None,
    title: options.Title = None,
    outcome: options.Outcome = None,
    group_name: options.GroupName = None,
    behavior_name: options.BehaviorName = None,
    threads: options.Threads = None,
    precision: options.Precision = None,
    cluster: options.Cluster = None,
    force: options.Force = False,
    strict: options.Strict = False,
    require: Annotated[
        Required | None,
        typer.Option(
            help="Exit with 1 unless the verdict is at least this: deploy is also pilot."
        ),
    ] = None,
    dry_run: options.DryRun = False,
    as_json: AsJson = False,
) -> None:
    """From a log to a verdict, a report and a policy.

    Learns policies on a part of the log, chooses among them on a second, certifies the
    best and its mixtures with the present behavior on a third. Called again with the same
    arguments, it goes on where it was interrupted.
    """
    machine.prepare(threads, precision)
    from stitchrl.cli import forecast, planning, working

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
            "margin": margin,
            "policies": planning.policies_of(policy, policy_columns),
            "fqe_updates": fqe_updates,
            "title": title,
            "outcome": outcome,
            "group_name": group_name,
            "behavior_name": behavior_name,
            "force": force or None,
            "strict": strict or None,
        },
    )
    if dry_run:
        forecast.show_forecast(resolved, dataset, as_json=as_json)
        return
    report = working.run_and_show(
        ctx, resolved, dataset, out, as_json=as_json, cluster=cluster
    )
    if require is not None and not is_enough(report.decide.decision, require):
        raise typer.Exit(REFUSED)


def is_enough(decision: str, required: Required) -> bool:
    """Whether a verdict is the required one or a better one."""
    from stitchrl.verdict import Decision

    best_first = list(Decision)
    return best_first.index(Decision(decision)) <= best_first.index(Decision(required))
