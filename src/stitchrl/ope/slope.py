"""Which of several estimates to take: the more biased they get, the less they vary."""

from collections.abc import Sequence

import numpy as np

WIDTH = 2.0  # Deviations to each side.


def slope(values: Sequence[float], deviations: Sequence[float]) -> int:
    """The position of the estimate that SLOPE takes (Su et al. 2020, arXiv 2006.10460).

    From the one that varies most to the one that varies least, the last whose interval
    still meets all before it: where none does, its bias shows. If bias grows in that order,
    its error is at most six times that of the best one. NaN are passed over. Raises
    `ValueError` if no estimate is a number.
    """
    found, spread = np.asarray(values, float), np.asarray(deviations, float)
    order = [i for i in np.argsort(-spread, kind="stable") if np.isfinite(found[i])]
    order = [i for i in order if np.isfinite(spread[i])]
    if not order:
        raise ValueError("SLOPE needs an estimate with a deviation, but all are NaN.")
    low, high, taken = -np.inf, np.inf, order[0]
    for i in order:
        low = max(low, found[i] - WIDTH * spread[i])
        high = min(high, found[i] + WIDTH * spread[i])
        if low > high:
            break
        taken = i
    return int(taken)
