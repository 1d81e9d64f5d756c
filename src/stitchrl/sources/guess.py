"""Propose a mapping for a file, and say what cannot be known from it."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stitchrl.sources.columns import Source, Text
from stitchrl.sources.guess_action import propose_action
from stitchrl.sources.guess_observation import propose_observation
from stitchrl.sources.mapping import mapping_of, toml_of
from stitchrl.sources.opening import open_source
from stitchrl.sources.proposal import Proposal, listed, plain, vocabulary


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
    for preset, needed in vocabulary()["signatures"].items():
        if names >= set(needed):
            return _by_preset(source, {"preset": preset})
    if source.convention.get("preset") not in ("plain", "plain_continuous"):
        return _by_preset(source, dict(source.convention))
    return _Roles(source).guess()


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


class _Roles(Proposal):
    """Goes through the roles."""

    def guess(self) -> Guess:
        episode = self._episode()
        presumed = episode or next(iter(self._blocks()), None)
        self._step(episode)
        self._group(presumed)
        if (time := self.named("time")) and not isinstance(self.columns[time], Text):
            self.set("time", time)
        count = propose_action(self, presumed)
        reward = self._reward(presumed)
        self._ends()
        self._propensity()
        state = self.named("state_id")
        if state and self.seen.is_whole(state):
            self.set("state_id", state)
        self._valid_actions(count)
        if presumed != episode:
            self.take([str(presumed)])
        propose_observation(self, presumed, reward)
        self.lines += _DECLARATIONS
        self.unknown += _DECLARE
        return Guess("\n".join(self.lines) + "\n", tuple(self.unknown))

    def _episode(self) -> str | None:
        by_suffix = self.named_by_suffix("episode")
        name = self.named("episode") or next(
            filter(self.seen.is_in_blocks, by_suffix), None
        )
        if name is not None:
            self.set("episode", name)
            return name
        if name := self.named("group"):
            self.set("episode", name)
            self.unknown.append(
                f"Each '{name}' is taken as one episode: if one has several visits, map "
                "the column that tells them apart as episode, and this one as group."
            )
            return name
        blocks = self._blocks()
        self.leave(
            f"episode = {toml_of([*blocks, *by_suffix, 'COLUMN'][0])}",
            "No column is named like an episode"
            + (f"; constant over blocks of rows: {listed(blocks, 3)}." if blocks else ".")
            + " Without one, episodes end where a flag is set.",
        )
        return None

    def _blocks(self) -> list[str]:
        """Columns that may name episodes, the one that tells most apart first."""
        blocks = [name for name in self.free if self.seen.is_in_blocks(name)]
        return sorted(blocks, key=lambda name: -len(self.seen.values(name)))

    def _group(self, episode: str | None) -> None:
        if (name := self.named("group")) and name != episode:
            self.set("group", name)
            return
        if episode is None:
            return
        among = [*self.named_by_suffix("group"), *self.free]
        for name in among:
            if name != episode and self.seen.is_shared(name, episode):
                count, episodes = (len(self.seen.values(n)) for n in (name, episode))
                self.set("group", name, f"{count:,} over {episodes:,} episodes")
                self.unknown.append(
                    f"Several episodes share a '{name}': is it who they belong to? Then "
                    "group keeps them together; else put it elsewhere."
                )
                return

    def _step(self, episode: str | None) -> None:
        name = self.named("step")
        if name is None or not self.seen.is_whole(name):
            rising = [] if episode is None else self.seen.counters(episode, self.free)
            if rising:
                self.leave(
                    f"step = {toml_of(rising[0])}",
                    f"'{rising[0]}' counts within each episode: is it the step?",
                )
            return
        self.set("step", name)
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

    def _reward(self, episode: str | None) -> str | None:
        name = self.named("reward")
        if name:
            self.set("reward", name)
        else:
            self._ask_reward(episode)
        more = [name for name in self.free if re.match(r"rewards?[._]", name.lower())]
        if more:
            named = {re.sub(r"^rewards?[._]", "", name.lower()): name for name in more}
            self.lines.append(f"rewards = {toml_of(named)}")
            self.take(more)
        return name

    def _ask_reward(self, episode: str | None) -> None:
        """Show what the reward may be; none of it was known before the decision."""
        ends = [*self.vocabulary["unclear_end"], *self.vocabulary["terminated"]]
        ends += self.vocabulary["truncated"]
        free = [name for name in self.free if plain(name) not in ends]
        late = [n for n in free if episode and self.seen.is_at_ends_only(n, episode)]
        hinted = [name for name in self.worded("reward") if name in free]
        found = sorted(dict.fromkeys(hinted + late), key=lambda name: name not in late)
        said = "No column is named like a reward"
        if not found:
            self.leave('reward = "COLUMN"', f"{said}.")
            return
        self.leave(
            f"reward = {toml_of(found[0])}",
            f"{said}; by name, or because it is 0 before the last row, it may be: "
            f"{listed(found)}. More must be better: turn the sign of a cost. None of "
            "these is proposed as observation.",
        )
        self.take(found)

    def _ends(self) -> None:
        found = 0
        for role in ("terminated", "truncated"):
            if (name := self.named(role)) and self.seen.is_flag(name):
                self.set(role, name)
                found += 1
        unclear = self.named("unclear_end")
        if unclear and self.seen.is_flag(unclear):
            self.take([unclear])
            if self.seen.codes(unclear).max() == 0:
                self.unknown.append(f"'{unclear}' is the same in every row: no end.")
                unclear = None
        else:
            unclear = None
        assumed = (
            "Nothing says for sure how episodes end: the last row of each is taken as a "
            'cut (truncated). If it was over there, write terminated = "last_row".'
        )
        if unclear:
            self.leave(
                f"terminated = {toml_of(unclear)}  # or episode_end = {toml_of(unclear)}"
                + ('; or terminated = "last_row"' if not found else ""),
                f"'{unclear}' ends episodes, but does it mean that the process was over "
                f'(terminated = "{unclear}"), or possibly only that the recording stopped '
                f'(episode_end = "{unclear}")?' + (f" {assumed}" if not found else ""),
            )
        elif not found:
            self.leave('terminated = "last_row"', assumed)

    def _propensity(self) -> None:
        name = self.named("propensity")
        if name is None or isinstance(self.columns[name], Text):
            self.leave(
                'propensity = "COLUMN"',
                "The log does not say how probable its actions were: that will have to be "
                "estimated, and is weaker.",
            )
            return
        values = self.seen.values(name)
        if values.min() > 0 and values.max() <= 1:
            self.set("propensity", name)
        elif values.max() <= 0:
            self.set("propensity", name)
            self.lines.append('propensity_is = "log_probability"')
        else:
            self.leave(
                f"propensity = {toml_of(name)}",
                f"'{name}' ranges from {values.min():g} to {values.max():g}: neither "
                "probabilities nor their logarithms.",
            )

    def _valid_actions(self, count: int | None) -> None:
        flags = [name for name in self.starting("valid_actions") if self.seen.is_flag(name)]
        if flags and len(flags) == count:
            self.set("valid_actions", flags)
            self.unknown.append(
                "valid_actions must stand in the order of action_labels (without those: "
                f"sorted): check {', '.join(flags[:3])}, …"
            )
