"""`stitchrl decide`: what a policy would do in new rows."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from stitchrl import artifacts
from stitchrl.cli.output import AsJson, print_json, remark, say


def decide(
    policy: Annotated[Path, typer.Argument(help="A policy bundle, such as run/policy.")],
    new: Annotated[
        Path, typer.Argument(help="New rows, with the log's observation columns.")
    ],
    out: Annotated[
        Path, typer.Option(help="Where to write the table: .parquet or .csv.")
    ] = Path("decisions.parquet"),
    seed: Annotated[
        int | None, typer.Option(help="Makes random choices repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write what a policy would do in each row: row, action, probability.

    A mixture answers "as before" where the present behavior is to decide.
    """
    from stitchrl import bundle
    from stitchrl.job.decisions import decide_rows, read_rows, table_to_bytes
    from stitchrl.job.reporting.labels import for_people

    _require_policy(policy)
    found = bundle.load(policy)
    rows = read_rows(found, new)
    decided = decide_rows(found, rows, seed=seed)
    artifacts.save_file(out, table_to_bytes(decided, out))
    for finding in rows.notes:
        remark(str(finding))
    if "action" in decided.column_names:
        counts = Counter(decided.column("action").to_pylist()).most_common()
    else:
        counts = []
    if as_json:
        print_json(
            {
                "decisions": str(out),
                "rows": decided.num_rows,
                "policy": found.name,
                "certified": found.certified,
                "actions": dict(counts),
            }
        )
        return
    labels = _labels(policy)
    name = labels.get(found.name, f"'{found.name}'")
    say(f"{decided.num_rows:,} decisions of {name}: {out}")
    said = found.certified.get("decision")
    if said is not None:
        sentence = for_people(str(found.certified.get("sentence", "")), labels)
        say(f"Its verdict: {said.replace('_', ' ')}. {sentence}")
    for action, count in counts[:10]:
        say(f"  {count:>8,}  {action}")


def _labels(policy: Path) -> dict[str, str]:
    """What the report beside a policy calls the policies; nothing where there is none."""
    from stitchrl.cli.summary import has_report, read_report

    run = policy.absolute().parent
    if not has_report(run):
        return {}
    _, *others = read_report(run).policies  # First the behavior, which is called so.
    return {policy.name: policy.label for policy in others}


def _require_policy(place: Path) -> None:
    """Raise `ArtifactError` where a run is named instead of its policy, or has none."""
    from stitchrl.cli.summary import POLICY, has_report, read_report
    from stitchrl.job.directory import PLAN

    run = place if (place / PLAN).is_file() else place.absolute().parent
    if not (run / PLAN).is_file() or place != run and place.is_dir():
        return
    if (run / POLICY).is_dir():
        raise artifacts.ArtifactError(
            f"'{run}' is a run; its policy lies in '{run / POLICY}': name that."
        )
    if not has_report(run):
        raise artifacts.ArtifactError(
            f"The run '{run}' has no policy yet. Finish it: stitchrl resume {run}"
        )
    decision = read_report(run).decide.decision.value.replace("_", " ")
    raise artifacts.ArtifactError(
        f"The run '{run}' recommended no policy: its verdict is {decision}. Act as before; "
        f"{run / 'report.html'} says what would change that."
    )
