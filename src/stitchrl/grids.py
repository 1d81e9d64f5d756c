"""Grids of hyper-parameters: what to try, written down, and the points that are tried."""

import dataclasses
import math
import zlib
from collections.abc import Sequence
from itertools import product
from typing import Any, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from stitchrl.findings import perhaps
from stitchrl.limits import impossible
from stitchrl.tree import is_static, require_choice

MOST_TRIES = 20  # For each point: fewer are found where a grid has few.


class Range(BaseModel):
    """Numbers to draw from, evenly; with `log`, evenly in their logarithm."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_possible(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"a range must rise, but goes from {self.low} to {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a range of factors must begin above 0, not at {self.low}")
        return self

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}" + (":log" if self.log else "")


Number = bool | int | float
Option = Number | str | list[int]
Grid = dict[str, list[Option | Range]]


def points(
    name: str, grid: Grid, *, draws: int | None, seed: int
) -> list[dict[str, Option]]:
    """Every point of a grid, the last field varying fastest; or so many drawn of it.

    Of each field a value of its list is drawn, or a number of its range, rounded; points
    are never the same twice. With fewer points than draws, all are taken. `name` and `seed`
    decide the draws.
    """
    plain = {
        key: [v for v in values if not isinstance(v, Range)] for key, values in grid.items()
    }
    has_ranges = plain != grid
    if not has_ranges and (draws is None or math.prod(map(len, grid.values())) <= draws):
        return [dict(zip(plain, values)) for values in product(*plain.values())]
    assert draws is not None, "`require_draws` was not asked."
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    found: dict[str, dict[str, Option]] = {}
    for _ in range(MOST_TRIES * draws):
        point = {key: _drawn(values, rng) for key, values in grid.items()}
        found.setdefault(str(point), point)
        if len(found) == draws:
            break
    return [*found.values()]


def _drawn(values: Sequence[Option | Range], rng: np.random.Generator) -> Option:
    value = values[int(rng.integers(len(values)))]
    if not isinstance(value, Range):
        return value
    low, high = value.low, value.high
    if value.log:
        drawn = math.exp(rng.uniform(math.log(low), math.log(high)))
    else:
        drawn = rng.uniform(low, high)
    # To a thousandth of the range, so that labels stay short.
    width = math.log(high / low) * drawn if value.log else high - low
    digits = 3 - math.floor(math.log10(width))
    return min(max(round(drawn, digits), low), high)


def require_draws(name: str, grid: Grid, draws: int | None) -> None:
    """Raise `ValueError` if there is a range of which nobody says how often to draw."""
    for key, values in grid.items():
        for value in values:
            if isinstance(value, Range) and draws is None:
                raise ValueError(
                    f"'{name}.{key}' is a range, {value}, from which settings are drawn. "
                    "Say how many: --draws 16 (`draws` of a plan)."
                )


def typed_grid(name: str, grid: Grid, cls: type) -> Grid:
    """The grid with 3 as 3.0 where a float is meant, and 64 as [64] where sizes are.

    Raises `ValueError` for a field that does not exist, or a value of the wrong type or
    beyond what it can be.
    """
    types = {field.name: field.type for field in dataclasses.fields(cls)}
    choices = getattr(cls, "choices", {})
    for key, values in grid.items():
        if key not in types:
            raise ValueError(
                f"'{name}' has no hyper-parameter '{key}'. {perhaps(key, types)}"
                f"It has: {', '.join(types)}."
            )
        for value in values:
            if isinstance(value, Range):
                _require_range(f"{name}.{key}", key, value, types[key])
                continue
            if key in choices:
                require_choice(f"{name}.{key}", value, choices[key])
                continue
            if types[key] is float and isinstance(value, (bool, list, str)):
                raise ValueError(f"'{name}.{key}' is a number, but got {value!r}.")
            if is_static(types[key]) and isinstance(value, (float, str)):
                raise ValueError(f"'{name}.{key}' must be {types[key]}, but got {value!r}.")
            if (wrong := impossible(key, value)) is not None:
                raise ValueError(f"'{name}.{key}' {wrong}")
    return {key: [_typed(v, types[key]) for v in values] for key, values in grid.items()}


def _require_range(place: str, key: str, value: Range, kind: Any) -> None:
    """Of what may vary within one program, and possible at both ends."""
    if is_static(kind):
        raise ValueError(
            f"'{place}' cannot be drawn from a range: each of its values is a program of "
            "its own. List the values to try."
        )
    for end in (value.low, value.high):
        if (wrong := impossible(key, end)) is not None:
            raise ValueError(f"'{place}' {wrong}")


def _typed(value: Option | Range, kind: Any) -> Option | Range:
    if isinstance(value, bool | Range) or not isinstance(value, int):
        return value
    if kind is float:
        return float(value)
    return [value] if get_origin(kind) is tuple else value


def parse_option(text: str) -> tuple[str, str, list[Option | Range]]:
    """Read `iql.expectile=.7,.9`, `iql.hidden=64x64`, `cql.form=uniform` or a range.

    `iql.expectile=.6..0.95` is drawn from evenly, `iql.learning_rate=1e-4..1e-2:log` with
    every factor as likely as any other.

    Returns the algorithm, the field and its values.

    Raises `ValueError` showing the form expected.
    """
    target, equals, values = text.partition("=")
    name, dot, key = target.strip().partition(".")
    if not (equals and dot and key and values):
        raise ValueError(
            f"An option must look like iql.expectile=.7,.9 or iql.hidden=64x64, "
            f"but got '{text}'."
        )
    return name, key.strip(), [_parse_value(value, text) for value in values.split(",")]


def _parse_value(value: str, text: str) -> Option | Range:
    value = value.strip()
    if ".." in value:
        return _parse_range(value, text)
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    if value.isidentifier():
        return value
    try:
        return [int(part) for part in value.split("x")]
    except ValueError:
        raise ValueError(
            f"'{value}' in option '{text}' is not a number, true, false, a word, or sizes "
            "like 64x64."
        ) from None


def _parse_range(value: str, text: str) -> Range:
    ends, _, scale = value.partition(":")
    low, _, high = ends.partition("..")
    try:
        found = {"low": float(low), "high": float(high), "log": scale == "log"}
    except ValueError:
        found = None
    if found is None or scale not in ("", "log"):
        raise ValueError(
            f"'{value}' in option '{text}' is not a range: write .6..0.95, or "
            "1e-4..1e-2:log where every factor is as likely as any other."
        )
    try:
        return Range.model_validate(found)
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"'{value}' in option '{text}': {why}.") from None
