"""Which of several estimates to take: the less they vary, the more biased they are."""

from collections.abc import Sequence

import numpy as np

WIDTH = 2.0  # Deviations to each side.


def slope(values: Sequence[float], deviations: Sequence[float]) -> int:
    """The position of the estimate that SLOPE takes (Su et al. 2020, arXiv 2006.10460).

    They come in the order in which bias grows and variance falls. Taken is the last whose
    interval still meets all before it: where none does, its bias shows. An estimate varies
    at least as much as those after it, whatever it says of itself: where one episode
    carries all weight, a deviation is near 0. NaN are passed over. Raises `ValueError` if
    no estimate is a number.
    """
    found, spread = np.asarray(values, float), np.asarray(deviations, float)
    order = np.flatnonzero(np.isfinite(found) & np.isfinite(spread)).tolist()
    if not order:
        raise ValueError("SLOPE needs an estimate with a deviation, but all are NaN.")
    known = spread[order]
    spread[order] = np.maximum.accumulate(known[::-1])[::-1]
    low, high, taken = -np.inf, np.inf, order[0]
    for i in order:
        low = max(low, found[i] - WIDTH * spread[i])
        high = min(high, found[i] + WIDTH * spread[i])
        if low > high:
            break
        taken = i
    return int(taken)
