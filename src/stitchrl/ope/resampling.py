"""Bootstrap of episodes: whole groups are drawn, for only they are independent."""

import numpy as np


def times_drawn(group: np.ndarray, *, seed: int, replicates: int) -> np.ndarray:
    """float64 (replicates, episodes): how often each episode occurs.

    As many groups are drawn as there are. One set for all policies makes their differences
    paired.
    """
    rng = np.random.default_rng(seed)
    groups = int(group.max()) + 1
    drawn = [
        np.bincount(rng.integers(groups, size=groups), minlength=groups)
        for _ in range(replicates)
    ]
    return np.stack(drawn).astype(np.float64)[:, group]
