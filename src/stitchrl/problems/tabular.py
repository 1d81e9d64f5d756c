"""Finite Markov decision processes: exact values by linear solve, logs by simulation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from stitchrl.dataset import Dataset
from stitchrl.problems.simulation import RowDraws, Simulated

TIE = 1e-10  # Action values closer than this are equal; the first action is taken.
ROUNDING, FLOAT32_ROUNDING = 1e-9, 1e-5  # How far probabilities may sum from 1.


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A process with S states and A actions whose dynamics are known, in float64.

    Build it with `TabularMDP.create`. A policy is an array (S, A) of probabilities; its
    rows at terminal states are never read. Those rounded to float32 are normalized.
    """

    # (S·A, S): row s·A + a is P(· | s, a), empty if terminal.
    transition: "scipy.sparse.csr_array"
    reward: np.ndarray  # (S, A): expected; 0 where the state is terminal.
    start: np.ndarray  # (S,)
    terminal: np.ndarray  # bool (S,): nothing follows once such a state is reached.
    valid_actions: np.ndarray | None = None  # bool (S, A)
    entry_reward: np.ndarray | None = None  # (nnz,): of each entry of `transition`.
    reward_noise: float = 0.0  # Standard deviation of Gaussian noise on each reward.

    @classmethod
    def create(
        cls,
        *,
        transition: Any,
        reward: Any,
        start: Any,
        terminal: Any,
        valid_actions: Any = None,
        reward_noise: float = 0.0,
    ) -> "TabularMDP":
        """Build a process from `transition` (S, A, S), or sparse (S·A, S).

        `reward` is (S, A) or, where it depends on the state that is reached, an array that
        broadcasts to (S, A, S). Whatever is said about leaving terminal states is dropped.
        Raises `ValueError` if shapes disagree or probabilities do not sum to 1.
        """
        start = np.asarray(start, np.float64)
        terminal = np.asarray(terminal, bool)
        reward = np.asarray(reward, np.float64)
        states = len(start)
        if not scipy.sparse.issparse(transition):
            transition = np.asarray(transition, np.float64)
            transition = transition.reshape(-1, transition.shape[-1])
        shape = transition.shape
        actions = shape[0] // states
        if shape != (states * actions, states) or terminal.shape != (states,):
            raise ValueError(
                f"'start' tells of {states} states, so 'transition' must be (states x "
                f"actions, {states}) and 'terminal' ({states},), but they are {shape} and "
                f"{terminal.shape}."
            )
        is_live = np.repeat(~terminal, actions)
        transition = scipy.sparse.csr_array(transition, dtype=np.float64, copy=True)
        transition.data *= np.repeat(is_live, np.diff(transition.indptr))
        transition.eliminate_zeros()
        _require_distribution("transition", transition.sum(axis=1)[is_live])
        _require_distribution("start", start[~terminal].sum(keepdims=True))
        entry_reward = None
        if reward.ndim == 3:
            entry = transition.tocoo()
            of_state, of_action = entry.row // actions, entry.row % actions
            of_transition = np.broadcast_to(reward, (states, actions, states))
            entry_reward = of_transition[of_state, of_action, entry.col]
            paid = entry.data * entry_reward
            reward = np.bincount(entry.row, paid, minlength=states * actions)
        reward = np.where(terminal[:, None], 0.0, reward.reshape(states, actions))
        if valid_actions is not None:
            valid_actions = np.asarray(valid_actions, bool).reshape(states, actions)
        return cls(
            transition, reward, start, terminal, valid_actions, entry_reward, reward_noise
        )

    @property
    def states(self) -> int:
        return self.reward.shape[0]

    @property
    def actions(self) -> int:
        return self.reward.shape[1]

    def value(
        self, policy: np.ndarray, discount: float, horizon: int | None = None
    ) -> float:
        """J(π): expected Σ_{t<H} γ^t r_t from the start, H = ∞ without `horizon`."""
        return float(self.start @ self.state_values(policy, discount, horizon))

    def state_values(
        self, policy: np.ndarray, discount: float, horizon: int | None = None
    ) -> np.ndarray:
        """V^π (S,): the solution of (I - γ P_π) V = r_π, or `horizon` steps of it.

        Raises `ValueError` if γ = 1 and the policy never ends from some state.
        """
        policy = self._checked(policy)
        following = self._following(policy)
        reward = (policy * self.reward).sum(axis=1)
        if horizon is None:
            return self._solve(following, discount, reward)
        values = np.zeros(self.states)
        for _ in range(horizon):
            values = reward + discount * following @ values
        return values

    def action_values(
        self, policy: np.ndarray, discount: float, horizon: int | None = None
    ) -> np.ndarray:
        """Q^π (S, A): of an action now and the policy afterwards."""
        later = None if horizon is None else horizon - 1
        return self._backup(self.state_values(policy, discount, later), discount)

    def visits(
        self, policy: np.ndarray, discount: float, horizon: int | None = None
    ) -> np.ndarray:
        """(S, A): expected Σ_t γ^t 1(s_t = s, a_t = a), so that J = Σ visits · reward."""
        policy = self._checked(policy)
        following = self._following(policy)
        if horizon is None:
            states = self._solve(following, discount, self.start, transposed=True)
        else:
            states, now = np.zeros(self.states), self.start
            for _ in range(horizon):
                states = states + now
                now = discount * now @ following
        return states[:, None] * policy

    def expected_length(self, policy: np.ndarray, horizon: int | None = None) -> float:
        """Expected decisions in an episode."""
        return float(self.visits(policy, 1.0, horizon).sum())

    def kl_bits(
        self, policy: np.ndarray, behavior: np.ndarray, horizon: int | None = None
    ) -> float:
        """KL(π || β) of whole episodes in bits: E_π Σ_t log2 π(a_t|s_t) / β(a_t|s_t).

        Infinite if the policy ever does what the behavior never does.
        """
        visits = self.visits(policy, 1.0, horizon)
        policy, behavior = self._checked(policy), self._checked(behavior)
        taken = visits > 0
        with np.errstate(divide="ignore"):
            bits = np.log2(policy[taken]) - np.log2(behavior[taken])
        return float(visits[taken] @ bits)

    def optimal(self, discount: float) -> tuple[np.ndarray, np.ndarray]:
        """A best policy, one-hot (S, A), and its Q (S, A), by policy iteration.

        Among equally good actions the first is taken. Q of invalid actions is -inf. Raises
        `ValueError` if γ = 1 and an improved policy never ends: take a γ below 1 there.
        """
        valid = np.ones(self.reward.shape, bool)
        if self.valid_actions is not None:
            valid = self.valid_actions | self.terminal[:, None]
        policy = valid / valid.sum(axis=1, keepdims=True)
        values = self.state_values(policy, discount)
        while True:
            q = np.where(valid, self._backup(values, discount), -np.inf)
            is_best = q >= q.max(axis=1, keepdims=True) - TIE
            policy = np.eye(self.actions)[is_best.argmax(axis=1)]
            improved = self.state_values(policy, discount)
            if (improved <= values + TIE).all():
                return policy, np.where(valid, self._backup(improved, discount), -np.inf)
            values = improved

    def simulate(
        self, policy: np.ndarray, *, episodes: int, seed: int, max_steps: int | None = None
    ) -> Simulated:
        """Play episodes of this policy, all at once, cut after `max_steps`.

        Raises `ValueError` without `max_steps` if the policy never ends from some state.
        """
        policy = self._checked(policy)
        if max_steps is None:
            self._require_ends(self._following(policy))
        rng = np.random.default_rng(seed)
        choices = RowDraws(scipy.sparse.csr_array(policy))
        outcomes = RowDraws(self.transition)
        starts = RowDraws(scipy.sparse.csr_array(self.start[None]))
        state = starts.column[starts.draw(np.zeros(episodes, np.int64), rng)]
        playing = np.arange(episodes)
        final_state = np.empty(episodes, np.int64)
        columns: list[tuple[np.ndarray, ...]] = []
        while len(playing):
            action = choices.column[choices.draw(state, rng)]
            entry = outcomes.draw(state * self.actions + action, rng)
            reward = self.reward[state, action]
            if self.entry_reward is not None:
                reward = self.entry_reward[entry]
            if self.reward_noise:
                reward = reward + self.reward_noise * rng.standard_normal(len(reward))
            reached = outcomes.column[entry]
            step = np.full(len(playing), len(columns))
            terminated = self.terminal[reached]
            truncated = ~terminated & (len(columns) + 1 == max_steps)
            taken = policy[state, action]
            columns.append(
                (state, action, reward, terminated, truncated, playing, step, taken)
            )
            final_state[playing] = reached
            goes_on = ~(terminated | truncated)
            playing, state = playing[goes_on], reached[goes_on]
        rows = Simulated(*map(np.concatenate, zip(*columns)), final_state=final_state)
        order = np.argsort(rows.episode, kind="stable")
        return Simulated(*(column[order] for column in rows[:-1]), final_state=final_state)

    def to_dataset(
        self,
        simulated: Simulated,
        *,
        features: np.ndarray | None = None,
        feature_names: tuple[str, ...] | None = None,
        action_labels: tuple[str, ...] | None = None,
        **declared: Any,
    ) -> Dataset:
        """A log with state ids, propensities and features (S, F), one-hot unless given.

        `declared` (bounds, horizon, group) goes to `Dataset.create` unchanged.
        """
        if features is None:
            features = np.eye(self.states)
            feature_names = tuple(f"state_{state}" for state in range(self.states))
        return simulated.to_dataset(
            features,
            feature_names=feature_names,
            action_labels=action_labels
            or tuple(f"action {action}" for action in range(self.actions)),
            valid_actions=self.valid_actions,
            **declared,
        )

    def _checked(self, policy: np.ndarray) -> np.ndarray:
        """The policy in float64, normalized, with empty rows at terminal states."""
        if policy.shape != self.reward.shape:
            raise ValueError(
                f"A policy must give a probability for each of {self.states} states x "
                f"{self.actions} actions, but has shape {policy.shape}."
            )
        policy = np.where(self.terminal[:, None], 0.0, np.asarray(policy, np.float64))
        allowed = True if self.valid_actions is None else self.valid_actions
        broken = np.argwhere((policy < 0) | (policy > 0) & ~np.asarray(allowed))
        if len(broken):
            state, action = broken[0]
            raise ValueError(
                f"This policy takes action {action} in state {state} with probability "
                f"{policy[state, action]:.3g}, which is negative or forbidden by "
                "`valid_actions`. Give it probability 0 there."
            )
        total = policy.sum(axis=1, keepdims=True)
        _require_distribution("policy", total[~self.terminal], tolerance=FLOAT32_ROUNDING)
        is_rounded = (total > 0) & (np.abs(total - 1) > ROUNDING)
        return policy / np.where(is_rounded, total, 1.0)

    def _following(self, policy: np.ndarray) -> np.ndarray:
        """P_π (S, S), dense; rows of terminal states are empty."""
        size = self.states * self.actions
        weights = scipy.sparse.csr_array(
            (policy.flatten(), np.arange(size), np.arange(0, size + 1, self.actions)),
            shape=(self.states, size),
        )
        weights.eliminate_zeros()
        return scipy.sparse.csr_array(weights @ self.transition).toarray()

    def _backup(self, values: np.ndarray, discount: float) -> np.ndarray:
        following = (self.transition @ values).reshape(self.reward.shape)
        return self.reward + discount * following

    def _solve(
        self,
        following: np.ndarray,
        discount: float,
        right: np.ndarray,
        transposed: bool = False,
    ) -> np.ndarray:
        if discount == 1.0:
            self._require_ends(following)
        matrix = np.eye(self.states) - discount * following
        return np.linalg.solve(matrix.T if transposed else matrix, right)

    def _require_ends(self, following: np.ndarray) -> None:
        can_end, known = self.terminal, -1
        while can_end.sum() > known:
            known = can_end.sum()
            can_end = can_end | (following @ can_end > 0)
        if not can_end.all():
            raise ValueError(
                f"From state {np.flatnonzero(~can_end)[0]} this policy never reaches a "
                "terminal state, so undiscounted sums over whole episodes do not exist. "
                "Give a discount below 1, a horizon, or max_steps."
            )


def _require_distribution(name: str, sums: np.ndarray, tolerance: float = ROUNDING) -> None:
    wrong = np.flatnonzero(~(np.abs(sums - 1) <= tolerance))
    if len(wrong):
        raise ValueError(
            f"'{name}' must sum to 1 in each row that is not terminal, but {len(wrong)} "
            f"rows do not: the first sums to {sums.flat[wrong[0]]:.6g}. Normalize them."
        )
