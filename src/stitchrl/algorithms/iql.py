"""Implicit Q-learning (Kostrikov, Nair and Levine, 2021; arXiv:2110.06169)."""

from jaxtyping import Array, Float

from stitchrl.algorithms.extraction import Extracting
from stitchrl.losses import expectile_loss
from stitchrl.tree import hyperparameters


@hyperparameters
class IQL(Extracting):
    """Learn V as an upper expectile of Q over logged actions, then clone by advantage.

    V is the τ-expectile of min Q'(s, a) (Eq. 5), Q regresses to r + γ V(s') (Eq. 6), and
    the policy follows from both (Eq. 7). An expectile above ½ raises V, towards the best
    logged action: it is optimistic, within the log; see `losses.expectile_loss`. The losses
    of Q and V and the update are `in_sample.InSample`'s, the policy's `extraction`'s.

    Update order: V; then Q and the policy, which both use the new V and not each other;
    then the target critics. The authors' code does the same.
    Departures: layers start uniform in ±1/√inputs, not orthogonal; samples come from the
    truncated Gaussian instead of being clipped; no dropout. Discrete actions are ours. The
    extraction "ac_bc" is that of OGBench, but for the mean, which is a tanh instead of
    being clipped, for the standard deviation, which is learned (there it is 1) so that
    clones weigh more where the log is sharper, and for discrete actions, where Q is
    averaged over the policy.
    """

    expectile: float = 0.7  # τ, Eq. 5.

    def value_error(self, error: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """Eq. 5: asymmetric squares."""
        return expectile_loss(error, self.expectile)
