"""A small log in which every value tells its own episode and step.

Four episodes of 3, 1, 4 and 2 steps; the second and third are cut, the others end. An
observation of episode e at step s is (1000 e + s, -(1000 e + s) - 0.5): a shift, a dropped
row or a leak into a neighbor cannot go unseen.
"""

import numpy as np

from stitchrl.dataset import Bounds, Choices, Dataset

LENGTHS = np.array([3, 1, 4, 2])
CUT = np.array([False, True, True, False])
SIZE, EPISODES = int(LENGTHS.sum()), len(LENGTHS)
EPISODE = np.repeat(np.arange(EPISODES), LENGTHS)
STEP = np.concatenate([np.arange(length) for length in LENGTHS])
LAST = STEP == LENGTHS[EPISODE] - 1
TERMINATED, TRUNCATED = LAST & ~CUT[EPISODE], LAST & CUT[EPISODE]
LABELS = ("high", "low", "wait")


def observation(episode: np.ndarray, step: np.ndarray) -> np.ndarray:
    code = 1000.0 * episode + step
    return np.stack([code, -code - 0.5], axis=-1)


def choice(episode: np.ndarray, step: np.ndarray) -> np.ndarray:
    return (episode + step) % 3


def amount(episode: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.stack([(10 * episode + step) / 64, -(10 * episode + step) / 128], axis=-1)


def reward(episode: np.ndarray, step: np.ndarray) -> np.ndarray:
    return episode + step / 100


def propensity(episode: np.ndarray, step: np.ndarray) -> np.ndarray:
    return 1 / (2 + 10 * episode + step)


def arrays(*, is_discrete: bool = True) -> dict[str, np.ndarray]:
    """Columns of the ten decisions, as arrays."""
    act = choice if is_discrete else amount
    return {
        "observation": observation(EPISODE, STEP),
        "action": act(EPISODE, STEP),
        "reward": reward(EPISODE, STEP),
        "terminated": TERMINATED,
        "truncated": TRUNCATED,
    }


def columns(*, with_final: bool = False) -> dict[str, list]:
    """One column for each feature, as a table has them; with rows after the cuts."""
    table: dict[str, list] = {
        name: [] for name in "stay bloc x y act pay dead cut p".split()
    }
    for e, s, is_last in zip(EPISODE.tolist(), STEP.tolist(), LAST.tolist()):
        x, y = observation(e, s).tolist()
        label = LABELS[choice(e, s)]
        row = (e, s, x, y, label, reward(e, s), is_last and not CUT[e], is_last and CUT[e])
        for name, value in zip(table, (*row, propensity(e, s))):
            table[name].append(bool(value) if isinstance(value, np.bool) else value)
        if is_last and CUT[e] and with_final:
            x, y = observation(e, s + 1).tolist()
            for name, value in zip(table, (e, s + 1, x, y, *[None] * 5)):
                table[name].append(value)
    return table


MAPPING = {
    "episode": "stay",
    "step": "bloc",
    "observation": ["x", "y"],
    "action": "act",
    "reward": "pay",
    "terminated": "dead",
    "truncated": "cut",
    "propensity": "p",
}


def in_memory(*, is_discrete: bool = True, **others) -> Dataset:
    """The log as a dataset, with known last observations, made without any reader."""
    final = np.where(CUT[:, None], observation(np.arange(EPISODES), LENGTHS), np.nan)
    bounds = Bounds(("fluid", "pressor"), (-1.0, -1.0), (1.0, 1.0))
    given = arrays(is_discrete=is_discrete) | {
        "actions": Choices(LABELS) if is_discrete else bounds,
        "episode": EPISODE,
        "final_observation": final,
    }
    return Dataset.create(**(given | others))


def check(dataset: Dataset, *, knows_final: bool, is_discrete: bool = True) -> None:
    """Every value of the dataset is the one of its own episode and step."""
    e, s = dataset.episode, dataset.step_in_episode
    assert (dataset.size, dataset.episodes) == (SIZE, EPISODES)
    np.testing.assert_array_equal(e, EPISODE)
    np.testing.assert_array_equal(s, STEP)
    np.testing.assert_array_equal(dataset.observation, observation(e, s).astype(np.float32))
    act = choice if is_discrete else amount
    np.testing.assert_array_equal(dataset.action, act(e, s))
    np.testing.assert_array_equal(dataset.reward, reward(e, s).astype(dataset.reward.dtype))
    np.testing.assert_array_equal(dataset.terminated, TERMINATED)
    np.testing.assert_array_equal(dataset.truncated, TRUNCATED)
    following = observation(e, s + 1).astype(np.float32)
    following[TERMINATED] = np.nan
    if not knows_final:
        following[TRUNCATED] = np.nan
    np.testing.assert_array_equal(dataset.next_observation, following)
    if dataset.propensity is not None:
        np.testing.assert_allclose(dataset.propensity, propensity(e, s), rtol=1e-12)
