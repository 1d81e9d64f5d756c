"""Whether fitted probabilities of actions are true: curves, errors, bits explained."""

from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predicted and observed frequency of actions, in bins of equal probability mass."""

    predicted: np.ndarray  # float64 (bins,): mean probability in the bin.
    observed: np.ndarray  # float64 (bins,): share of these actions that were taken.
    count: np.ndarray  # int64 (bins,): (decision, action) pairs in the bin.
    error: float  # ECE, in [0, 1].


def reliability(
    probabilities: np.ndarray, action: np.ndarray, *, bins: int = BINS
) -> Reliability:
    """Calibration of `probabilities` (size, count) against the logged `action` (size,).

    Probabilities of all actions are sorted and cut so that each bin holds the same total
    probability. ECE is ½ Σ_bins |Σ (p - taken)| / size: the share of decisions whose
    probability would have to move. With two actions it is the usual ECE of one of them.
    """
    size, count = probabilities.shape
    p = probabilities.ravel()
    taken = (np.arange(count) == action[:, None]).ravel()
    order = np.argsort(p, kind="stable")
    p, taken = p[order], taken[order]
    mass = np.cumsum(p)
    number = np.minimum((mass - p / 2) / mass[-1] * bins, bins - 1e-9).astype(int)
    # Equal probabilities belong to one bin, that of the first of them.
    first = np.searchsorted(p, p, side="left")
    _, number = np.unique(number[first], return_inverse=True)
    pairs = np.bincount(number)
    predicted, observed = np.bincount(number, p), np.bincount(number, taken)
    error = 0.5 * float(np.abs(predicted - observed).sum()) / size
    return Reliability(predicted / pairs, observed / pairs, pairs, error)


@dataclass(frozen=True)
class Information:
    """What a behavior model knows about actions, in bits per decision."""

    log_loss: float  # -mean log2 p(logged action).
    entropy: float  # Of actions regardless of the observation.

    @property
    def bits_explained(self) -> float:
        """Entropy less log loss: 0 for a model that knows frequencies only."""
        return self.entropy - self.log_loss


def information(probabilities: np.ndarray, action: np.ndarray) -> Information:
    """Log loss of `probabilities` (size, count) beside the entropy of `action` (size,)."""
    size, count = probabilities.shape
    with np.errstate(divide="ignore"):
        bits = -np.log2(probabilities[np.arange(size), action])
    share = np.bincount(action, minlength=count) / size
    return Information(float(bits.mean()), entropy(share))


def entropy(share: np.ndarray) -> float:
    """-Σ p log2 p in bits, of `share` (count,), which sums to 1."""
    known = share[share > 0]
    return float(-(known * np.log2(known)).sum())


@dataclass(frozen=True, eq=False)
class Uniformity:
    """Where logged continuous actions fell in what a model of densities foretold."""

    shares: np.ndarray  # float64 (bins,): in each equal part of its probability.
    error: float  # Share of decisions that would have to move for equal shares.


def uniformity(transforms: np.ndarray, *, bins: int = BINS) -> Uniformity:
    """Probability integral transforms (size, dims) of the component that is furthest off.

    F(a | s) of what was logged is uniform if the model is true (Diebold, Gunther, Tay
    1998), but also if it knows nothing of s: this finds wrong shapes, and certifies none.
    """
    place = np.minimum((transforms * bins).astype(int), bins - 1)
    shares = np.stack([np.bincount(column, minlength=bins) for column in place.T])
    shares = shares / len(transforms)
    errors = 0.5 * np.abs(shares - 1 / bins).sum(axis=1)
    worst = int(errors.argmax())
    return Uniformity(shares[worst], float(errors[worst]))
