"""What `stitchrl audit` and `stitchrl advise` say: numbers and rules in words."""

from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.table import Table

from stitchrl import sources
from stitchrl.audit import Audit
from stitchrl.audit import audit as audit_of
from stitchrl.audit.advice import About, Situation, advise
from stitchrl.audit.words import facts
from stitchrl.cli.output import print_json, remark, results, say
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.judge import estimand_discount
from stitchrl.validation import require_valid

TITLES = {
    About.TOOL: "Which tool",
    About.ALGORITHM: "Which algorithms",
    About.CARE: "What to take care of",
}


def show_audit(found: Audit, log: str, *, as_json: bool) -> None:
    """A table of facts, or JSON."""
    if as_json:
        print_json(asdict(found))
        return
    sizes = {name: getattr(found, name) for name in ("decisions", "episodes", "groups")}
    say(", ".join(f"{size:,} {name}" for name, size in sizes.items()))
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("", style="bold")
    table.add_column("")
    for title, sentence in facts(found):
        table.add_row(title, sentence)
    results().print(table)
    remark(f"What follows from it: stitchrl advise {log}")


def show_advice(
    found: Audit, dataset: Dataset, log: str, situation: Situation, *, as_json: bool
) -> None:
    """Sentences with what to type about `log`, or JSON."""
    given = advise(
        found,
        situation,
        is_discrete=isinstance(dataset.actions, Choices),
        is_tabular=dataset.is_tabular,
    )
    if as_json:
        print_json({"advice": [asdict(one) for one in given]})
        return
    for about, title in TITLES.items():
        of_kind = [one for one in given if one.about is about]
        if not of_kind:
            continue
        say(f"\n{title}")
        for one in of_kind:
            say(f"  - {one.sentence} [{one.code}]")
            if one.command:
                say(f"    {one.command.replace('LOG', log)}")
    if None in vars(situation).values():
        remark(
            "\nNot said: whether more can be collected (--collect), whether that is dear "
            "(--dear) or dangerous (--dangerous), whether there is a simulator "
            "(--simulator)."
        )


def typed(log: Path, mapping: str | None) -> str:
    """A log as the next command has to name it."""
    return str(log) if mapping is None else f"{log} --mapping {mapping}"


def audited(
    log: Path, mapping: str | None, discount: float | None, seed: int | None
) -> tuple[Audit, Dataset]:
    """Read, refuse if there are errors, and look."""
    dataset = sources.load(log, mapping)
    require_valid(dataset)
    used = estimand_discount(dataset, discount)
    return audit_of(dataset, discount=used, seed=seed or 0), dataset
