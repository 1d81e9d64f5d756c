"""What learning sees instead of the raw reward, and the way back to the log's units.

Evaluation always uses raw rewards, so values in a report are in the log's own units.
"""

import math
from dataclasses import dataclass

import numpy as np

from stitchrl.dataset import Dataset

FORMS = "raw, return_range, scale=NUMBER, shift=NUMBER, or scale=NUMBER,shift=NUMBER"
RETURN_RANGE = 1000.0  # What the best return then exceeds the worst one by.


@dataclass(frozen=True)
class RewardTransform:
    """scale * reward + shift."""

    scale: float = 1.0
    shift: float = 0.0
    name: str = "raw"

    @classmethod
    def named(cls, name: str | None, dataset: Dataset) -> "RewardTransform":
        """The transform of this name, on a training split; None: raw.

        `return_range` makes the best and the worst return of an episode differ by 1,000
        (IQL on locomotion, arXiv:2110.06169, and its authors' code); `shift=-1` is IQL's
        and `scale=10,shift=-5` CQL's on AntMaze. Raises `ValueError` for another name, and
        where all returns are equal, so that their range is 0.
        """
        if name is None:
            return cls()
        if name != "return_range":
            scale, shift = parsed(name)
            return cls(scale, shift, name)
        width = float(np.ptp(dataset.returns()))
        if not width > 0:
            raise ValueError(
                "Rewards cannot be divided by the range of returns: all "
                f"{dataset.episodes:,} episodes to learn from have the return "
                f"{dataset.returns()[0]:g}, so it is 0. Use reward raw."
            )
        return cls(RETURN_RANGE / width, 0.0, name)

    def __call__(self, reward: np.ndarray) -> np.ndarray:
        return self.scale * reward + self.shift

    def returns(self, dataset: Dataset, discount: float) -> np.ndarray:
        """float64 (episodes,): Σ γ^t (scale r_t + shift), as a learner counts.

        An episode that was cut goes on for its learner. Where rewards are shifted down, its
        shifts are counted without end, so that no learner's belief seems lower than it is.
        """
        length = dataset.lengths.astype(np.float64)
        if self.shift == 0:
            return self.scale * dataset.returns(discount)
        weight = length if discount == 1 else (1 - discount**length) / (1 - discount)
        if self.shift < 0:
            endless = math.inf if discount == 1 else 1 / (1 - discount)
            is_cut = dataset.truncated[dataset.last_row]
            weight = np.where(is_cut, endless, weight)
        return self.scale * dataset.returns(discount) + self.shift * weight

    def __str__(self) -> str:
        """In words, with the numbers."""
        if (self.scale, self.shift) == (1, 0):
            return "none: as logged"
        sign = "+" if self.shift >= 0 else "-"
        moved = f" {sign} {abs(self.shift):g}" if self.shift else ""
        return f"{self.scale:g} x reward{moved} ({self.name})"


def parsed(name: str) -> tuple[float, float]:
    """(scale, shift) of a name other than `return_range`.

    Raises `ValueError` saying which forms there are.
    """
    if name in ("raw", "return_range"):
        return 1.0, 0.0
    found = {"scale": 1.0, "shift": 0.0}
    try:
        for part in name.split(","):
            key, _, number = part.partition("=")
            if key.strip() not in found:
                raise ValueError
            found[key.strip()] = float(number)
    except ValueError:
        raise ValueError(f"must be one of: {FORMS}; not '{name}'") from None
    scale, shift = found["scale"], found["shift"]
    if not (math.isfinite(scale) and math.isfinite(shift) and scale > 0):
        raise ValueError(
            f"must have a finite shift and a finite scale above 0, which keeps better "
            f"rewards better; not '{name}'"
        )
    return scale, shift
