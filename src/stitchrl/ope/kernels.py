"""Deterministic continuous policies, weighed by how near the logged action came.

A kernel K of width h turns "the same action" into "about the same": w = K(u) / (h β(a|x))
with u = (a - π(x)) / h. Biased by O(h²), noisy as 1 / h (Kallus and Zhou 2018, arXiv
1802.06037).
"""

from collections.abc import Callable

import numpy as np
import scipy

KERNELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gaussian": lambda u: np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi),
    "epanechnikov": lambda u: np.where(np.abs(u) <= 1, 0.75 * (1 - u**2), 0.0),
    "triangular": lambda u: np.where(np.abs(u) <= 1, 1 - np.abs(u), 0.0),
    "cosine": lambda u: np.where(np.abs(u) <= 1, np.pi / 4 * np.cos(np.pi / 2 * u), 0.0),
}
MASSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # ∫ K up to u.
    "gaussian": lambda u: scipy.stats.norm.cdf(u),
    "epanechnikov": lambda u: _inside(u, lambda x: 0.5 + 0.75 * x - 0.25 * x**3),
    "triangular": lambda u: _inside(u, lambda x: 0.5 + x - 0.5 * x * np.abs(x)),
    "cosine": lambda u: _inside(u, lambda x: 0.5 + 0.5 * np.sin(np.pi / 2 * x)),
}


def kernel_weights(
    logged: np.ndarray,
    chosen: np.ndarray,
    density: np.ndarray,
    *,
    width: float,
    kernel: str = "gaussian",
    bounds: tuple[float, float] | None = None,
) -> np.ndarray:
    """float64 (n,): weights of `logged` actions (n,) or (n, k) for `chosen` ones.

    `density` (n,) is that of the logged actions; of several dimensions the kernels
    multiply. With `bounds` of the actions, what a kernel would spend beyond them is given
    back inside, so that choices near a bound are not worth too little. Raises `ValueError`
    for an unknown kernel or a width that is not above 0.
    """
    if kernel not in KERNELS:
        raise ValueError(f"There is no kernel '{kernel}'. There are: {', '.join(KERNELS)}.")
    if not width > 0:
        raise ValueError(f"'width' must be above 0, but is {width:.6g}.")
    logged, chosen = (
        np.asarray(a, float).reshape(len(density), -1) for a in (logged, chosen)
    )
    near = KERNELS[kernel]((chosen - logged) / width) / width
    if bounds is not None:
        low, high = bounds
        mass = MASSES[kernel]
        near = near / (mass((high - chosen) / width) - mass((low - chosen) / width))
    return near.prod(axis=1) / density


def _inside(u: np.ndarray, mass: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return mass(np.clip(u, -1.0, 1.0))
