"""How returns of a policy are spread, not only what they are on average.

Weights of whole episodes make the log's returns a sample of the policy's: their weighted
distribution function, quantiles, the mean of the worst (CVaR), and a band around all of it
(Chandak et al. 2021, arXiv 2104.12820; Huang et al. 2021, arXiv 2104.08977).
"""

from dataclasses import dataclass, replace

import numpy as np

from stitchrl.ope.base import Interval, Label
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.weights import Weights


@dataclass(frozen=True, eq=False)
class ReturnDistribution:
    """F(x) = P(G ≤ x) under the policy, a step function, self-normalized."""

    values: np.ndarray  # float64 (k,): distinct returns that have weight, rising.
    shares: np.ndarray  # float64 (k,): probability of each; sum 1.
    effective_size: float  # ESS, in groups.

    @classmethod
    def of(cls, returns: np.ndarray, weights: Weights) -> "ReturnDistribution":
        """From returns (episodes,). Raises `ValueError` if no episode has weight."""
        relative = weights.relative
        total = relative.sum()
        if total == 0:
            raise ValueError(
                "No logged episode could have come from this policy, so that nothing is "
                "known of its returns. Mix it with the present behavior."
            )
        values, where = np.unique(returns, return_inverse=True)
        shares = np.bincount(where, relative) / total
        kept = shares > 0
        return cls(values[kept], shares[kept], weights.effective_size)

    @property
    def mean(self) -> float:
        """WIS."""
        return float(self.shares @ self.values)

    def probability_below(self, threshold: float) -> float:
        """P(G < `threshold`)."""
        return float(self.shares[self.values < threshold].sum())

    def probability_up_to(self, points: np.ndarray) -> np.ndarray:
        """F at `points` (n,): float64 (n,)."""
        steps = np.concatenate([[0.0], np.cumsum(self.shares)])
        return np.minimum(steps[np.searchsorted(self.values, points, side="right")], 1.0)

    def quantile(self, share: float) -> float:
        """The smallest return x with F(x) ≥ `share`, which is in (0, 1]."""
        _require_share(share)
        reached = np.cumsum(self.shares) >= share - 1e-12
        return float(
            self.values[int(reached.argmax())] if reached.any() else self.values[-1]
        )

    def cvar(self, share: float) -> float:
        """Mean of the worst `share` in (0, 1] of episodes (Rockafellar, Uryasev 2000).

        A return that reaches over the edge counts with the part that is inside.
        """
        _require_share(share)
        used = np.clip(share - np.cumsum(self.shares) + self.shares, 0.0, self.shares)
        return float(used @ self.values / used.sum())

    def band(self, *, level: float) -> float:
        """Half the width of a band around F at all points at once.

        √(log(2 / error) / 2 n), Dvoretzky, Kiefer, Wolfowitz and Massart, at n = ESS: holds
        as the log grows.
        """
        return float(
            np.sqrt(np.log(2 / (1 - level)) / (2 * max(self.effective_size, 1e-9)))
        )

    def cvar_interval(
        self, share: float, bounds: ReturnBounds, *, level: float
    ) -> Interval:
        """Of `cvar`, from the ends of the band: asymptotic, as the band is.

        Within the band the worst distribution has moved the band's width from the top to
        the lower bound of returns, the best one from the bottom to the upper bound.
        """
        width = min(self.band(level=level), 1.0)
        low = self._shifted(width, to=bounds.low, from_the="top")
        high = self._shifted(width, to=bounds.high, from_the="bottom")
        low, high = low.cvar(share), max(low.cvar(share), high.cvar(share))
        return Interval(low, high, level, Label.ASYMPTOTIC, "DKW band at n = ESS")

    def _shifted(self, mass: float, *, to: float, from_the: str) -> "ReturnDistribution":
        """Where `mass` of one end has gone `to` another place."""
        order = slice(None, None, -1) if from_the == "top" else slice(None)
        shares = self.shares[order]
        taken = np.clip(mass - np.cumsum(shares) + shares, 0.0, shares)
        left = (shares - taken)[order]
        values, where = np.unique(np.append(self.values, to), return_inverse=True)
        shares = np.bincount(where, np.append(left, taken.sum()))
        return replace(self, values=values, shares=shares / shares.sum())


def _require_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"'share' must be above 0 and at most 1, but is {share:.6g}.")
