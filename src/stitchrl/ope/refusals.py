"""When no number may be given: condition, message and the cheapest way out, one each."""

import math
from dataclasses import dataclass

import numpy as np

from stitchrl.dataset import PROPENSITY_ROUNDING, Bounds, Dataset
from stitchrl.ope.base import Estimate, Source
from stitchrl.ope.bounds import ReturnBounds

FEWEST_GROUPS = 30
FEWEST_EFFECTIVE = 10.0
MEAN_WEIGHT = (0.5, 2.0)
MEAN_WEIGHT_ERRORS = 5.0
MEAN_WEIGHT_ROUNDING = 1e-3  # Propensities written with few digits, over an episode.
UNSUPPORTED_SHARE = 0.01
MISSED_SHARE = 0.1
AT_BOUND = 1e-5  # Of half the range of an action.
ROUNDING = 1e-7  # The same, in float32.
MOST_AT_BOUNDS = 0.01  # Share of actions.
HEAVIEST_SHAPE = 0.7  # Vehtari et al. 2024, arXiv 1507.02646.


@dataclass(frozen=True)
class Refusal:
    """Why a policy cannot be evaluated on this log."""

    code: str
    message: str
    remedy: str


def no_propensity(*, has_propensity: bool, has_fitted_behavior: bool) -> Refusal | None:
    """NO_PROP: nobody knows how likely the logged actions were."""
    if has_propensity or has_fitted_behavior:
        return None
    return Refusal(
        "NO_PROP",
        "The log does not say how likely each action was, and no model of the behavior "
        "was fitted. Assuming 1 would be wrong.",
        "Fit a behavior model (its calibration is reported), or map the column "
        "'propensity'.",
    )


def bad_propensity(propensity: np.ndarray, *, is_density: bool = False) -> Refusal | None:
    """BAD_PROP: propensities ≤ 0, not finite, or > 1 where actions are discrete."""
    too_large = np.zeros(len(propensity), bool)
    if not is_density:
        too_large = propensity > 1 + PROPENSITY_ROUNDING
    wrong = ~np.isfinite(propensity) | (propensity <= 0) | too_large
    if not wrong.any():
        return None
    row = int(np.flatnonzero(wrong)[0])
    hint = ""
    if (propensity <= 0).all():
        hint = " All are ≤ 0: they look like logarithms; give their exponentials."
    return Refusal(
        "BAD_PROP",
        f"Propensities must be {'> 0' if is_density else 'in (0, 1]'}, but {wrong.sum():,} "
        f"of {len(propensity):,} are not: row {row} has {propensity[row]:.6g}.{hint}",
        "Correct the 'propensity' column, or leave it out and fit a behavior model.",
    )


def at_bounds(dataset: Dataset) -> Refusal | None:
    """BAD_PROP: many continuous actions lie at a bound, where there is no density.

    They were clipped, or a dose is often none: such actions have a probability. A ratio of
    densities means nothing there; fitted ones already close to a bound.
    """
    if not isinstance(dataset.actions, Bounds):
        return None
    unit = np.abs(dataset.actions.to_unit(dataset.action))
    near = AT_BOUND if dataset.propensity is None else ROUNDING
    count = int((unit >= 1 - near).any(axis=1).sum())
    share = count / dataset.size
    # Where bounds were read off the log, two actions of each kind lie at one.
    if share <= MOST_AT_BOUNDS or count <= 2 * unit.shape[1]:
        return None
    return Refusal(
        "BAD_PROP",
        f"{share:.1%} of the logged actions lie at a bound of what they can be. "
        "Such actions have a probability, not a density, and importance weights, which "
        "are ratios of densities, mean nothing there.",
        "Log actions as they were before they were clipped; or, where an amount is often "
        "none or all, make classes of it ('actions' as choices).",
    )


def unsupported(share: float, *, states: int | None = None) -> Refusal | None:
    """SUPPORT: `share` of the policy's decisions have known probability 0 in the log."""
    if share < UNSUPPORTED_SHARE:
        return None
    where = f", in {states:,} states" if states else ""
    return Refusal(
        "SUPPORT",
        f"{share:.1%} of this policy's decisions are actions that the log's behavior never "
        f"takes there{where}: no amount of such data says what they do.",
        "Restrict the policy to actions that the behavior takes; the lower and upper "
        "completions of FQE say what is at stake.",
    )


def low_effective_size(
    effective_size: float, groups: int, *, part: float = 1.0
) -> Refusal | None:
    """ESS_LOW: fewer than 10 episodes effectively speak about the policy.

    `part` is the share of the whole log that these groups are.
    """
    if effective_size >= FEWEST_EFFECTIVE:
        return None
    needed = groups / part * FEWEST_EFFECTIVE / max(effective_size, 1e-9)
    return Refusal(
        "ESS_LOW",
        f"Only {effective_size:.1f} of {groups:,} independent episodes effectively speak "
        "about this policy; at least 10 must.",
        "Move less far: mix in more of the present behavior. "
        f"Or log about {needed:,.0f} episodes in all.",
    )


def mean_weight_off(
    mean: float, error: float, *, is_fitted: bool = False
) -> Refusal | None:
    """MEANW: weights, which must average 1, are off by > 5 errors or a factor 2.

    Off by as much as propensities are rounded is not off. `is_fitted` says that these are
    estimated.
    """
    low, high = MEAN_WEIGHT
    allowed = MEAN_WEIGHT_ERRORS * error + MEAN_WEIGHT_ROUNDING
    if low <= mean <= high and abs(mean - 1) <= allowed:
        return None
    if is_fitted:
        return Refusal(
            "MEANW",
            f"Importance weights must average 1, but average {mean:.3g} (standard error "
            f"{error:.2g}): how likely the logged actions were had to be estimated, and "
            "the estimate is too far off, or a few episodes carry the weight.",
            "Add the columns by which the decisions were made, or log how likely each "
            "action was; or move less far: mix the policy with the present behavior.",
        )
    return Refusal(
        "MEANW",
        f"Importance weights must average 1, but average {mean:.3g} (standard error "
        f"{error:.2g}): propensities are wrong, episodes depend on each other, or a few "
        "episodes that were not seen carry the weight.",
        "Check the propensities; if they are right, move less far: mix the policy with "
        "the present behavior.",
    )


def heavy_tail(shape: float) -> Refusal | None:
    """HEAVY: the largest weights say that weights have no variance to count on.

    `shape` is Pareto's k, NaN if there are too few weights to say.
    """
    if not shape >= HEAVIEST_SHAPE:
        return None
    return Refusal(
        "HEAVY",
        f"The largest importance weights fall off so slowly (Pareto's k is {shape:.2f}; "
        f"from {HEAVIEST_SHAPE} on weighted means are not to be trusted) that the next "
        "episode may outweigh all others.",
        "Move less far: mix in more of the present behavior.",
    )


def unbounded_horizon(dataset: Dataset, discount: float) -> Refusal | None:
    """HORIZON: γ = 1, episodes cut off, and no declared horizon."""
    cut = int(dataset.truncated.sum())
    if discount < 1 or cut == 0 or dataset.horizon is not None:
        return None
    return Refusal(
        "HORIZON",
        f"{cut:,} of {dataset.episodes:,} episodes were cut off before they ended, and "
        "with discount 1 what would have followed has no limit.",
        "Give a discount below 1 (--discount .99), or declare the horizon of the task.",
    )


def no_ends(dataset: Dataset) -> Refusal | None:
    """TERM: no episode is said to have ended or to have been cut."""
    if dataset.terminated.any() or dataset.truncated.any():
        return None
    return Refusal(
        "TERM",
        f"None of {dataset.size:,} rows is 'terminated' or 'truncated': it is unknown "
        "whether episodes ended or were only no longer watched.",
        "Map the column that says how episodes end.",
    )


def too_few(groups: int, *, part: float = 1.0) -> Refusal | None:
    """SINGLE: fewer than 30 independent episodes.

    `part` is the share of the whole log that these groups are.
    """
    if groups >= FEWEST_GROUPS:
        return None
    held = "" if part == 1 else f", the {part:.0%} of the log that are kept for judging"
    more = math.ceil((FEWEST_GROUPS - groups) / part)
    return Refusal(
        "SINGLE",
        f"There are {groups} independent episodes to judge by{held}; no interval holds "
        f"with fewer than {FEWEST_GROUPS}.",
        f"Log at least {more:,} more (patients, users, robots: whatever is "
        "independent of the others).",
    )


def bounds_broken(
    bounds: ReturnBounds, returns: np.ndarray, *, guaranteed: bool = False
) -> Refusal | None:
    """BOUNDS: returns break their declared bounds, or a guarantee is asked without any."""
    slack = 1e-9 * max(1.0, abs(bounds.low), abs(bounds.high))
    outside = (returns < bounds.low - slack) | (returns > bounds.high + slack)
    if outside.any():
        episode = int(np.flatnonzero(outside)[0])
        return Refusal(
            "BOUNDS",
            f"Returns are declared to lie in [{bounds.low:.6g}, {bounds.high:.6g}], but "
            f"{outside.sum():,} do not: episode {episode} returned {returns[episode]:.6g}.",
            "Correct 'return_bounds' or 'reward_bounds', or the reward column.",
        )
    if guaranteed and bounds.source is not Source.DECLARED:
        return Refusal(
            "BOUNDS",
            "A guaranteed interval needs to know the smallest and largest return there can "
            f"be; the log shows {bounds.low:.6g} to {bounds.high:.6g}, which is no proof.",
            "Declare 'return_bounds' or 'reward_bounds' and 'horizon'.",
        )
    return None


def already_used(count: int, episodes: int) -> Refusal | None:
    """REUSE: the policy was learned or chosen by episodes that it is judged on."""
    if count == 0:
        return None
    return Refusal(
        "REUSE",
        f"About {count:,} of the {episodes:,} episodes to judge by were used to learn or "
        "choose this policy: it looks better there than it is.",
        "Judge it on episodes logged since, or on those that its own run held back "
        "(stitchrl evaluate RUN).",
    )


def deterministic(
    *, is_continuous: bool, effective_size: float, followed: int, episodes: int
) -> Refusal | None:
    """DET_IS: weights of a policy without randomness, of which the log shows too little.

    `followed` counts the episodes of the log that act as the policy throughout.
    """
    if not is_continuous and effective_size >= FEWEST_EFFECTIVE:
        return None
    what = (
        "continuous actions are never exactly those of a deterministic policy"
        if is_continuous
        else f"only {followed:,} of {episodes:,} episodes follow this policy throughout"
    )
    return Refusal(
        "DET_IS",
        f"Importance weights cannot judge this deterministic policy: {what}.",
        "Try it where a person can step in and log what happens; or evaluate a policy that "
        "draws its actions, and whose density at the logged ones is known."
        if is_continuous
        else "Evaluate a stochastic version (`sample`) or a mixture with the present "
        "behavior.",
    )


def insane_values(
    *, lowest: float, highest: float, bounds: ReturnBounds, drift: float = 0.0
) -> Refusal | None:
    """QSANE: Q outside what returns can be, or still drifting by more than one error.

    `drift` is the change over the last fifth of the fit, in standard errors.
    """
    slack = 0.01 * bounds.width
    if lowest >= bounds.low - slack and highest <= bounds.high + slack and drift <= 1:
        return None
    return Refusal(
        "QSANE",
        f"Fitted values reach from {lowest:.4g} to {highest:.4g} where returns lie in "
        f"[{bounds.low:.4g}, {bounds.high:.4g}], and moved by {drift:.1f} standard errors "
        "at the end of the fit: the fit has not settled.",
        "Fit for longer, with a smaller learning rate, or in closed form on discrete "
        "states.",
    )


def behavior_missed(
    fitted: float, present: Estimate, returns: np.ndarray
) -> Refusal | None:
    """QSANE: the fit that judges policies misses the present behavior's known value.

    By more than a tenth of the range of returns (their 95 % less their 5 % quantile), and
    more than the mean return may be off itself.
    """
    low, high = np.quantile(returns, [0.05, 0.95])
    allowed = MISSED_SHARE * float(high - low)
    error = 0.0 if present.interval is None else present.interval.width / 2
    if abs(fitted - present.value) <= max(allowed, error):
        return None
    return Refusal(
        "QSANE",
        f"Fitted values of the present behavior say {fitted:.4g}, but its episodes "
        f"returned {present.value:.4g} on average: such a fit cannot judge another policy.",
        "Fit for longer (--fqe-updates), log more episodes, or give the state more of what "
        "decides the outcome.",
    )


def has_memory(*, replays_as_markov: bool) -> Refusal | None:
    """MEMORY: the policy remembers more than an observation tells."""
    if replays_as_markov:
        return None
    return Refusal(
        "MEMORY",
        "This policy acts on its memory of the episode, so that neither weights nor fitted "
        "values of single decisions describe it.",
        "Declare the history that it looks at, so that it replays as a policy of "
        "observations; or pilot it.",
    )
