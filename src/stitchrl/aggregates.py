"""Scores of many runs on many tasks, in one number that few runs cannot fool.

Agarwal et al. 2021, arXiv 2108.13264. Scores are float64 (runs, tasks), normalized so that
tasks can be compared; runs of a task are what is drawn anew by the bootstrap.
"""

from collections.abc import Callable, Mapping

import numpy as np

from stitchrl.ope.base import Interval, Label

REPLICATES = 2_000


def interquartile_mean(scores: np.ndarray) -> float:
    """IQM: the mean without the lowest and the highest quarter of all runs on all tasks."""
    ordered = np.sort(_checked(scores), axis=None)
    cut = ordered.size // 4
    return float(ordered[cut : ordered.size - cut].mean())


def mean_score(scores: np.ndarray) -> float:
    """Mean over runs and tasks."""
    return float(_checked(scores).mean())


def median_score(scores: np.ndarray) -> float:
    """Median over tasks of the mean over runs: half of the tasks may be failures."""
    return float(np.median(_checked(scores).mean(axis=0)))


def optimality_gap(scores: np.ndarray, *, target: float = 1.0) -> float:
    """By how much runs fall short of `target` on average; what exceeds it counts for 0."""
    return float(target - np.minimum(_checked(scores), target).mean())


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """float64 (n,): the share of runs, all tasks alike, that score above each threshold."""
    return _shares_above(np.sort(_checked(scores), axis=None), thresholds)


def probability_of_improvement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """How likely a run of ours beats one of theirs on a task; ties count half.

    Mean over tasks of Mann-Whitney's U / (n m). Raises `ValueError` for unlike tasks.
    """
    ours, theirs = _checked(ours), _checked(theirs)
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(
            f"Both must have run on the same tasks, but one has {ours.shape[1]} and the "
            f"other {theirs.shape[1]}."
        )
    difference = ours[:, None] - theirs[None]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def stratified_bootstrap(
    statistic: Callable[..., float],
    *scores: np.ndarray,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Interval:
    """Percentile interval of `statistic(*scores)`, runs drawn anew within each task.

    Each task's runs are drawn on their own, those of each of `scores` too.
    """
    rng = np.random.default_rng(seed)
    scores = tuple(map(_checked, scores))
    found = [statistic(*(_redrawn(one, rng) for one in scores)) for _ in range(replicates)]
    low, high = np.quantile(found, _tails(level))
    method = "stratified bootstrap"
    return Interval(float(low), float(high), level, Label.ASYMPTOTIC, method)


def profile_band(
    scores: np.ndarray,
    thresholds: np.ndarray,
    *,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """float64 (n,) twice: an interval of the share above each threshold, taken by itself.

    Runs are drawn as in `stratified_bootstrap`. That the whole profile lies inside the band
    is less likely than `level`.
    """
    rng = np.random.default_rng(seed)
    scores = _checked(scores)
    drawn = [np.sort(_redrawn(scores, rng), axis=None) for _ in range(replicates)]
    shares = [_shares_above(one, thresholds) for one in drawn]
    low, high = np.quantile(shares, _tails(level), axis=0)
    return low, high


def comparable(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores of several algorithms as float64, if they can be compared with intervals.

    Raises `ValueError` where there are none, tasks differ, or there is one run only.
    """
    if not scores:
        raise ValueError("There is nothing to compare: give the scores of one algorithm.")
    checked, first = {}, next(iter(scores))
    for name, given in scores.items():
        try:
            checked[name] = _checked(given)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        runs, tasks = checked[name].shape
        if tasks != checked[first].shape[1]:
            raise ValueError(
                f"All must have run on the same tasks, but {first} has "
                f"{checked[first].shape[1]} and {name} has {tasks}. Leave out tasks, or "
                "algorithms, until every algorithm has scores on every task."
            )
        if runs < 2:
            raise ValueError(
                f"{name} has one run on each task, and one run does not say how much runs "
                "differ. An interval needs at least 2 runs (seeds), a good one 10."
            )
    return checked


def _shares_above(ordered: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    return (
        ordered.size - np.searchsorted(ordered, thresholds, side="right")
    ) / ordered.size


def _tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def _redrawn(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    runs = rng.integers(len(scores), size=scores.shape)
    return np.take_along_axis(scores, runs, axis=0)


def _checked(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(
            f"Scores must be (runs, tasks), one of each at least, but are {scores.shape}."
        )
    if not np.isfinite(scores).all():
        run, task = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(
            f"Scores must be finite, but run {run} of task {task} has {scores[run, task]}. "
            "A run that failed is a low score, not a missing one."
        )
    return scores
