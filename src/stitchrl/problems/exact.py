"""Small problems whose values and variances are a line of arithmetic."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stitchrl.dataset import Choices, Dataset
from stitchrl.problems.tabular import TabularMDP


@dataclass(frozen=True)
class Bandit:
    """Arms that pay 1 with a fixed probability, no context; all moments in closed form.

    Variances are n times the variance of the estimator on n rows.
    """

    behavior: tuple[float, ...] = (0.5, 0.3, 0.2)
    target: tuple[float, ...] = (0.1, 0.2, 0.7)
    success: tuple[float, ...] = (0.2, 0.5, 0.9)

    @property
    def value(self) -> float:
        """Of the target policy."""
        return float(np.dot(self.target, self.success))

    @property
    def behavior_value(self) -> float:
        return float(np.dot(self.behavior, self.success))

    @property
    def weights(self) -> np.ndarray:
        """Importance weight of each arm."""
        return np.divide(self.target, self.behavior)

    @property
    def weight_second_moment(self) -> float:
        """E[w²] under the behavior."""
        return float(np.dot(self.behavior, self.weights**2))

    @property
    def ess_share(self) -> float:
        """Effective sample size over n, for large n."""
        return 1 / self.weight_second_moment

    @property
    def kl_bits(self) -> float:
        """KL(target || behavior) in bits."""
        return float(np.dot(self.target, np.log2(self.weights)))

    @property
    def ips_variance(self) -> float:
        """Var[w r]."""
        squares = np.dot(self.behavior, self.weights**2 * np.array(self.success))
        return float(squares - self.value**2)

    @property
    def snips_variance(self) -> float:
        """E[w² (r - V)²], the asymptotic variance of the self-normalized estimator."""
        success = np.array(self.success)
        squares = success * (1 - self.value) ** 2 + (1 - success) * self.value**2
        return float(np.dot(self.behavior, self.weights**2 * squares))

    @property
    def doubly_robust_variance(self) -> float:
        """E[w² Var(r | arm)]: with the true mean of each arm, only noise is left."""
        success = np.array(self.success)
        return float(np.dot(self.behavior, self.weights**2 * success * (1 - success)))

    def mdp(self) -> TabularMDP:
        """One decision in state 0, which ends in state 1 (nothing) or 2 (reward 1)."""
        success = np.array(self.success)
        transition = np.zeros((3, len(success), 3))
        transition[0, :, 1] = 1 - success
        transition[0, :, 2] = success
        return TabularMDP.create(
            transition=transition,
            reward=np.array([[[0.0, 0.0, 1.0]]]),
            start=[1, 0, 0],
            terminal=[False, True, True],
        )

    def log(self, size: int, seed: int) -> Dataset:
        """Rounds played by the behavior, one an episode; the observation is a constant."""
        mdp = self.mdp()
        rows = mdp.simulate(np.tile(self.behavior, (3, 1)), episodes=size, seed=seed)
        return mdp.to_dataset(
            rows,
            features=np.ones((3, 1)),
            feature_names=("constant",),
            action_labels=tuple(f"arm {arm}" for arm in range(len(self.success))),
            horizon=1,
            reward_bounds=(0.0, 1.0),
            return_bounds=(0.0, 1.0),
        )


class ToyGraph(NamedTuple):
    """COBS Toy-Graph, C. Voloshin et al. 2019, arXiv:1911.06854, with dense rewards.

    `length` decisions; each but the last leads to the next layer, up (reward 1) or down
    (reward -1): action 0 up, action 1 down, the opposite with probability `slip`. The last
    decision leads nowhere and pays the sign of the layer it is made in once more.
    """

    length: int = 4
    slip: float = 0.25

    def value(self, up: float, discount: float) -> float:
        """J of the policy that takes action 0 with probability `up` everywhere."""
        rises = up * (1 - self.slip) + (1 - up) * self.slip
        return (2 * rises - 1) * sum(discount**step for step in range(self.length))

    def policy(self, up: float) -> np.ndarray:
        """(2 length, 2): action 0 with probability `up` everywhere."""
        return np.tile([up, 1 - up], (2 * self.length, 1))

    def mdp(self) -> TabularMDP:
        """State 0 starts, 2t - 1 is up and 2t down in layer t, the last is the end."""
        states = 2 * self.length
        end = states - 1
        transition = np.zeros((states, 2, states))
        reward = np.zeros((states, 2, states))
        for state in range(end):
            layer = (state + 1) // 2
            if layer == self.length - 1:
                transition[state, :, end] = 1
                reward[state, :, end] = 1 if state % 2 else -1
                continue
            up, down = 2 * layer + 1, 2 * layer + 2
            transition[state, :, up] = [1 - self.slip, self.slip]
            transition[state, :, down] = [self.slip, 1 - self.slip]
            reward[state, :, up], reward[state, :, down] = 1, -1
        return TabularMDP.create(
            transition=transition,
            reward=reward,
            start=np.eye(states)[0],
            terminal=np.arange(states) == end,
        )


class RandomMDP(NamedTuple):
    """A process without terminal states and two policies for it, all drawn at random."""

    mdp: TabularMDP
    behavior: np.ndarray  # (S, A)
    target: np.ndarray  # (S, A)


def random_mdp(
    seed: int = 42, *, states: int = 6, actions: int = 3, reward_noise: float = 0.3
) -> RandomMDP:
    """Dirichlet(.4) transitions, uniform mean rewards, Gaussian noise on each reward.

    The behavior is Dirichlet(3), the target, farther from uniform, Dirichlet(1).
    """
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.full(states, 0.4), size=(states, actions))
    reward = rng.uniform(size=(states, actions))
    start = rng.dirichlet(np.ones(states))
    behavior = rng.dirichlet(np.full(actions, 3.0), size=states)
    target = rng.dirichlet(np.ones(actions), size=states)
    mdp = TabularMDP.create(
        transition=transition,
        reward=reward,
        start=start,
        terminal=np.zeros(states, bool),
        reward_noise=reward_noise,
    )
    return RandomMDP(mdp, behavior, target)


class Chain(NamedTuple):
    """One state, one action, reward 1, and an end after `lifetime` steps on average.

    A method that fits its Bellman target with anything but squared loss fails here.
    """

    lifetime: int = 10  # 1 / stop probability.

    def value(self, discount: float) -> float:
        """1 / (1 - γ (1 - p)) with stop probability p."""
        return 1 / (1 - discount * (1 - 1 / self.lifetime))

    def mdp(self) -> TabularMDP:
        """State 0 goes on, state 1 is the end."""
        stop = 1 / self.lifetime
        return TabularMDP.create(
            transition=[[[1 - stop, stop]], [[0, 1]]],
            reward=[[1], [0]],
            start=[1, 0],
            terminal=[False, True],
        )

    def log(self, episodes: int) -> Dataset:
        """Exactly every `lifetime`-th row terminates, so sample and process agree."""
        size = episodes * self.lifetime
        step = np.arange(size) % self.lifetime
        return Dataset.create(
            observation=np.ones((size, 1)),
            feature_names=("constant",),
            action=np.zeros(size),
            actions=Choices(("go on",)),
            reward=np.ones(size),
            terminated=step == self.lifetime - 1,
            truncated=np.zeros(size, bool),
            propensity=np.ones(size),
            state_id=np.zeros(size),
            final_state_id=np.full(episodes, -1),
            state_count=1,
            reward_bounds=(0.0, 1.0),
        )
