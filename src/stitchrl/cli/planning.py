"""From a plan file and options to a plan, and to the log it is about."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from stitchrl import sources
from stitchrl.algorithms import ALGORITHMS, USUAL, find
from stitchrl.dataset import Dataset
from stitchrl.findings import did_you_mean, perhaps
from stitchrl.grids import Grid, parse_option
from stitchrl.needs import met_by, served
from stitchrl.plan import Plan
from stitchrl.sources.mapping import mapping_of
from stitchrl.spaces import Spec

TABULAR = "value_iteration"
LONGEST_CHUNK, FEWEST_CHUNKS = 1_000, 20


def planned(
    log: Path,
    *,
    file: Path | None = None,
    mapping: str | None = None,
    algorithms: str | None = None,
    options: Sequence[str] = (),
    flags: Mapping[str, Any],
) -> tuple[Plan, Dataset]:
    """Read the log and say what a run on it will do.

    `flags` are entries of the plan, None where an option was not given; they win over the
    file. Raises `DataError` if the log cannot be read, and `ValueError` naming an entry
    that does not exist or does not fit.
    """
    entries = {} if file is None else _read(file)
    if mapping is not None:
        entries["mapping"] = mapping
    found = _mapping(entries.pop("mapping", None))
    dataset = sources.load(log, found)
    if found is not None:
        entries["mapping"] = _as_given(found)
    entries |= {name: value for name, value in flags.items() if value not in (None, ())}
    entries["log"] = str(log.absolute())
    met = met_by(dataset)
    entries |= _algorithms(algorithms, entries, dataset.spec, met)
    entries["algorithms"] = _with_options(entries["algorithms"], options, dataset.spec)
    if isinstance(entries.get("updates"), int) and "chunk" not in entries:
        entries["chunk"] = chunk_of(entries["updates"])
    return _checked(entries, file).resolved(dataset.spec, met), dataset


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(f"There is no plan file '{file}'.")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"The plan '{file}' is not valid TOML: {error}.") from error


def _mapping(said: Any) -> sources.Mapping | None:
    """A preset's name, the path of a TOML file, or the entries themselves."""
    if said is None:
        return None
    if isinstance(said, dict):
        return mapping_of(said)
    is_preset = str(said) in sources.presets()
    return sources.preset(str(said)) if is_preset else sources.read_mapping(Path(said))


def _as_given(mapping: sources.Mapping) -> dict[str, Any]:
    """Its entries as plain data, without those that its preset adds again."""
    added = set(mapping.conventional)
    return mapping.model_dump(mode="json", exclude_unset=True, exclude=added)


def _algorithms(
    said: str | None, entries: dict[str, Any], spec: Spec, met: Collection[str]
) -> dict[str, Any]:
    """The plan's entries `algorithms` and `tabular`."""
    kind = type(spec.action)
    if said is None:
        grids = entries.get("algorithms")
        usual = {name: {} for name in served(USUAL[kind], spec, met)}
        return {"algorithms": usual if grids is None else _grids(grids, spec)}
    if said == "all":
        return {"algorithms": {name: {} for name in served(ALGORITHMS, spec, met)}}
    if said == "none":
        return {"algorithms": {}, "tabular": False}
    names = [name.strip() for name in said.split(",") if name.strip()]
    for name in names:
        if name in ALGORITHMS:
            find(name, spec.action)
        elif name != TABULAR:
            known = [*(one for one in ALGORITHMS if kind in ALGORITHMS[one]), TABULAR]
            raise ValueError(
                f"--algorithms: there is no '{name}'. {perhaps(name, known)}For this log "
                f"there are: {', '.join(known)}; or all, or none."
            )
    before = _grids(entries.get("algorithms") or {}, spec)
    return {
        "algorithms": {name: before.get(name, {}) for name in names if name != TABULAR},
        "tabular": TABULAR in names,
    }


def _grids(said: Any, spec: Spec) -> dict[str, Grid]:
    """Of a plan file: a table of tables, in which one value need not be a list."""
    if not isinstance(said, dict) or not all(isinstance(v, dict) for v in said.values()):
        raise ValueError(
            "`algorithms` of a plan is a table for each algorithm: write [algorithms.iql] "
            "and below it expectile = [0.7, 0.9]."
        )

    def listed(name: str, key: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            return [value]
        is_sizes = _kind(name, key, spec) is tuple and all(type(v) is int for v in value)
        return [value] if is_sizes else value

    return {
        name: {key: listed(name, key, value) for key, value in grid.items()}
        for name, grid in said.items()
    }


def _with_options(
    grids: dict[str, Grid], options: Sequence[str], spec: Spec
) -> dict[str, Grid]:
    """The grids, and what -o adds to them; `all.` is meant for each that has the field."""
    changed = {name: dict(grid) for name, grid in grids.items()}
    parsed = [(text, *parse_option(text)) for text in options]
    for text, name, key, values in sorted(parsed, key=lambda one: one[1] != "all"):
        meant = [name] if name in changed else []
        if name == "all":
            meant = [one for one in changed if _kind(one, key, spec) is not None]
        if not meant:
            known = [*changed, "all"] if name != "all" else _fields([*changed], spec)
            hint = did_you_mean(key if name == "all" else name, known) if known else ""
            raise ValueError(
                f"-o {text}: no algorithm of this run is meant. {hint}".rstrip()
            )
        for one in meant:
            changed[one][key] = values
    return changed


def _fields(names: Sequence[str], spec: Spec) -> dict[str, Any]:
    """Every hyper-parameter of these algorithms."""
    classes = [ALGORITHMS[name].get(type(spec.action)) for name in names]
    return {field.name: None for cls in classes if cls for field in fields(cls)}


def _kind(name: str, key: str, spec: Spec) -> Any:
    """float, int, bool, tuple, …; None where there is no such hyper-parameter."""
    cls = ALGORITHMS.get(name, {}).get(type(spec.action))
    if cls is None:
        return None
    types = {field.name: field.type for field in fields(cls)}
    return get_origin(types.get(key)) or types.get(key)


def chunk_of(updates: int) -> int:
    """The updates between two looks: at most 1,000, at least 20 looks where possible."""
    longest = max(2, min(LONGEST_CHUNK, updates // FEWEST_CHUNKS))
    divisors = (d for d in range(longest, max(1, longest // 10), -1) if updates % d == 0)
    return next((d for d in divisors if d > 1), max(updates, 2))


def _checked(entries: dict[str, Any], file: Path | None) -> Plan:
    """Raises `ValueError` with one line for every wrong entry."""
    try:
        return Plan.model_validate(entries)
    except ValidationError as error:
        lines = [_explained(dict(problem), file) for problem in error.errors()]
        raise ValueError("\n".join(dict.fromkeys(lines))) from None


def _explained(problem: dict[str, Any], file: Path | None) -> str:
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return (
            f"The plan '{file}' has the unknown entry '{name}'. "
            f"{did_you_mean(name, Plan.model_fields)}"
        )
    said = str(problem["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"'{name}' of the plan {said}."
    said = said.lower()
    return f"'{name}' of the plan {said}, but is {problem['input']!r}."


def policies_of(given: Sequence[str] | None, has_columns: bool) -> tuple[str, ...]:
    """External policies of a plan: paths as they are found from anywhere."""
    named = [
        str(Path(name).absolute()) if Path(name).is_dir() else name for name in given or ()
    ]
    return (*named, *(["column"] if has_columns else []))


def require_directory(out: Path) -> None:
    """Raise `ValueError` if a file stands where a run is to have its directory."""
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise ValueError(
                f"A run is written into a directory, but '{place}' is a file. Name another "
                "place with --out."
            )
