"""Published hyper-parameters, one TOML file per algorithm, one table per benchmark family.

A preset is data: what authors used for locomotion, mazes or hands, and where they say so.
It is chosen by name and printed in every report; what a user sets beside it wins.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict

from stitchrl.findings import perhaps


class Preset(BaseModel):
    """What was published for one algorithm on one family of benchmarks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str  # Repository and file, or paper and table.
    hyperparameters: dict[str, Any] = {}  # Where they depart from the class's defaults.
    reward: str = "raw"  # How rewards were transformed, as `--reward` takes it.
    normalize: bool = True  # Whether observations were scaled.
    updates: int | None = None
    note: str = ""  # What the table cannot say.


@cache
def presets_of(algorithm: str) -> dict[str, Preset]:
    """All presets of one algorithm, by the family's name; none where nothing is published.

    Raises `ValueError` naming file and table if one of ours is malformed.
    """
    file = resources.files(__name__).joinpath(f"{algorithm}.toml")
    if not file.is_file():
        return {}
    tables = tomllib.loads(file.read_text())
    return {name: Preset.model_validate(table) for name, table in tables.items()}


def families() -> list[str]:
    """Every name that a preset can be chosen by."""
    return sorted({family for name in _files() for family in presets_of(name)})


def chosen(family: str, algorithms: list[str]) -> dict[str, Preset]:
    """The presets of this family, for those of the algorithms that have one.

    Raises `ValueError` if the family does not exist or none of them has it.
    """
    known = families()
    if family not in known:
        raise ValueError(
            f"There is no preset '{family}'. {perhaps(family, known)}"
            f"There are: {', '.join(known)}."
        )
    found = {
        name: presets_of(name)[family] for name in algorithms if family in presets_of(name)
    }
    if not found:
        having = [name for name in sorted(_files()) if family in presets_of(name)]
        raise ValueError(
            f"None of {', '.join(algorithms)} has a preset '{family}'; there is one for "
            f"{', '.join(having)}. Leave the preset out: the defaults are the authors'."
        )
    return found


def _files() -> list[str]:
    found = (file.name for file in resources.files(__name__).iterdir())
    return [name.removesuffix(".toml") for name in found if name.endswith(".toml")]
