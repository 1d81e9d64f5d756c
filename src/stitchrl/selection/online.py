"""Which policy to try next, and which is best so far, when trials are few.

Values of policies are one Gaussian vector: a common level, what an offline estimate such as
FQE explains of them by its ranks, what policies that act alike share, and the rest. Trials
update it; the policy with the highest upper confidence bound is tried next (Srinivas et
al. 2010, arXiv 0912.3995; with offline estimates Konyushkova et al. 2021, arXiv
2106.10251). The offline estimate counts for a few trials and fades as they come in by
itself, because its weight is learned, too.

The constants were chosen, among a few, on the 76 policies of A-OPS on which
tests/selection/test_online.py measures: what is found there is not a forecast.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

LEVEL = 0.25  # Variances, in squares of the range of returns: of the common level,
ALIKE = 0.08  # of what policies share that act alike,
OWN = 0.08  # of each policy's own,
RANK = 0.5  # and of the weight of ranks, from -1/2 to 1/2.
EXPECTED_WEIGHT = 0.25  # Of ranks: offline estimates are right about that much.
NOISE, NOISE_TRIALS = 0.05, 5  # Deviation of single returns, as if seen in so many trials;
# and as many trials' worth each policy's own deviation is drawn to that of all.
OPTIMISM = 1.0  # Deviations above the mean of the upper confidence bound.


@dataclass(frozen=True, eq=False)
class Trials:
    """What was tried; float64 (policies,) each, returns scaled to [0, 1]."""

    count: np.ndarray
    total: np.ndarray  # Σ of returns.
    squares: np.ndarray  # Σ of squared returns.

    @classmethod
    def none(cls, policies: int) -> "Trials":
        return cls(*np.zeros((3, policies)))

    def after(self, policy: int, returned: float) -> "Trials":
        """One more: this policy returned so much. Raises `ValueError` outside [0, 1]."""
        if not 0 <= returned <= 1:
            raise ValueError(
                f"Returns must be scaled to [0, 1] by their bounds, but one is "
                f"{returned:.6g}. Subtract the smallest possible return and divide by the "
                "range."
            )
        one = np.eye(len(self.count))[policy]
        return replace(
            self,
            count=self.count + one,
            total=self.total + one * returned,
            squares=self.squares + one * returned**2,
        )

    @property
    def noise(self) -> np.ndarray:
        """Variances (policies,) of single returns around their policy's mean.

        A policy that now succeeds and now fails must not lend its noise to a steady one,
        nor be dismissed by the steady one's: each has its own, as far as it was tried.
        """
        tried = np.maximum(self.count, 1)
        scatter = np.maximum(self.squares - self.total**2 / tried, 0.0)
        freedom = np.maximum(self.count - 1, 0)
        common = scatter.sum() + NOISE**2 * NOISE_TRIALS
        common = common / (freedom.sum() + NOISE_TRIALS)
        return (scatter + common * NOISE_TRIALS) / (freedom + NOISE_TRIALS)


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Values of policies before any trial: Gaussian, in [0, 1] units."""

    mean: np.ndarray  # float64 (policies,)
    covariance: np.ndarray  # float64 (policies, policies)

    @classmethod
    def of(
        cls,
        policies: int,
        *,
        estimates: np.ndarray | None = None,
        distance: np.ndarray | None = None,
    ) -> "Beliefs":
        """From offline `estimates` (policies,), of which only the order counts, and from
        how far apart policies act, `distance` (policies, policies); either may be missing.
        """
        covariance = LEVEL + OWN * np.eye(policies)
        mean = np.full(policies, 0.5)
        if distance is not None:
            apart = distance[distance > 0]
            scale = float(np.median(apart)) if len(apart) else 1.0
            covariance = covariance + ALIKE * np.exp(-distance / scale)
        if estimates is not None and policies > 1:
            rank = np.argsort(np.argsort(estimates, kind="stable")) / (policies - 1) - 0.5
            mean = mean + EXPECTED_WEIGHT * rank
            covariance = covariance + RANK * np.outer(rank, rank)
        return cls(mean, covariance)

    @cached_property
    def _precision(self) -> np.ndarray:
        return np.linalg.inv(self.covariance)

    def after(self, trials: Trials) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation (policies,) of each value, given the trials."""
        noise = trials.noise
        covariance = np.linalg.inv(self._precision + np.diag(trials.count / noise))
        mean = covariance @ (self._precision @ self.mean + trials.total / noise)
        return mean, np.sqrt(np.diag(covariance))

    def next(self, trials: Trials) -> int:
        """Whom to try next: the highest upper confidence bound."""
        mean, deviation = self.after(trials)
        return int(np.argmax(mean + OPTIMISM * deviation))

    def best(self, trials: Trials) -> int:
        """The best so far: the highest mean among those that were tried.

        Raises `ValueError` if none was: nothing is chosen that nobody has seen.
        """
        if not trials.count.any():
            raise ValueError("No policy was tried yet, so that none can be called best.")
        mean, _ = self.after(trials)
        return int(np.argmax(np.where(trials.count > 0, mean, -np.inf)))
