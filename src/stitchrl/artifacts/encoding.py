"""JSON as the standard has it: no NaN, no infinity, no key twice."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stitchrl.artifacts.files import ArtifactError, save_file


def save_json(path: str | Path, value: Any) -> None:
    """Save plain data as JSON; see `json_to_bytes` and `save_file`."""
    save_file(path, json_to_bytes(value))


def json_to_bytes(value: Any) -> bytes:
    """Indented UTF-8 of dicts, lists, strings, numbers and arrays. NaN becomes null.

    Raises `ArtifactError` naming the place of an infinity, of a key that is not a string
    and of anything that is not plain data.
    """
    text = json.dumps(plain(value, "value"), indent=1, ensure_ascii=False, allow_nan=False)
    # Half of a surrogate pair has no UTF-8, but its escape \udc80 is also JSON's.
    return (text + "\n").encode("utf-8", "backslashreplace")


def plain(value: Any, place: str) -> Any:
    """`value` in the types of JSON, NaN as None; `place` is its name in errors."""
    if hasattr(value, "tolist"):  # Arrays and scalars of NumPy and JAX.
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise ArtifactError(
                f"{place} is {value}, which JSON cannot hold. Write None where there is no "
                "number, or a string that says what infinity means there."
            )
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {
            _key(key, place): plain(item, f"{place}[{key!r}]")
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
    raise ArtifactError(
        f"{place} is of type {type(value).__name__}, but JSON holds dicts, lists, strings, "
        "numbers, booleans and None. Convert it before saving."
    )


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str):
        raise ArtifactError(
            f"{place} has the key {key!r}, but the keys of JSON are strings. Convert it."
        )
    return key


def bytes_to_json(data: bytes, *, source: str) -> Any:
    """The value of strict JSON. Raises `ArtifactError` naming `source` otherwise."""

    def no_number(word: str):
        raise ValueError(f"{word} is not a number in JSON")

    def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            raise ValueError("a key stands twice in one object")
        return members

    try:
        return json.loads(
            data.decode(), parse_constant=no_number, object_pairs_hook=no_key_twice
        )
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            f"'{source}' is not JSON: {error}. It was cut short, damaged or edited; "
            "restore it or make it again."
        ) from error
