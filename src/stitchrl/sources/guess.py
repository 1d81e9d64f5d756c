"""Propose a mapping for a file, and say what cannot be known from it."""

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stitchrl.dataset import MAX_ACTIONS
from stitchrl.sources.columns import Source, Text, labels
from stitchrl.sources.evidence import Evidence
from stitchrl.sources.mapping import MAX_CATEGORIES, mapping_of, toml_of
from stitchrl.sources.opening import open_source

FEW = 50  # Whole numbers with more values than this may be amounts.


class Guess(NamedTuple):
    """A proposal to be read and corrected by someone who knows the data."""

    toml: str  # A mapping; what is not known stands in it as a comment.
    unknown: tuple[str, ...]  # One sentence for each thing that the file does not tell.


def guess(path: str | Path) -> Guess:
    """Propose a mapping by the names, types and order of a file's columns.

    Nothing is invented: a role that no column clearly plays stays commented out. Raises
    `DataError` if the file cannot be read.
    """
    source = open_source(Path(path))
    names = set(source.names)
    vocabulary = _vocabulary()
    for preset, needed in vocabulary["signatures"].items():
        if names >= set(needed):
            return _by_preset(source, {"preset": preset})
    if source.convention.get("preset") not in ("plain", "plain_continuous"):
        return _by_preset(source, dict(source.convention))
    return _Proposal(source, vocabulary).guess()


def _vocabulary() -> dict[str, Any]:
    file = resources.files("stitchrl.sources") / "names.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _by_preset(source: Source, entries: dict[str, Any]) -> Guess:
    lines = [f"{name} = {toml_of(value)}" for name, value in entries.items()]
    if "preset" not in entries:
        sentence = f"'{source.path}' was written by stitchrl and carries this mapping."
        return Guess("\n".join(lines) + "\n", (sentence,))
    sentence = (
        f"'{source.path}' looks like the convention '{entries['preset']}': compare what "
        "that preset says about ends with how the log was made."
    )
    mapping = mapping_of(entries)
    if mapping.reward_bounds and mapping.horizon:
        return Guess("\n".join(lines) + "\n", (sentence,))
    return Guess("\n".join([*lines, *_DECLARATIONS]) + "\n", (sentence, *_DECLARE))


_DECLARATIONS = (
    "# reward_bounds = [LOWEST, HIGHEST]  # what a reward can be, not what it was",
    "# horizon = STEPS  # the longest episode possible",
)
_DECLARE = (
    "Which rewards are possible and how long an episode can be is not in the data: declare "
    "reward_bounds and horizon to get guarantees.",
)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


class _Proposal:
    """Goes through the roles; what one role takes, later ones do not get."""

    def __init__(self, source: Source, vocabulary: dict[str, Any]):
        self.source, self.vocabulary = source, vocabulary
        self.unknown = list[str]()
        self.lines: list[str] = []
        self.seen = Evidence(source)
        self.columns = self.seen.columns
        self.free = list(self.columns)
        self.unknown += self.seen.failures

    def guess(self) -> Guess:
        episode = self._episode()
        self._step(episode)
        group = self._named("group")
        if group and group != episode:
            self._set("group", group)
        if (time := self._named("time")) and not isinstance(self.columns[time], Text):
            self._set("time", time)
        count = self._action()
        self._reward()
        self._ends()
        self._propensity()
        state = self._named("state_id")
        if state and self.seen.is_whole(state):
            self._set("state_id", state)
        self._valid_actions(count)
        self._observation()
        self.lines += _DECLARATIONS
        self.unknown += _DECLARE
        return Guess("\n".join(self.lines) + "\n", tuple(self.unknown))

    def _set(self, role: str, value: str | list[str], remark: str = "") -> None:
        self.lines.append(
            f"{role} = {toml_of(value)}" + (f"  # {remark}" if remark else "")
        )
        for name in [value] if isinstance(value, str) else value:
            if name in self.free:
                self.free.remove(name)

    def _leave(self, entry: str, sentence: str) -> None:
        self.lines.append(f"# {entry}")
        self.unknown.append(sentence)

    def _named(self, role: str) -> str | None:
        """The free column with the most preferred name for this role."""
        known = self.vocabulary[role]
        found = [name for name in self.free if _plain(name) in known]
        return min(found, key=lambda name: known.index(_plain(name)), default=None)

    def _starting(self, role: str) -> list[str]:
        prefixes = tuple(self.vocabulary["prefixes"][role])
        return [name for name in self.free if name.lower().startswith(prefixes)]

    def _episode(self) -> str | None:
        if name := self._named("episode"):
            self._set("episode", name)
            return name
        if name := self._named("group"):
            self._set("episode", name)
            self.unknown.append(
                f"Each '{name}' is taken as one episode: if one has several visits, map "
                "the column that tells them apart as episode, and this one as group."
            )
            return name
        blocks = [name for name in self.free if self.seen.is_in_blocks(name)]
        shown = ", ".join(f"'{name}'" for name in blocks[:3])
        self._leave(
            f"episode = {toml_of(blocks[0] if blocks else 'COLUMN')}",
            "No column is named like an episode"
            + (f"; constant over blocks of rows: {shown}." if blocks else ".")
            + " Without one, episodes end where a flag is set.",
        )
        return None

    def _step(self, episode: str | None) -> None:
        name = self._named("step")
        if name is None or not self.seen.is_whole(name):
            rising = [] if episode is None else self.seen.counters(episode, self.free)
            if rising:
                self._leave(
                    f"step = {toml_of(rising[0])}",
                    f"'{rising[0]}' counts within each episode: is it the step?",
                )
            return
        self._set("step", name)
        if episode is None:
            return
        ids, steps = self.seen.codes(episode), np.asarray(self.columns[name], np.float64)
        order = np.lexsort([steps, ids])
        if (np.diff(steps[order])[np.diff(ids[order]) == 0] <= 0).any():
            self.unknown.append(
                f"'{name}' repeats within an episode: there are doubled rows, or "
                f"'{episode}' does not tell all episodes apart."
            )
        inside = np.diff(ids) == 0
        is_split = np.count_nonzero(~inside) > ids.max()
        if is_split or (np.diff(steps)[inside] < 0).any():
            self.lines.append("sort = true  # rows do not stand in order")

    def _action(self) -> int | None:
        """Writes the action's lines; how many choices there are."""
        name = self._named("action")
        several = [] if name else self._starting("action")
        if name is None and not several:
            few = [
                n
                for n in self.free
                if self.seen.is_whole(n) and len(self.seen.values(n)) <= FEW
            ]
            shown = ", ".join(f"'{candidate}'" for candidate in few[:8])
            self._leave(
                'action = "COLUMN"',
                "No column is named like an action"
                + (f"; with few whole numbers: {shown}." if few else "."),
            )
            return None
        column = None if name is None else self.columns[name]
        is_choice = (
            isinstance(column, Text) or name is not None and self.seen.is_whole(name)
        )
        if name is not None and is_choice and len(self.seen.values(name)) <= MAX_ACTIONS:
            count = len(labels(self.columns[name], name, self.source.path).values)
            self._set("action", name, f"{count} choices")
            if count > FEW:
                self.unknown.append(
                    f"'{name}' has {count:,} values: are they choices, or an amount? For "
                    f'an amount write action = ["{name}"].'
                )
            return count
        self._set("action", [name] if name else several, "amounts")
        self._leave(
            "action_low = LOWEST",
            "The limits of the continuous actions are not in the data: without action_low "
            "and action_high the log's own smallest and largest are used.",
        )
        self.lines.append("# action_high = HIGHEST")
        return None

    def _reward(self) -> None:
        if name := self._named("reward"):
            self._set("reward", name)
        else:
            self._leave('reward = "COLUMN"', "No column is named like a reward.")
        more = [name for name in self.free if re.match(r"rewards?[._]", name.lower())]
        if more:
            named = {re.sub(r"^rewards?[._]", "", name.lower()): name for name in more}
            self.lines.append(f"rewards = {toml_of(named)}")
            self.free = [name for name in self.free if name not in more]

    def _ends(self) -> None:
        found = 0
        for role in ("terminated", "truncated"):
            if (name := self._named(role)) and self.seen.is_flag(name):
                self._set(role, name)
                found += 1
        unclear = self._named("unclear_end")
        if unclear and self.seen.is_flag(unclear):
            self._leave(
                f"terminated = {toml_of(unclear)}",
                f"'{unclear}' ends episodes, but does it mean that the process was over "
                f'(terminated = "{unclear}"), or possibly only that the recording stopped '
                f'(episode_end = "{unclear}")?',
            )
            self.free.remove(unclear)
        if not found:
            self._leave(
                'terminated = "last_row"',
                "Nothing says for sure how episodes end: the last row of each is taken as "
                'a cut (truncated). If it was over there, write terminated = "last_row".',
            )

    def _propensity(self) -> None:
        name = self._named("propensity")
        if name is None or isinstance(self.columns[name], Text):
            self._leave(
                'propensity = "COLUMN"',
                "The log does not say how probable its actions were: that will have to be "
                "estimated, and is weaker.",
            )
            return
        values = self.seen.values(name)
        if values.min() > 0 and values.max() <= 1:
            self._set("propensity", name)
        elif values.max() <= 0:
            self._set("propensity", name)
            self.lines.append('propensity_is = "log_probability"')
        else:
            self._leave(
                f"propensity = {toml_of(name)}",
                f"'{name}' ranges from {values.min():g} to {values.max():g}: neither "
                "probabilities nor their logarithms.",
            )

    def _valid_actions(self, count: int | None) -> None:
        flags = [
            name for name in self._starting("valid_actions") if self.seen.is_flag(name)
        ]
        if flags and len(flags) == count:
            self._set("valid_actions", flags)
            self.unknown.append(
                "valid_actions must stand in the order of action_labels (without those: "
                f"sorted): check {', '.join(flags[:3])}, …"
            )

    def _observation(self) -> None:
        following = set(self._starting("next_observation"))
        index = [name for name in self.free if self.seen.is_row_number(name)]
        dates = [name for name in self.free if _plain(name) in self.vocabulary["time"]]
        rest = [n for n in self.free if n not in following and n not in index + dates]
        prefixed = [name for name in self._starting("observation") if name in rest]
        chosen, categories = [], {}
        left = index + dates + [name for name in rest if prefixed and name not in prefixed]
        for name in prefixed or rest:
            column = self.columns[name]
            if isinstance(column, Text) and len(self.seen.values(name)) > MAX_CATEGORIES:
                left.append(name)
                continue
            chosen.append(name)
            if isinstance(column, Text):
                categories[name] = sorted(map(str, self.seen.values(name)))
        if chosen:
            self._set("observation", chosen)
        else:
            self._leave('observation = ["COLUMN"]', "No column is left for observations.")
        self._following(chosen, following)
        if left:
            shown = ", ".join(f"'{name}'" for name in left[:8])
            self.unknown.append(
                f"Left out: {shown}{', …' if len(left) > 8 else ''}. Add to observation "
                "what was known before each decision, and nothing else."
            )
        if categories:
            self.lines.append(f"categories = {toml_of(categories)}")
        self._gaps(chosen)

    def _following(self, chosen: list[str], following: set[str]) -> None:
        for prefix in self.vocabulary["prefixes"]["next_observation"]:
            names = [f"{prefix}{name}" for name in chosen]
            if chosen and set(names) <= following:
                self._set("next_observation", names)

    def _gaps(self, chosen: list[str]) -> None:
        gaps = []
        for name in chosen:
            if self.seen.has_gap(name):
                gaps.append(name)
        if gaps:
            shown = ", ".join(f"'{name}'" for name in gaps[:8])
            self._leave(
                'missing = "flag"',
                f"Values are missing in {shown}: fill them with the mean "
                '(missing = "mean"), and perhaps say so in a feature (missing = "flag")?',
            )
