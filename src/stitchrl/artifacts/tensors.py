"""Named NumPy arrays as safetensors: no code in them, and limits before any parsing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from stitchrl.artifacts.encoding import bytes_to_json, json_to_bytes
from stitchrl.artifacts.files import ArtifactError

MAX_HEADER = 1_000_000  # Bytes.
MAX_TENSORS = 10_000
TYPES = {
    "BOOL": "bool",
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "F32": "float32",
    "F64": "float64",
}
NOTES = "__metadata__"


def arrays_to_bytes(
    arrays: Mapping[str, np.ndarray], *, notes: Mapping[str, str] | None = None
) -> bytes:
    """Arrays of bool, int, float32 or float64, scalars too; equal bytes for equal arrays.

    `notes` are texts kept beside them. Raises `ArtifactError` naming the tensor whose type
    cannot be stored, and where there are more or longer names than a reader accepts.
    """
    contiguous = {}
    for name, value in arrays.items():
        # The writer of the library copies raw memory, whatever the strides.
        contiguous[name] = np.asarray(value, order="C")
        kind = contiguous[name].dtype.name
        if kind not in TYPES.values():
            raise ArtifactError(
                f"Tensor '{name}' has type {kind}; what can be saved is bool, int8 to "
                "uint64, float32 and float64. Convert it first."
            )
    if len(contiguous) > MAX_TENSORS:
        raise ArtifactError(
            f"{len(contiguous):,} tensors are more than the {MAX_TENSORS:,} that one file "
            "may hold. Stack those of one kind into one array."
        )
    # In one text: the library writes several notes in an order that changes.
    text = json_to_bytes(dict(sorted((notes or {}).items()))).decode()
    data = save(contiguous, {"notes": text} if notes else None)
    _header(data, "what was to be saved")
    return data


def bytes_to_arrays(data: bytes, *, source: str = "tensors") -> dict[str, np.ndarray]:
    """The arrays by name. Raises `ArtifactError` naming `source` if they are not whole."""
    _header(data, source)
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _refusal(source, str(error)) from error


def bytes_to_notes(data: bytes, *, source: str = "tensors") -> dict[str, str]:
    """The texts that were saved beside the arrays."""
    notes = _header(data, source).get(NOTES, {}).get("notes", "{}")
    return bytes_to_json(notes.encode(), source=f"notes of {source}")


def _header(data: bytes, source: str) -> dict[str, Any]:
    """What the file says it holds, checked before the library parses anything."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise _refusal(source, f"its {len(data):,} bytes are fewer than its header says")
    if size > MAX_HEADER:
        raise _refusal(
            source, f"its header of {size:,} bytes is longer than {MAX_HEADER:,}"
        )
    header = bytes_to_json(data[8 : 8 + size], source=f"header of {source}")
    if not isinstance(header, dict) or not all(
        isinstance(e, dict) for e in header.values()
    ):
        raise _refusal(source, "its header is not a table of tensors")
    names = header.keys() - {NOTES}
    if len(names) > MAX_TENSORS:
        raise _refusal(source, f"its {len(names):,} tensors are over {MAX_TENSORS:,}")
    for name in sorted(names):
        if (kind := header[name].get("dtype")) not in TYPES:
            raise _refusal(source, f"its tensor '{name}' has the type {kind}")
    return header


def _refusal(source: str, reason: str) -> ArtifactError:
    return ArtifactError(
        f"'{source}' cannot be read as safetensors: {reason}. It was cut short, damaged or "
        "not written by us; restore it or make it again."
    )
