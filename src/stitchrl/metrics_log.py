"""A log of metrics: one JSON line per chunk, each checked by the line before it.

The checksum of a line covers its bytes and the checksum of the line before, so that a
line that was changed, lost, moved or torn is found. Equal runs write equal bytes.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stitchrl import artifacts
from stitchrl.artifacts import ArtifactError

DIGITS = 16  # Of SHA-256, in hexadecimal.
FIELD = ', "checksum": "'
END = '"}\n'
TAIL = len(FIELD) + DIGITS + len(END)


class Reading(NamedTuple):
    """The good lines of a log, and what was wrong with those after them."""

    records: list[dict[str, Any]]  # None where a number was not finite.
    warning: str  # Empty where nothing was wrong.
    ends: list[int]  # Byte at which each line ends.
    checksum: str  # Of the last line.


def read(path: str | Path, *, sealed_bytes: int = 0) -> Reading:
    """All lines up to the first bad one; a file that is not there has none.

    A bad line among the first `sealed_bytes` raises `ArtifactError`; a later one, which a
    power cut can leave, is reported in `warning`.
    """
    path = Path(path)
    data = path.read_bytes() if path.exists() else b""
    records, ends, checksum, start = [], [], "", 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        line = data[start:end].decode("utf-8", "replace")
        expected = _checksum(line[:-TAIL], checksum)
        if line[-TAIL:] != f"{FIELD}{expected}{END}":
            break
        records.append(json.loads(line[:-TAIL] + "}"))
        ends.append(end)
        checksum, start = expected, end
    warning = ""
    if start < len(data):
        warning = (
            f"'{path}' is damaged in line {len(records) + 1}: the {len(data) - start:,} "
            f"bytes from there on are not used. The {len(records)} lines before are whole."
        )
    if start < sealed_bytes:
        raise ArtifactError(
            (warning or f"'{path}' ends after line {len(records)}.")
            + f" But its first {sealed_bytes:,} bytes were sealed: it was edited or "
            "damaged since. Restore it from a copy, or train again."
        )
    return Reading(records, warning, ends, checksum)


class MetricsLog:
    """A log that is being written, line by line, in the order of `step`."""

    warning: str  # What was found damaged or missing; empty if nothing was.

    def __init__(self, path: str | Path, *, sealed_bytes: int = 0):
        """Open or begin the log at `path`; a damaged tail is cut off.

        Raises `ArtifactError` if the damage reaches into the first `sealed_bytes`.
        """
        self.path = Path(path)
        reading = read(self.path, sealed_bytes=sealed_bytes)
        self.warning = reading.warning
        if reading.warning:
            artifacts.truncate(self.path, reading.ends[-1] if reading.ends else 0)
        self._continue_after(reading)

    def _continue_after(self, reading: Reading) -> None:
        self._checksum = reading.checksum
        self._step = reading.records[-1]["step"] if reading.records else -1

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line, which survives a killed process; call `sync` for a power cut.

        `record` has the update as an int in `step`, larger than in the line before.
        Numbers that are not finite become null. Raises `ArtifactError` naming an entry
        that has no place in JSON, and if the disk is full; the log is then as it was.
        """
        values = {name: _plain(name, value) for name, value in record.items()}
        step = values.get("step")
        if type(step) is not int or step <= self._step:
            raise ArtifactError(
                f"'{self.path}': a line needs an integer 'step' larger than {self._step}, "
                f"that of the line before, but came with {step!r}. After a restart, call "
                "truncate_to with the step of the checkpoint first."
            )
        body = json.dumps(values, allow_nan=False)[:-1]
        checksum = _checksum(body, self._checksum)
        artifacts.append(self.path, f"{body}{FIELD}{checksum}{END}".encode())
        self._checksum, self._step = checksum, step

    def truncate_to(self, step: int) -> None:
        """Drop lines past `step`, which a run resumed there writes again, byte for byte.

        Says in `warning` if the log does not come as far as `step`.
        """
        reading = read(self.path)
        kept = [end for r, end in zip(reading.records, reading.ends) if r["step"] <= step]
        if len(kept) < len(reading.ends):
            artifacts.truncate(self.path, kept[-1] if kept else 0)
        self._continue_after(read(self.path))
        if max(self._step, 0) < step:
            self.warning = (
                f"{self.warning} '{self.path}' ends before step {step}, at which training "
                "goes on: metrics in between are lost."
            ).strip()

    def sync(self) -> None:
        """Have the log on the disk: call it before the checkpoint that relies on it."""
        if self.path.exists():
            artifacts.sync(self.path)


def _checksum(body: str, before: str) -> str:
    return hashlib.sha256((before + body).encode()).hexdigest()[:DIGITS]


def _plain(name: str, value: Any) -> Any:
    if hasattr(value, "tolist"):  # Arrays and scalars of NumPy and JAX.
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    raise ArtifactError(
        f"Metric '{name}' is of type {type(value).__name__}; a line holds numbers, texts, "
        "lists of them and None. Convert it, or log it elsewhere."
    )
