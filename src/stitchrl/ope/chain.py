"""Expected sums along a Markov chain that may end: by linear solve, or step by step."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

ITERATIVE_FROM = 100  # States; below, factors cost nothing.
SPARSE = 6  # Successors of a state on average, up to which sparse factors stay sparse.
DENSE_UP_TO = 2_000  # States; beyond, sparse factors are always smaller and faster.
NEGLIGIBLE = 1e-12
UNLIKELY = 1e-8  # Per step: what happens less often is no way out, and beyond float64.
EXACT = 1e-14  # Relative residual that iterations aim at where no tolerance is allowed,
ALLOWED = 1e-12  # and that is accepted, as factors leave about as much.


@dataclass(frozen=True, eq=False)
class Chain:
    """P (S, S), whose rows fall short of 1 by the probability of ending; γ; horizon."""

    following: "scipy.sparse.csr_array"
    discount: float
    horizon: int | None = None  # Steps until everything ends; None: when it ends by itself.
    tolerance: float = 0.0  # Relative residual of solves; 0: as exact as factors.

    @property
    def states(self) -> int:
        return len(self.following.indptr) - 1

    @cached_property
    def endless(self) -> np.ndarray:
        """bool (S,): no path leads to an end, so that undiscounted sums do not exist.

        Steps with a probability below UNLIKELY are no path: sums over 10^8 visits and more
        would be all rounding.
        """
        if self.discount < 1 or self.horizon is not None:
            return np.zeros(self.states, bool)
        leaves = self.following.sum(axis=1) < 1 - UNLIKELY
        if leaves.all():
            return ~leaves
        # Backwards from a node that stands for "ended".
        entry = self.following.tocoo()
        likely = entry.data >= UNLIKELY
        exits = np.flatnonzero(leaves)
        begin = np.concatenate([entry.col[likely], np.full(len(exits), self.states)])
        reach = np.concatenate([entry.row[likely], exits])
        size = self.states + 1
        backwards = scipy.sparse.csr_array(
            (np.ones(len(begin)), (begin, reach)), shape=(size, size)
        )
        reached = scipy.sparse.csgraph.breadth_first_order(
            backwards, self.states, return_predecessors=False
        )
        result = np.ones(size, bool)
        result[reached] = False
        return result[:-1]

    def sums(self, reward: np.ndarray) -> np.ndarray:
        """E Σ_t γ^t reward(s_t) from each state (S,).

        With a horizon, `reward` may be (horizon, S): for 1, 2, … steps to go. Where the
        chain is endless, `reward` itself is returned: it never adds up.
        """
        if self.horizon is None:
            return self._solve(reward)
        return deque(self._growing(reward), maxlen=1)[0]

    def sums_by_steps_left(self, reward: np.ndarray) -> np.ndarray:
        """float64 (horizon, S): the sums of `reward` over 1, 2, … steps.

        `reward` is (S,), or (horizon, S) for 1, 2, … steps to go.
        """
        return np.stack([*self._growing(reward)])

    def visits(self, start: np.ndarray) -> np.ndarray:
        """E Σ_t γ^t 1(s_t = s) for each s, `start` (S,) being the distribution of s_0."""
        if self.horizon is None:
            return self._solve(start, backwards=True)
        return sum(self._walk(start), np.zeros(self.states))

    def visits_by_step(self, start: np.ndarray) -> np.ndarray:
        """float64 (horizon, S): γ^t P(s_t = s) at t = 0, 1, …"""
        return np.stack([*self._walk(start)])

    def _growing(self, reward: np.ndarray) -> Iterator[np.ndarray]:
        """Sums of `reward` over 1, 2, … steps, one (S,) after the other."""
        assert self.horizon is not None
        total = np.zeros(self.states)
        for now in np.broadcast_to(reward, (self.horizon, self.states)):
            total = now + self.discount * (self.following @ total)
            yield total

    def _walk(self, start: np.ndarray) -> Iterator[np.ndarray]:
        """γ^t P(s_t = s) at t = 0, 1, …, one (S,) after the other."""
        assert self.horizon is not None
        now = start
        for _ in range(self.horizon):
            yield now
            now = self.discount * (now @ self.following)

    @cached_property
    def _ending(self) -> "scipy.sparse.csr_array":
        """P with empty rows where it is endless."""
        following = self.following
        if not self.endless.any():
            return following
        keep = np.repeat(~self.endless, np.diff(following.indptr))
        return scipy.sparse.csr_array(
            (following.data * keep, following.indices, following.indptr),
            shape=following.shape,
        )

    @cached_property
    def _factors(self) -> tuple[Callable, Callable]:
        following = self._ending
        if self.states <= DENSE_UP_TO and not self._is_sparse:
            matrix = following.toarray() * -self.discount
            matrix[np.diag_indices(self.states)] += 1.0
            factors = scipy.linalg.lu_factor(matrix, overwrite_a=True, check_finite=False)
            return (
                lambda right: scipy.linalg.lu_solve(factors, right, check_finite=False),
                lambda right: scipy.linalg.lu_solve(
                    factors, right, trans=1, check_finite=False
                ),
            )
        sparse = scipy.sparse.linalg.splu(self._matrix.tocsc())
        return sparse.solve, lambda right: sparse.solve(right, trans="T")

    @property
    def _is_sparse(self) -> bool:
        return self.following.nnz <= SPARSE * self.states

    @cached_property
    def _matrix(self) -> "scipy.sparse.csr_array":
        """I - γ P."""
        return (
            scipy.sparse.eye_array(self.states, format="csr") - self.discount * self._ending
        )

    def _solve(self, right: np.ndarray, *, backwards: bool = False) -> np.ndarray:
        """x = right + γ P x; `backwards` with P transposed."""
        if self.states > ITERATIVE_FROM and not self._is_sparse:
            matrix = self._matrix.T if backwards else self._matrix
            # Thirty times faster than factors where episodes are short; else it gives up.
            aim = max(self.tolerance, EXACT)
            result, failed = scipy.sparse.linalg.bicgstab(
                matrix, right, rtol=aim, atol=0.0, maxiter=200
            )
            left = np.abs(right - matrix @ result).max()
            if not failed and left <= max(self.tolerance, ALLOWED) * np.abs(right).max():
                return result
        return self._factors[backwards](right)
