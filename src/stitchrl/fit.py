"""Training every member of a run: chunk by chunk, probed, guarded, saved and resumable."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.checkpoint import load_checkpoint, save_checkpoint, saved_steps
from stitchrl.experience import Experience, is_elsewhere
from stitchrl.guard import find_incident
from stitchrl.member_files import MemberFiles
from stitchrl.metrics_log import MetricsLog, read
from stitchrl.plan import MemberPlan
from stitchrl.population import (
    Members,
    by_program,
    compile_advance,
    compile_for_each,
    drawn_from,
    gathered,
    member,
    spread,
    stack,
    start_members,
)
from stitchrl.probing import Probe, measure, ready
from stitchrl.programs import make_room
from stitchrl.stream import Stream
from stitchrl.train import Run, start

SECONDS_BETWEEN_SAVES = 10.0


class Progress(NamedTuple):
    """Where training stands; handed out after every chunk."""

    name: str  # Algorithms in training.
    step: int
    until: int
    share: float  # Of all updates of all members of the run.
    updates_per_second: float  # Summed over the members in training.
    seconds_left: float  # For the whole run, at this rate.
    stopped: int  # Members stopped so far, because their numbers were not finite.


@dataclass(frozen=True, eq=False)
class Fitted:
    """A member after training."""

    plan: MemberPlan
    state: Any
    records: list[dict[str, Any]]  # One per chunk, as in its metrics file.
    stopped: str | None  # Why it stopped early, and where.
    seconds: float  # Of its group, in this process.
    updates: int  # Of this member, in this process: after resuming, not all.


def fit(
    plans: Sequence[MemberPlan],
    experience: Experience,
    probe: Probe,
    *,
    updates: int,
    chunk: int,
    directory: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda sentence: None,
    seconds_between_saves: float = SECONDS_BETWEEN_SAVES,
) -> list[Fitted]:
    """Train all members to `updates`, going on from what `directory` holds of them.

    Members that share a program are one population. `directory/NNN` gets each member's
    checkpoints and metrics; interrupted at any moment and called again, the result is the
    same bit for bit, on the same machine with the same threads. `say` hears what is being
    compiled, and of damaged checkpoints and metrics that were replaced by older ones.
    """
    clock = _Clock(total=updates * len(plans), report=report)
    fitted: dict[int, Fitted] = {}
    for indices in _together(plans, directory, updates):
        make_room()
        group = _Group([plans[i] for i in indices], experience, probe, directory, chunk)
        for warning in group.warnings:
            say(warning)
        if group.is_unfinished(updates):
            say(f"Compiling one program for {group.description}")
            group.compile()
        group.train(updates, clock, seconds_between_saves)
        fitted |= {one.plan.number: one for one in group.results()}
    return [fitted[plan.number] for plan in plans]


def _together(
    plans: Sequence[MemberPlan], directory: Path, updates: int
) -> list[list[int]]:
    """Members to train as one population: they share a program, and none is finished."""
    places = [MemberFiles.of(directory, plan.number) for plan in plans]
    is_finished = [place.is_finished(updates) for place in places]
    groups = by_program([plan.algorithm for plan in plans])
    parts = [
        [i for i in group if is_finished[i] == which]
        for group in groups
        for which in (True, False)
    ]
    return [part for part in parts if part]


class _Clock:
    """Turns chunks into progress."""

    def __init__(self, total: int, report: Callable[[Progress], None]):
        self.total, self.report = total, report
        self.taken = self.worked = self.stopped = 0
        self.seconds = 0.0  # Of chunks: compiling tells nothing about the time left.

    def tell(self, name: str, step: int, until: int, new: int, seconds: float):
        self.taken += new
        self.worked += new
        self.seconds += seconds
        left = (self.total - self.taken) * self.seconds / max(self.worked, 1)
        share, rate = self.taken / self.total, new / max(seconds, 1e-9)
        self.report(Progress(name, step, until, share, rate, left, self.stopped))


class _Group:
    """Members of one program: their runs, logs and checkpoints."""

    def __init__(
        self,
        plans: Sequence[MemberPlan],
        experience: Experience,
        probe: Probe,
        directory: Path,
        chunk: int,
    ):
        self.plans, self.experience = plans, experience
        self.chunk = chunk
        self.places = [MemberFiles.of(directory, plan.number) for plan in plans]
        self.name = ", ".join(dict.fromkeys(plan.label for plan in plans))
        algorithms = [plan.algorithm for plan in plans]
        keys = [jax.random.key(plan.seed) for plan in plans]
        self.data = drawn_from(algorithms[0], experience)
        self.probe = ready(probe, algorithms[0])
        self.members = start_members(algorithms, experience, keys)
        self.stopped: list[str | None] = [None] * len(plans)
        self.seconds, self.step = 0.0, 0
        self.taken = [0] * len(plans)
        self.last_steps = [0] * len(plans)  # Up to which each was trained.
        self.warnings: list[str] = []
        self._go_on_from_checkpoints()
        self.logs = [MetricsLog(place.metrics) for place in self.places]
        for log, last in zip(self.logs, self.last_steps):
            log.truncate_to(last)
            self.warnings += [log.warning] if log.warning else []

    @property
    def description(self) -> str:
        """What shares a program: "4 members of IQL"."""
        count, name = len(self.plans), type(self.plans[0].algorithm).__name__
        return f"{count} {'member' if count == 1 else 'members'} of {name}"

    def is_unfinished(self, updates: int) -> bool:
        """Whether there is anything left to train."""
        return self.step < updates and bool(self._is_active().any())

    @cached_property
    def _advance(self) -> Callable[..., Any]:
        way = Stream if is_elsewhere(self.data) else compile_advance
        return way(self.members, self.data, self.chunk)

    @cached_property
    def _measure(self) -> Callable[..., Any]:
        probed = self.members.algorithms, self.members.runs.state
        return compile_for_each(measure, probed, self.probe)

    def compile(self) -> None:
        """What the first update needs, ahead of it."""
        _ = self._advance

    def train(self, updates: int, clock: _Clock, seconds_between_saves: float) -> None:
        clock.taken += self.step * len(self.plans)
        clock.stopped += sum(reason is not None for reason in self.stopped)
        saved = time.monotonic()
        while self.is_unfinished(updates):
            begun = time.monotonic()
            before, was_active = self.members, self._is_active()
            self.members, metrics, _ = self._advance(before, self.data)  # Returns at once.
            is_compiled = "_measure" in vars(self)
            _ = self._measure  # Compiled while the first chunk is under way.
            is_active = self._is_active()
            for index in np.flatnonzero(was_active):
                self.taken[index] += self.chunk
                self.last_steps[index] = self.step + self.chunk
            for index in np.flatnonzero(was_active & ~is_active):
                self._explain(before, int(index))
                clock.stopped += 1
            self.step += self.chunk
            self._log(gathered(metrics), was_active, is_active)
            now = time.monotonic()
            self.seconds += now - begun
            if not is_active.any():
                self.step = updates  # Nobody is left to be trained up to there.
            is_last = self.step >= updates
            if is_last or now - saved >= seconds_between_saves:
                self._save()
                saved = time.monotonic()
            new = self.chunk * int(was_active.sum())
            if is_compiled or is_last:
                clock.tell(self.name, self.step, updates, new, now - begun)
            else:  # Its time says more about compiling than about what is left.
                clock.taken += new

    def results(self) -> list[Fitted]:
        states = gathered(self.members.runs.state)
        return [
            Fitted(
                plan,
                member(states, index),
                self._records(index),
                self.stopped[index],
                self.seconds,
                self.taken[index],
            )
            for index, plan in enumerate(self.plans)
        ]

    def _records(self, index: int) -> list[dict[str, Any]]:
        """What was logged; were its last line lost, that is measured anew."""
        records = read(self.places[index].metrics).records
        last = self.last_steps[index]
        if self.stopped[index] is None and (not records or records[-1]["step"] < last):
            records.append({"step": last, **self._probed()[index]})
        return records

    def _is_active(self) -> np.ndarray:
        return np.asarray(gathered(self.members.active))[: len(self.plans)]

    def _explain(self, before: Members, index: int) -> None:
        run = self._run(before, index)
        algorithm = self.plans[index].algorithm
        try:
            incident = find_incident(algorithm, self.experience, run, self.chunk)
            self.stopped[index] = str(incident)
        except RuntimeError as error:  # The replay stayed finite.
            self.stopped[index] = f"stopped by update {self.step + self.chunk:,}: {error}"

    def _run(self, members: Members, index: int) -> Run:
        """One member's run, with its own kind of key."""
        runs = members.runs
        data = member(gathered(jax.random.key_data(runs.key)), index)
        key = jax.random.wrap_key_data(data, impl=jax.random.key_impl(runs.key))
        run = member(gathered(runs._replace(key=None)), index)
        return jax.tree.map(jnp.asarray, run)._replace(key=key)

    def _log(self, metrics: Any, was_active: np.ndarray, is_active: np.ndarray) -> None:
        probed = self._probed()
        for index, log in enumerate(self.logs):
            if not was_active[index]:
                continue
            values = {f"train/{k}": float(v[index]) for k, v in metrics.items()}
            if is_active[index]:
                values |= probed[index]
            log.append({"step": self.step, **values})

    def _probed(self) -> list[dict[str, float]]:
        """Metrics of every member on transitions that were held out."""
        members = self.members.algorithms, self.members.runs.state
        found = gathered(self._measure(members, self.probe))
        return [
            {name: float(values[index]) for name, values in found.items()}
            for index in range(len(self.plans))
        ]

    def _save(self) -> None:
        for index, place in enumerate(self.places):
            self.logs[index].sync()
            reason = self.stopped[index]
            header = {
                "stopped": reason,
                "name": self.plans[index].label,
                "last_step": self.last_steps[index],
            }
            save_checkpoint(
                place.checkpoints,
                self._run(self.members, index),
                step=self.step,
                chunk=self.chunk,
                header=header,
            )

    def _go_on_from_checkpoints(self) -> None:
        """Put every member where its group was last saved as a whole."""
        places = [place.checkpoints for place in self.places]
        if not all(saved_steps(place) for place in places):
            return  # Killed before the first save was complete: begin anew.
        like = [
            jax.eval_shape(start, plan.algorithm, self.experience, jax.random.key(0))
            for plan in self.plans
        ]
        found = [load_checkpoint(*pair) for pair in zip(places, like)]
        self.warnings += [one.warning for one in found if one.warning]
        # Killed between two members' saves, some are one checkpoint ahead.
        common = min(checkpoint.step for checkpoint in found)
        if any(checkpoint.step > common for checkpoint in found):
            pairs = zip(places, like)
            found = [load_checkpoint(*pair, until=common) for pair in pairs]
        self.step = common
        self.stopped = [checkpoint.header["stopped"] for checkpoint in found]
        self.last_steps = [checkpoint.header["last_step"] for checkpoint in found]
        padding = len(self.members.active) - len(found)
        runs = [checkpoint.tree for checkpoint in found]
        runs = [*runs, *[runs[0]] * padding]
        active = [reason is None for reason in self.stopped] + [False] * padding
        members = Members(self.members.algorithms, stack(runs), jnp.asarray(active))
        self.members = spread(members)
