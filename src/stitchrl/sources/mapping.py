"""Which column of a file plays which role: read from TOML, or a preset by name."""

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    PrivateAttr,
    ValidationError,
)

from stitchrl.findings import DataError, Finding, Severity, did_you_mean
from stitchrl.sources.refusals import refuse

MAX_CATEGORIES = 50


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _spelled(value: Any) -> Any:
    is_list = isinstance(value, list) and not any(isinstance(v, bool) for v in value)
    return [str(v) if isinstance(v, int) else v for v in value] if is_list else value


def _in_order(values: list[float]) -> list[float]:
    if len(values) == 2 and values[0] > values[1]:
        raise ValueError("must have the smaller number first: its order is reversed")
    return values


Columns = Annotated[list[str], BeforeValidator(_one_or_more)]
Words = Annotated[list[str], BeforeValidator(_spelled)]
Range = Annotated[
    list[FiniteFloat], Field(min_length=2, max_length=2), AfterValidator(_in_order)
]


class Mapping(BaseModel):
    """Roles of columns. A name may end in `*`: every column that starts like it.

    Flags may be negated: "not masks". For ends, "every_row" and "last_row" stand for
    every row, or the last one of each episode.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    preset: str | None = None  # Roles not given here are taken from this preset.
    format: Literal["parquet", "csv", "npz", "hdf5", "minari"] | None = None
    episode: str | None = None
    step: str | None = None
    group: str | None = None  # Patient, user, robot: what splits keep together.
    time: str | None = None
    source: str | None = None  # Which policy, site or demonstrator logged the row.
    weight: str | None = None  # How much learning counts the row.
    observation: Columns = []
    next_observation: Columns = []  # Used after the last decision of an episode.
    action: str | list[str] | None = None  # One column is a choice, a list are amounts.
    actions: Columns = []  # Several choices made together: one joint action.
    # With `actions`: a table, column -> labels.
    action_labels: Words | dict[str, Words] | None = Field(None, min_length=1)
    action_low: FiniteFloat | list[FiniteFloat] | None = None
    action_high: FiniteFloat | list[FiniteFloat] | None = None
    reward: str | None = None
    rewards: dict[str, str] = {}  # Further rewards: name -> column; "*" = "reward.*".
    terminated: str | None = None
    truncated: str | None = None
    episode_end: str | None = None  # An end, whether terminated or not.
    propensity: str | None = None
    propensity_is: Literal["probability", "log_probability"] = "probability"
    valid_actions: Columns = []  # One column for each action, in the order of labels.
    state_id: str | None = None
    state_count: PositiveInt | None = None
    policy_probability: Columns = []  # Of another policy, to be evaluated.
    missing: Literal["mean", "flag"] | None = None
    may_be_missing: list[str] = []  # Observation columns in which a gap is no fault.
    categories: dict[str, Words] | Literal["auto"] = {}  # Column -> values, one-hot.
    sort: bool = False  # By episode, then step (or time).
    final_rows: bool | str = False  # Rows without a decision, after an episode's last.
    horizon: PositiveInt | None = None
    reward_bounds: Range | None = None
    return_bounds: Range | None = None

    # Roles that a preset gave: of these, columns that the file lacks are left out.
    _conventional: frozenset[str] = PrivateAttr(frozenset())

    @property
    def conventional(self) -> frozenset[str]:
        return self._conventional


def read_mapping(path: Path) -> Mapping:
    """The mapping in a TOML file, completed by its preset.

    Raises `DataError` naming the file and every wrong entry.
    """
    if not path.exists():
        raise refuse(
            "NO_FILE",
            f"There is no mapping file '{path}', and no preset of that name.",
            did_you_mean(str(path), presets()),
        )
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refuse(
            "MAPPING",
            f"The mapping '{path}' is not valid TOML: {error}.",
            'Entries look like reward = "my_column"; text stands in double quotes.',
        ) from error
    return mapping_of(entries, f"The mapping '{path}'")


def mapping_of(entries: dict[str, Any], where: str = "The mapping") -> Mapping:
    """A checked mapping, completed by its preset; `where` begins the error messages."""
    mapping = _checked(entries, where)
    if mapping.preset is None:
        return mapping
    given = {name: entries[name] for name in entries if name != "preset"}
    conventional = _preset_entries(mapping.preset)
    merged = _checked(conventional | given | {"preset": mapping.preset}, where)
    merged._conventional = frozenset(conventional) - set(given)
    return merged


def preset(name: str) -> Mapping:
    """The roles of columns in a known convention, for example 'd4rl' or 'open_bandit'."""
    return mapping_of({"preset": name})


def presets() -> list[str]:
    """The names of all presets."""
    files = (resources.files("stitchrl.sources") / "presets").iterdir()
    return sorted(Path(file.name).stem for file in files if file.name.endswith(".toml"))


def _preset_entries(name: str) -> dict[str, Any]:
    if name not in presets():
        raise refuse(
            "PRESET", f"There is no preset '{name}'.", did_you_mean(name, presets())
        )
    file = resources.files("stitchrl.sources") / "presets" / f"{name}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _checked(entries: dict[str, Any], where: str) -> Mapping:
    try:
        return Mapping.model_validate(entries)
    except ValidationError as error:
        findings = [_finding(dict(problem), where) for problem in error.errors()]
        raise DataError(list(dict.fromkeys(findings))) from None


def _finding(problem: dict[str, Any], where: str) -> Finding:
    key = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return Finding(
            "MAPPING_KEY",
            Severity.ERROR,
            f"{where} has the unknown key '{key}'.",
            did_you_mean(key, Mapping.model_fields),
        )
    said = str(problem["msg"]).removeprefix("Input ").removeprefix("Value error, ").lower()
    return Finding(
        "MAPPING",
        Severity.ERROR,
        f"{where}: '{key}' {said}, but is {problem['input']!r}.",
        "Correct this entry; `stitchrl map LOG --guess` shows what entries look like.",
    )


def toml_of(value: Any) -> str:
    """A value as TOML: text, numbers, lists, and tables inline."""
    if isinstance(value, dict):
        items = (f"{toml_of(str(key))} = {toml_of(item)}" for key, item in value.items())
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
