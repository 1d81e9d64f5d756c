"""Which policies a log can tell apart from the one that is ranked first."""

from dataclasses import dataclass

import numpy as np
import scipy


@dataclass(frozen=True, eq=False)
class Separation:
    """How far each policy is behind the first; float64 (policies,)."""

    behind: np.ndarray  # Point estimate of the first less that of each.
    lowest: np.ndarray  # Simultaneous lower bounds of the same.

    @property
    def is_apart(self) -> np.ndarray:
        """bool (policies,): surely worse than the first."""
        return self.lowest > 0


def separation_by_halves(
    points: np.ndarray, halves: np.ndarray, *, level: float
) -> Separation:
    """The same from `halves` (policies, n): estimates on n random halves of the groups.

    Over halves of one log an estimate varies about as it would over logs of the size of the
    whole, if it is smooth (the jackknife that deletes half of n; Shao and Wu 1989), and a
    network fitted anew adds its own chance. Few halves are enough for Student's t;
    Bonferroni makes bounds hold for all policies at once. Raises `ValueError` if shapes
    disagree.
    """
    _require_rows(points, halves)
    behind = points[0] - points
    error = (halves[0] - halves).std(axis=1, ddof=1)
    share = (1 - level) / max(len(points) - 1, 1)
    reach = float(scipy.stats.t.ppf(1 - share, halves.shape[1] - 1))
    return Separation(behind, behind - reach * error)


def _require_rows(points: np.ndarray, replicates: np.ndarray) -> None:
    if replicates.ndim != 2 or len(replicates) != len(points):
        raise ValueError(
            f"There must be one row of replicates for each of {len(points)} policies, but "
            f"their shape is {replicates.shape}."
        )


def separation(points: np.ndarray, replicates: np.ndarray, *, level: float) -> Separation:
    """From estimates `points` (policies,) and their paired `replicates` (policies, n).

    Replicate i of all policies comes from the same resampled log, so that what they share
    cancels. Bounds hold for all policies at once: the largest studentized deviation of a
    replicate is compared with its quantile (max-t bootstrap; Romano and Wolf 2005). That
    the first was chosen by the same log is not accounted for: it makes it look better.
    Raises `ValueError` if shapes disagree.
    """
    _require_rows(points, replicates)
    behind = points[0] - points
    drawn = replicates[0] - replicates
    error = drawn.std(axis=1, ddof=1)
    moves = error > 1e-12 * max(float(np.abs(points).max()), 1e-300)
    if not moves.any():
        return Separation(behind, behind.copy())
    deviation = (drawn[moves] - behind[moves, None]) / error[moves, None]
    reach = float(np.quantile(deviation.max(axis=0), level))
    return Separation(behind, behind - np.where(moves, reach * error, 0.0))
