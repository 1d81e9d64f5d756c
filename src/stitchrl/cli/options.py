"""Arguments and options that several verbs share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

LEARN, JUDGE, SHOW, RUN = "Learning", "Judging", "Words of the report", "The run"

Log = Annotated[
    Path,
    typer.Argument(help="Parquet, CSV, .npz, D4RL or d3rlpy HDF5, or a Minari folder."),
]
Mapping = Annotated[
    str | None,
    typer.Option(help="Which column is what: a TOML file, or the name of a preset."),
]
Run = Annotated[Path, typer.Argument(help="The directory of a run, named with --out.")]
Out = Annotated[Path, typer.Option(help="The directory of the run.", rich_help_panel=RUN)]
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan", help="Entries of the plan as TOML; options win.", rich_help_panel=RUN
    ),
]
Algorithms = Annotated[
    str | None,
    typer.Option(
        help="Names with commas between them (value_iteration is one), all that fit, or "
        "none; a usual choice if not given.",
        rich_help_panel=LEARN,
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        help="Hyper-parameters to try: iql.expectile=.7,.9 or all.hidden=64x64.",
        rich_help_panel=LEARN,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(help="Members of each setting; 2 if not given.", rich_help_panel=LEARN),
]
Updates = Annotated[
    int | None,
    typer.Option(help="Of each member; 20,000 if not given.", rich_help_panel=LEARN),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="Published hyper-parameters of a family: locomotion, antmaze, maze2d, ...",
        rich_help_panel=LEARN,
    ),
]
Draws = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Random search: so many settings of each algorithm, drawn from its lists and "
        "ranges (-o iql.expectile=.6..0.95).",
        rich_help_panel=LEARN,
    ),
]
Normalize = Annotated[
    bool | None,
    typer.Option(
        "--normalize/--no-normalize",
        help="Scale observations; yes, if neither this nor a preset says no.",
        rich_help_panel=LEARN,
    ),
]
Reward = Annotated[
    str | None,
    typer.Option(
        help="What learning sees of rewards: raw, return_range, shift=-1, or "
        "scale=10,shift=-5.",
        rich_help_panel=LEARN,
    ),
]
NSteps = Annotated[
    int | None,
    typer.Option(
        "--n-steps",
        help="Rewards summed before a value is trusted; 1 if not given.",
        rich_help_panel=LEARN,
    ),
]


class Strata(StrEnum):
    """What --balance can even out."""

    SOURCE = "source"
    RETURN = "return"


Balance = Annotated[
    Strata | None,
    typer.Option(
        help="Learn as often from each source of the log, or from low and high returns.",
        rich_help_panel=LEARN,
    ),
]
FQEUpdates = Annotated[
    int | None,
    typer.Option(
        "--fqe-updates",
        help="Of networks that judge, where states have no ids.",
        rich_help_panel=JUDGE,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Of splits, members and estimators.", rich_help_panel=LEARN),
]
Discount = Annotated[
    float | None,
    typer.Option(
        help="Of the value that is estimated; 1 where episodes end, else 0.99.",
        rich_help_panel=JUDGE,
    ),
]
Horizon = Annotated[
    int | None,
    typer.Option(help="The longest episode possible, in steps.", rich_help_panel=JUDGE),
]
Margin = Annotated[
    float | None,
    typer.Option(help="By how much a policy must be better.", rich_help_panel=JUDGE),
]
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        help="Also judge this one: uniform, or the path of a bundle. Repeatable.",
        rich_help_panel=JUDGE,
    ),
]
PolicyColumns = Annotated[
    bool,
    typer.Option(
        "--policy-columns",
        help="Also judge the policy in the log's columns policy_probability.",
        rich_help_panel=JUDGE,
    ),
]
Title = Annotated[str | None, typer.Option(help="Heading.", rich_help_panel=SHOW)]
Outcome = Annotated[
    str | None,
    typer.Option(
        help='What a return means: "Probability of survival".', rich_help_panel=SHOW
    ),
]
GroupName = Annotated[
    str | None,
    typer.Option(help="What a group is, in the plural: patients.", rich_help_panel=SHOW),
]
BehaviorName = Annotated[
    str | None,
    typer.Option(help="Who made the log: Clinicians.", rich_help_panel=SHOW),
]
Threads = Annotated[
    int | None, typer.Option(help="CPUs to use; all if not given.", rich_help_panel=RUN)
]


class PrecisionName(StrEnum):
    """What --precision can be: `devices.PRECISIONS`."""

    FLOAT32 = "float32"
    TENSORFLOAT32 = "tensorfloat32"
    BFLOAT16 = "bfloat16"


Precision = Annotated[
    PrecisionName | None,
    typer.Option(
        help="Of matrix products on an accelerator; float32 if not given.",
        rich_help_panel=RUN,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Train on the Ray cluster here: auto, or HOST:6379. Needs stitchrl[ray].",
        rich_help_panel=RUN,
        metavar="ADDRESS",
    ),
]
NoRanking = Annotated[
    bool,
    typer.Option(
        "--no-ranking",
        help="Train and save, nothing else: resuming ranks.",
        rich_help_panel=RUN,
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Go on in spite of errors, with a banner.", rich_help_panel=RUN
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse to rank episodes that were cut by their return.",
        rich_help_panel=RUN,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Show the plan with memory and time.", rich_help_panel=RUN
    ),
]
