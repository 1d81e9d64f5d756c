"""A mapping meets a file: names are looked up, patterns spelled out."""

from collections.abc import Sequence
from dataclasses import dataclass

from stitchrl.findings import (
    DataError,
    Finding,
    Severity,
    all_there_are,
    closest,
    did_you_mean,
)
from stitchrl.sources.columns import Source
from stitchrl.sources.mapping import Mapping
from stitchrl.sources.refusals import note, refuse

ONE = "episode step group time source weight reward propensity state_id".split()
FLAGS = "terminated truncated episode_end final_rows".split()
SEVERAL = "next_observation valid_actions policy_probability".split()
EVERYWHERE = ("every_row", "last_row")


@dataclass(frozen=True)
class Bound:
    """A mapping in which every column exists in the file and no pattern is left."""

    mapping: Mapping
    columns: tuple[str, ...]  # All that must be read.
    as_text: frozenset[str]  # Those that hold names: never to be read as dates or numbers.
    notes: tuple[Finding, ...]
    coarse: frozenset[str] = frozenset()  # Only needed as float32.


def negated(spec: str) -> tuple[str, bool]:
    """The column of a flag, and whether it says the opposite: 'not masks'."""
    column = spec.removeprefix("not ")
    return column, column != spec


def bind(mapping: Mapping, source: Source) -> Bound:
    """Look up every column; raises `DataError` naming the file and the closest name."""
    facts = {
        name: value
        for name, value in source.facts.items()
        if getattr(mapping, name) is None
    }
    lookup = _Lookup(mapping, source)
    changes = facts | {name: lookup.one(name) for name in ONE}
    changes |= {name: lookup.flag(name) for name in FLAGS}
    changes["action"] = lookup.action()
    changes["actions"] = lookup.several("actions")
    changes["rewards"] = lookup.rewards()
    for name in (*SEVERAL, "observation"):  # Patterns come last: they leave out the rest.
        changes[name] = lookup.several(name)
    if lookup.refused:
        raise DataError(lookup.refused)
    bound = mapping.model_copy(update=changes)
    _require(bound, source)
    action = [bound.action] if isinstance(bound.action, str) else bound.actions
    categories = () if bound.categories == "auto" else bound.categories
    for name in categories:
        if name not in bound.observation:
            raise refuse(
                "COLUMN_MISSING",
                f"The mapping lists categories of '{name}', which is not an observation.",
                did_you_mean(name, bound.observation),
            )
    names = [bound.episode, bound.group, bound.source, *action, *categories]
    return Bound(
        bound,
        tuple(dict.fromkeys(lookup.used)),
        frozenset(name for name in names if name is not None),
        (*source.notes, *lookup.notes()),
        _coarse(bound),
    )


def bind_observations(mapping: Mapping, source: Source) -> Bound:
    """Look up only what is known before a decision: observation, state, valid actions.

    Raises as `bind` does, but needs neither actions nor rewards.
    """
    lookup = _Lookup(mapping, source)
    changes: dict[str, object] = {"state_id": lookup.one("state_id")}
    for name in ("valid_actions", "observation"):
        changes[name] = lookup.several(name)
    if lookup.refused:
        raise DataError(lookup.refused)
    bound = mapping.model_copy(update=changes)
    categories = () if bound.categories == "auto" else bound.categories
    as_text = frozenset(name for name in categories if name in bound.observation)
    used = tuple(dict.fromkeys(lookup.used))
    return Bound(bound, used, as_text, source.notes, _coarse(bound))


def _coarse(mapping: Mapping) -> frozenset[str]:
    """Columns that are nothing but numbers of observations and amounts."""
    amounts = mapping.action if isinstance(mapping.action, list) else []
    found = {*mapping.observation, *mapping.next_observation, *amounts}
    flags = [getattr(mapping, role) for role in FLAGS]
    others = [getattr(mapping, role) for role in ONE]
    others += [negated(flag)[0] for flag in flags if isinstance(flag, str)]
    others += [*mapping.rewards.values(), *mapping.valid_actions, *mapping.actions]
    others += mapping.policy_probability
    named = () if mapping.categories == "auto" else mapping.categories
    is_name = [mapping.action] if isinstance(mapping.action, str) else []
    return frozenset(found - {*others, *named, *is_name})


class _Lookup:
    """Finds columns, and remembers which were used or are lacking."""

    def __init__(self, mapping: Mapping, source: Source):
        self.mapping, self.source = mapping, source
        self.used: list[str] = []
        self.lacking: list[str] = []
        self.refused: list[Finding] = []
        self.has_listed = False  # Whether an error names all columns of the file.

    def one(self, role: str) -> str | None:
        name = getattr(self.mapping, role)
        if name is None:
            return None
        return self.find(role, name, is_needed=role == "reward")

    def flag(self, role: str) -> str | bool | None:
        spec = getattr(self.mapping, role)
        if not isinstance(spec, str) or spec in EVERYWHERE:
            return spec
        absent = False if role == "final_rows" else None
        return spec if self.find(role, negated(spec)[0]) else absent

    def action(self) -> str | list[str] | None:
        action = self.mapping.action
        if self.mapping.actions and "action" in self.mapping.conventional:
            return None
        if isinstance(action, list):
            return self.expand("action", action)
        return None if action is None else self.find("action", action, is_needed=True)

    def rewards(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, column in self.mapping.rewards.items():
            matches = self.expand("rewards", [column])
            prefix = len(column) - 1 if column.endswith("*") else 0
            for match in matches:
                found[match[prefix:] if prefix else name] = match
        return found

    def several(self, role: str) -> list[str]:
        return self.expand(role, getattr(self.mapping, role))

    def expand(self, role: str, patterns: Sequence[str]) -> list[str]:
        taken = set(self.used)
        found: dict[str, None] = {}
        for pattern in patterns:
            if not pattern.endswith("*"):
                if name := self.find(role, pattern):
                    found[name] = None
                continue
            prefix = pattern[:-1]
            matches = [
                name
                for name in self.source.names
                if name.startswith(prefix) and name not in taken
            ]
            if not matches:
                self.lack(role, pattern)
            found |= dict.fromkeys(matches)
            self.used.extend(matches)
        return list(found)

    def find(self, role: str, name: str, *, is_needed: bool = False) -> str | None:
        if name in self.source.names:
            self.used.append(name)
            return name
        self.lack(role, name, is_needed=is_needed)
        return None

    def lack(self, role: str, name: str, *, is_needed: bool = False) -> None:
        if role in self.mapping.conventional and not is_needed:
            self.lacking.append(name)
            return
        is_by_preset = role in self.mapping.conventional
        origin = f" (by preset '{self.mapping.preset}')" if is_by_preset else ""
        remedy = self.remedy(name.removesuffix("*"))
        if is_by_preset:
            guess = "`stitchrl map LOG --guess` proposes a mapping for this file."
            remedy = f"{remedy} {guess}".lstrip()
        self.refused.append(
            Finding(
                "COLUMN_MISSING",
                Severity.ERROR,
                f"The mapping takes {role} from '{name}'{origin}, but "
                f"'{self.source.path}' has no such column.",
                remedy,
            )
        )

    def remedy(self, name: str) -> str:
        """The closest column; where none is close all of them, but once."""
        close = closest(name, self.source.names)
        if close is None and self.has_listed:
            return ""
        self.has_listed |= close is None
        return did_you_mean(name, self.source.names)

    def notes(self) -> list[Finding]:
        if not self.lacking or self.mapping.preset in (None, "plain", "plain_continuous"):
            return []
        names = ", ".join(f"'{name}'" for name in self.lacking)
        return [
            note(
                "NOT_IN_FILE",
                f"Columns that preset '{self.mapping.preset}' knows are not in the file: "
                f"{names}.",
                "Nothing to do, unless they go by another name.",
            )
        ]


def _require(mapping: Mapping, source: Source) -> None:
    needed = {
        "observation": mapping.observation or mapping.state_id,
        "action": mapping.action or mapping.actions,
        "reward": mapping.reward,
    }
    for role, value in needed.items():
        if not value:
            raise refuse(
                "MAPPING_INCOMPLETE",
                f"The mapping of '{source.path}' must say which column holds the {role}.",
                f'Write {role} = "COLUMN". {all_there_are(source.names)}',
            )
    if mapping.action and mapping.actions:
        raise refuse(
            "MAPPING",
            f"The mapping of '{source.path}' has both action and actions.",
            "Write action for one choice or amounts, actions for several choices at once.",
        )
    if len(mapping.next_observation) not in (0, len(mapping.observation)):
        raise refuse(
            "MAPPING",
            f"The mapping of '{source.path}' has {len(mapping.observation)} columns of "
            f"observation, but {len(mapping.next_observation)} of next_observation.",
            "Write them one for one, in the same order.",
        )
