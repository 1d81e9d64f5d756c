"""Whether a log was made by the policy that it is said to be made by.

Importance weights do not tell: by propensities that are right they average 1 whoever made
the log. What tells is how likely the policy makes what was done, beside how likely it makes
what it does itself: Σ_a π(a|s)² at each decision, which is 1 where it takes one action with
certainty.
"""

from dataclasses import dataclass

import numpy as np

ERRORS = 5.0
ROUNDING = 0.01  # Of probabilities; policies in float32 differ a little between machines.


@dataclass(frozen=True)
class Following:
    """How well a log's decisions follow a policy."""

    agreement: float  # Mean π(a|s) of what was done.
    expected: float  # Of what the policy does there; of a mixture, at least.
    error: float  # Standard error of their difference, groups as units.
    is_mixture: bool
    # Share of decisions whose logged propensity is not the policy's; None where none is.
    foreign_share: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether what was done is as likely as what the policy does."""
        off, allowed = self.agreement - self.expected, ERRORS * self.error + ROUNDING
        return off >= -allowed if self.is_mixture else abs(off) <= allowed

    @property
    def is_foreign(self) -> bool:
        """Whether more than 1 % of the logged propensities are another policy's."""
        return (self.foreign_share or 0.0) > ROUNDING

    @property
    def is_plausible(self) -> bool:
        """Whether the policy, followed as it was to be, can have made this log."""
        return self.agrees and not self.is_foreign


def following(
    logged: np.ndarray,
    own: np.ndarray,
    group: np.ndarray,
    *,
    share: float = 1.0,
    propensity: np.ndarray | None = None,
) -> Following:
    """Of π(a|s) of what was done (size,) and Σ_a π(a|s)² (size,), by groups (size,).

    With `share` a < 1 others decide, too: what they do agrees 0 times at least, and
    the propensity of the mixture is aπ at least.
    """
    is_mixture = share < 1
    off = logged - share * own
    groups = int(group.max()) + 1
    residual = np.bincount(group, off - off.mean(), minlength=groups)
    error = np.inf
    if groups > 1:
        error = np.sqrt(groups / (groups - 1) * (residual**2).sum()) / len(off)
    foreign = None
    if propensity is not None:
        beyond = share * logged - propensity
        foreign = float(((beyond if is_mixture else np.abs(beyond)) > ROUNDING).mean())
    return Following(
        agreement=float(logged.mean()),
        expected=float(share * own.mean()),
        error=float(error),
        is_mixture=is_mixture,
        foreign_share=foreign,
    )
