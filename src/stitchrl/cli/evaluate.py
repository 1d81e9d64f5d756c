"""`stitchrl evaluate`: judge a finished run once more."""

import typer

from stitchrl.cli import machine, options
from stitchrl.cli.output import AsJson


def evaluate(
    ctx: typer.Context,
    run: options.Run,
    discount: options.Discount = None,
    margin: options.Margin = None,
    policy: options.Policies = None,
    policy_columns: options.PolicyColumns = False,
    fqe_updates: options.FQEUpdates = None,
    title: options.Title = None,
    outcome: options.Outcome = None,
    group_name: options.GroupName = None,
    behavior_name: options.BehaviorName = None,
    as_json: AsJson = False,
) -> None:
    """Judge a finished run once more, from its directory; nothing is trained.

    What is not given stays as it was. Each time is a further use of the certification
    split: it is counted, and the count stands in the report.
    """
    from stitchrl.cli import planning, working
    from stitchrl.job.directory import read_machine
    from stitchrl.job.stages import evaluate_job

    begun_on = read_machine(run)
    machine.prepare(int(begun_on["threads"]), begun_on.get("precision"))
    given = {
        "discount": discount,
        "margin": margin,
        "policies": planning.policies_of(policy, policy_columns) or None,
        "fqe_updates": fqe_updates,
        "title": title,
        "outcome": outcome,
        "group_name": group_name,
        "behavior_name": behavior_name,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    with working.working(run) as tell:
        results = evaluate_job(
            run,
            changes,
            tell=tell,
            commands=working.commands_of(ctx, run),
            date=working.today(),
        )
    working.show_results(results, as_json=as_json)
