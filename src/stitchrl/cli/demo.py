"""`stitchrl demo`: the whole job on simulated patients, where the truth is known."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stitchrl.artifacts import ArtifactError
from stitchrl.cli import machine, options
from stitchrl.cli.output import AsJson, remark

if TYPE_CHECKING:
    from stitchrl.dataset import Dataset
    from stitchrl.plan import Plan

LOG = "log.parquet"
UPDATES, SEEDS = 8_000, 2
ALGORITHMS = ("bc", "filtered_bc", "iql", "cql", "bcq", "double_dqn")
HIDDEN = [64, 64]  # Enough for 47 features, and quick on two cores.
OWN = "stitchrl run LOG --mapping map.toml"
ABOUT = """\
{patients:,} simulated patients with sepsis in intensive care, each treated as clinicians
treated: every 4 hours one of 25 combinations of fluids and vasopressors; return 1 if the
patient survives. They come from ICU-Sepsis (K. Choudhary, D. Gupta, P. S. Thomas, 2024,
arXiv:2406.05646, MIT License), a process that was estimated from records in MIMIC-III. It
contains no record of any patient, and nothing computed from it is medical advice.
"""


def demo(
    ctx: typer.Context,
    patients: Annotated[
        int, typer.Option(min=50, help="How many patients to simulate.")
    ] = 20_000,
    out: options.Out = Path("demo"),
    seed: Annotated[int, typer.Option(help="Of patients, splits and members.")] = 0,
    updates: Annotated[int, typer.Option(min=2, help="Of each member.")] = UPDATES,
    seeds: Annotated[int, typer.Option(min=1, help="Members of each algorithm.")] = SEEDS,
    threads: options.Threads = None,
    as_json: AsJson = False,
) -> None:
    """From simulated patients to a verdict, and to what every policy is really worth."""
    machine.prepare(threads)
    from stitchrl.cli import planning, working

    planning.require_directory(out)
    remark(ABOUT.format(patients=patients))
    place = out.absolute() / LOG
    log = simulated(place, patients=patients, seed=seed)
    plan = demo_plan(place, updates=updates, seeds=seeds, seed=seed)
    working.run_and_show(
        ctx, plan, log, out, as_json=as_json, more_commands=(("A log of yours", OWN),)
    )


def demo_plan(log: Path, *, updates: int, seeds: int, seed: int) -> "Plan":
    """What the demo does with its log."""
    from stitchrl.cli.planning import chunk_of
    from stitchrl.plan import Plan

    return Plan(
        log=str(log),
        title="Sepsis treatment in intensive care",
        outcome="Probability of survival",
        group_name="patients",
        behavior_name="Clinicians",
        truth="icu_sepsis",
        algorithms={name: {"hidden": [HIDDEN]} for name in ALGORITHMS},
        seeds=seeds,
        updates=updates,
        chunk=chunk_of(updates),
        seed=seed,
        discount=1.0,
    )


def simulated(place: Path, *, patients: int, seed: int) -> "Dataset":
    """Write the log of these patients, so that everything else can read it again.

    Raises `ArtifactError` if the log of other patients stands there.
    """
    from stitchrl import sources
    from stitchrl.choices import Choices
    from stitchrl.problems import icu_sepsis

    log = icu_sepsis.load().simulate(patients, seed)
    levels = tuple(str(level) for level in range(icu_sepsis.LEVELS))
    drugs = Choices.joint(("fluids", "vasopressors"), (levels, levels))
    log = replace(log, actions=drugs)  # As hospitals log them: a column for each.
    if not place.is_file():
        sources.write_table(log, place)
    found = sources.load(place)
    if found.content_hash() != log.content_hash():
        raise ArtifactError(
            f"'{place}' holds other patients than these {patients:,} of seed {seed}. "
            "Choose another --out."
        )
    return found
