"""A mapping while it is being proposed: lines, doubts, and columns without a role."""

import re
import tomllib
from importlib import resources
from typing import Any

from stitchrl.sources.columns import Source
from stitchrl.sources.evidence import Evidence
from stitchrl.sources.mapping import toml_of

SUFFIXES = ("number", "index", "code", "num", "key", "id", "nr", "no")


def vocabulary() -> dict[str, Any]:
    """Names under which roles are found in logs."""
    file = resources.files("stitchrl.sources") / "names.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def plain(name: str) -> str:
    """A name as the vocabulary spells it."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def listed(names: list[str], limit: int = 8) -> str:
    """The first few names, in quotation marks."""
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown + (", …" if len(names) > limit else "")


class Proposal:
    """What one role takes, later ones do not get."""

    def __init__(self, source: Source):
        self.source, self.vocabulary = source, vocabulary()
        self.seen = Evidence(source)
        self.columns = self.seen.columns
        self.free = list(self.columns)
        self.lines: list[str] = []
        self.unknown: list[str] = [*self.seen.failures]

    def set(self, role: str, value: str | list[str], remark: str = "") -> None:
        """Write an entry; its columns are taken."""
        self.lines.append(
            f"{role} = {toml_of(value)}" + (f"  # {remark}" if remark else "")
        )
        self.take([value] if isinstance(value, str) else value)

    def take(self, names: list[str]) -> None:
        """Leave these columns to no other role."""
        self.free = [name for name in self.free if name not in names]

    def leave(self, entry: str, sentence: str) -> None:
        """Write an entry as a comment, and why it is for the owner to settle."""
        self.lines.append(f"# {entry}")
        self.unknown.append(sentence)

    def named(self, role: str) -> str | None:
        """The free column with the most preferred name for this role."""
        known = self.vocabulary[role]
        found = [name for name in self.free if plain(name) in known]
        return min(found, key=lambda name: known.index(plain(name)), default=None)

    def named_by_suffix(self, role: str) -> list[str]:
        """Free columns called like this role and a number: patient_nr, stay_key."""
        return [
            name
            for name in self.free
            for suffix in SUFFIXES
            if plain(name).endswith(suffix)
            and plain(name).removesuffix(suffix) in self.vocabulary[role]
        ]

    def starting(self, role: str) -> list[str]:
        """Free columns that begin as those of this role do."""
        prefixes = tuple(self.vocabulary["prefixes"][role])
        return [name for name in self.free if name.lower().startswith(prefixes)]

    def worded(self, role: str) -> list[str]:
        """Free columns with a part that hints at this role."""
        hints = tuple(self.vocabulary["hints"][role])
        return [
            name
            for name in self.free
            if any(part.startswith(hints) for part in re.split(r"[^a-z]+", name.lower()))
        ]
