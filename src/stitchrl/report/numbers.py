"""What every section of a report is made of: finite numbers, with n and interval."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import isfinite, isnan
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from stitchrl.ope.base import Label


class Part(BaseModel):
    """A frozen piece of `report.json`; refuses unknown fields and non-finite numbers."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        ser_json_inf_nan="strings",
        use_attribute_docstrings=True,
    )


def _not_nan(number: float) -> float:
    if isnan(number):
        raise ValueError("must be a number or infinite, but is NaN; use null if unknown")
    return number


def _finite_or_none(number: Any) -> Any:
    if number is None or not isfinite(number):
        return None
    return number


def _as_tuple(items: Any) -> Any:
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        return items
    return tuple(items)


Item = TypeVar("Item")

# A list in JSON, a tuple here; arrays, lists and tuples are all accepted.
Many = Annotated[Sequence[Item], BeforeValidator(_as_tuple), AfterValidator(tuple)]

# A number that may honestly be infinite, such as a distance in bits; "Infinity" in JSON.
Unbounded = Annotated[
    float,
    Field(allow_inf_nan=True),
    AfterValidator(_not_nan),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity"]}]}),
]

# A point of a training curve: null where training was not finite.
Sample = Annotated[float | None, BeforeValidator(_finite_or_none)]

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Trust(StrEnum):
    """How far a number may be relied on."""

    GOOD = "good"
    CAUTION = "caution"
    POOR = "poor"


class Estimate(Part):
    """One number, its interval where it has one, and the n behind it."""

    value: float
    low: float | None = None
    high: float | None = None
    interval: Label | None = None
    level: Share = 0.95
    n: Count | None = None
    """Units behind the number: episodes or groups, as the data section counts them."""

    @model_validator(mode="after")
    def _has_a_whole_interval(self) -> "Estimate":
        given = [part is not None for part in (self.low, self.high, self.interval)]
        if any(given) and not all(given):
            raise ValueError(
                "an interval needs low, high and interval (its kind), all three or none"
            )
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} lies above high {self.high}")
        return self


class Histogram(Part):
    """`counts[i]` values lie in [edges[i], edges[i + 1])."""

    edges: Many[float]
    counts: Many[Count]
    n: Count
    mean: float | None = None
    values: Many[float] | None = None
    """Of each bin, where all in it are equal: few values, such as 0 and 1."""

    @model_validator(mode="after")
    def _fits(self) -> "Histogram":
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(
                f"a histogram of {len(self.counts)} counts needs {len(self.counts) + 1} "
                f"edges, but has {len(self.edges)}"
            )
        return self
