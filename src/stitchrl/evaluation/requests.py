"""What is to be evaluated: a policy, wholly or as a part of what is done."""

from typing import NamedTuple

from stitchrl.candidates import Candidate


class Request(NamedTuple):
    """A candidate, followed at a share of the decisions; else the log's way."""

    candidate: Candidate
    share: float = 1.0

    @property
    def name(self) -> str:
        """Unique in a run: mixtures are called by their share."""
        if self.share == 1:
            return self.candidate.name
        return f"{self.candidate.name} at {self.share:.0%}"
