"""Which policies a log can tell apart from the one that is ranked first."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Separation:
    """How far each policy is behind the first; float64 (policies,)."""

    behind: np.ndarray  # Point estimate of the first less that of each.
    lowest: np.ndarray  # Simultaneous lower bounds of the same.

    @property
    def is_apart(self) -> np.ndarray:
        """bool (policies,): surely worse than the first."""
        return self.lowest > 0


def separation(points: np.ndarray, replicates: np.ndarray, *, level: float) -> Separation:
    """From estimates `points` (policies,) and their paired `replicates` (policies, n).

    Replicate i of all policies comes from the same resampled log, so that what they share
    cancels. Bounds hold for all policies at once: the largest studentized deviation of a
    replicate is compared with its quantile (max-t bootstrap; Romano and Wolf 2005). That
    the first was chosen by the same log is not accounted for: it makes it look better.
    Raises `ValueError` if shapes disagree.
    """
    if replicates.ndim != 2 or len(replicates) != len(points):
        raise ValueError(
            f"There must be one row of replicates for each of {len(points)} policies, but "
            f"their shape is {replicates.shape}."
        )
    behind = points[0] - points
    drawn = replicates[0] - replicates
    error = drawn.std(axis=1, ddof=1)
    moves = error > 1e-12 * max(float(np.abs(points).max()), 1e-300)
    if not moves.any():
        return Separation(behind, behind.copy())
    deviation = (drawn[moves] - behind[moves, None]) / error[moves, None]
    reach = float(np.quantile(deviation.max(axis=0), level))
    return Separation(behind, behind - np.where(moves, reach * error, 0.0))
