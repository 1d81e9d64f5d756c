"""Where a run keeps what it saves of each member."""

from pathlib import Path
from typing import NamedTuple

from stitchrl.checkpoint import saved_steps


class MemberFiles(NamedTuple):
    """A member's checkpoints and its metrics."""

    checkpoints: Path  # A directory, with one of its own for each.
    metrics: Path

    @classmethod
    def of(cls, directory: Path, number: int) -> "MemberFiles":
        """Of member `number` of the run in `directory`."""
        place = directory / f"{number:03d}"
        return cls(place / "checkpoint", place / "metrics.jsonl")

    def is_finished(self, updates: int) -> bool:
        """Whether it was saved after so many, or after stopping before."""
        return max(saved_steps(self.checkpoints), default=0) >= updates
