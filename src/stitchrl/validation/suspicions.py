"""Warnings: what is legal in a log, and often a mistake."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.findings import SHOWN_ROWS, Finding, Severity, at_rows

FEW_GROUPS = 30  # With fewer to judge by, no interval holds.
JUDGED_SHARE = 0.2  # Of a log, on which a run certifies.
ENOUGH_GROUPS = round(FEW_GROUPS / JUDGED_SHARE)
FEW_ROWS = 10  # With fewer, any two columns may lie on one line.
FEW_VALUES = 50  # A continuous action with fewer, all whole numbers, is rather a choice.
RARE = 5  # Rows; an action with fewer may be a slip of the pen.
SAMPLE = 1_000
SAME = 1e-9  # One minus the correlation of columns that are equal up to scale.


def _warning(code: str, message: str, remedy: str, *, rows: Sequence[int] = ()) -> Finding:
    return at_rows(code, Severity.WARNING, message, remedy, rows=rows)


def _rows(found: np.ndarray) -> list[int]:
    return np.flatnonzero(found).tolist()


def _listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(f"'{name}'" for name in names[:SHOWN_ROWS])
    more = len(names) - SHOWN_ROWS
    return shown + (f" and {more:,} more" if more > 0 else "")


def few_episodes(dataset: Dataset) -> Iterator[Finding]:
    """Too little that is independent for splits and intervals to mean much."""
    remedy = "Log more, or map the column that tells episodes apart."
    if dataset.episodes == 1:
        yield _warning(
            "ONE_EPISODE",
            f"All {dataset.size:,} rows are one episode: nothing can be held out, and no "
            "interval can be computed.",
            remedy,
        )
        return
    judged = dataset.groups - round((1 - JUDGED_SHARE) * dataset.groups)
    if judged < FEW_GROUPS:
        yield _warning(
            "FEW_GROUPS",
            f"The log has {dataset.groups} independent groups. Policies are judged on a "
            f"fifth of them that nothing was learned from: on {judged}, and no interval "
            f"holds with fewer than {FEW_GROUPS}. Whatever is learned, the verdict can "
            "only be cannot_say.",
            f"Log about {ENOUGH_GROUPS - dataset.groups} more groups ({ENOUGH_GROUPS} in "
            "all), or map the column that tells groups apart.",
        )


def ends(dataset: Dataset) -> Iterator[Finding]:
    """Ends that say two things, and rows after which nobody knows what happened."""
    if rows := _rows(dataset.terminated & dataset.truncated):
        yield _warning(
            "BOTH_ENDS",
            "Rows are both terminated and truncated; terminated counts, so their next "
            "observation is not used.",
            "If the recording stopped while the process went on, clear terminated.",
            rows=rows,
        )
    if rows := _rows(~dataset.has_next):
        yield _warning(
            "NEXT_UNKNOWN",
            f"In {len(rows):,} of {dataset.size:,} rows what followed is neither known nor "
            "the end: values cannot be bootstrapped there and training leaves them out.",
            "Log the observation after the last decision (final_rows or next_observation "
            "in the mapping), or mark true ends as terminated.",
            rows=rows,
        )


def gaps(dataset: Dataset) -> Iterator[Finding]:
    """Steps that are skipped, clocks that run backwards."""
    inside = ~dataset.episode_end[:-1]
    rise = np.diff(dataset.step)
    stride = np.median(rise[inside]) if inside.any() else 1
    if rows := _rows(np.concatenate([[False], inside & (rise > max(stride, 1))])):
        yield _warning(
            "STEP_GAP",
            f"Steps usually rise by {stride:g}, but more before some rows: the row before "
            "takes a later observation for its next one.",
            "Restore the missing rows, or give what follows a gap its own episode.",
            rows=rows,
        )
    if dataset.time is None:
        return
    if rows := _rows(np.concatenate([[False], inside & (np.diff(dataset.time) < 0)])):
        yield _warning(
            "TIME_ORDER",
            "Time runs backwards within an episode.",
            "Check the order of rows and the time zone; sort = true sorts by step.",
            rows=rows,
        )


def rewards(dataset: Dataset) -> Iterator[Finding]:
    """Rewards from which nothing can be learned."""
    columns = {"reward": dataset.reward} | {
        f"reward.{name}": column for name, column in dataset.rewards.items()
    }
    for name, column in columns.items():
        if dataset.size > 1 and (column == column[0]).all():
            yield _warning(
                "REWARD_CONSTANT",
                f"'{name}' is {column[0]:g} in all {dataset.size:,} rows: every policy "
                "looks equally good.",
                "Map the column that says how well it went.",
            )


def sources(dataset: Dataset) -> Iterator[Finding]:
    """A column of sources that tells none apart."""
    if dataset.source is not None and (dataset.source == dataset.source[0]).all():
        assert dataset.source_id is not None
        yield _warning(
            "ONE_SOURCE",
            f"All {dataset.size:,} rows come from one source, "
            f"'{dataset.source_id[dataset.source[0]]}': there is nothing to balance.",
            "Map the column that says which policy, site or demonstrator logged each row.",
        )


def actions(dataset: Dataset) -> Iterator[Finding]:
    """Choices that are read as amounts."""
    if not isinstance(dataset.actions, Bounds) or dataset.actions.size > 1:
        return
    values = np.unique(dataset.action[np.isfinite(dataset.action)])
    is_whole = (values == np.round(values)).all()
    if is_whole and len(values) <= min(FEW_VALUES, dataset.size // 2):
        yield _warning(
            "LOOKS_DISCRETE",
            f"The action is read as a continuous amount, but takes only {len(values)} "
            "values, all whole numbers.",
            'If it is a choice, write action = "COLUMN" without brackets in the mapping.',
        )


def rare_actions(dataset: Dataset) -> Iterator[Finding]:
    """Choices that hardly occur, where others do often: perhaps misspelled."""
    if not isinstance(dataset.actions, Choices):
        return
    labels = dataset.actions.labels
    known = dataset.action[(dataset.action >= 0) & (dataset.action < len(labels))]
    counts = np.bincount(known, minlength=len(labels))
    present = np.count_nonzero(counts)
    rare = np.flatnonzero((counts > 0) & (counts < RARE))
    if not len(rare) or dataset.size < RARE * present:
        return
    rows = np.flatnonzero(np.isin(dataset.action, rare))
    shown = [
        f"'{labels[action]}' {counts[action]} (first in row "
        f"{dataset.row[(dataset.action == action).argmax()]:,})"
        for action in rare[:SHOWN_ROWS]
    ]
    more = f" and {len(rare) - SHOWN_ROWS:,} more" if len(rare) > SHOWN_ROWS else ""
    yield _warning(
        "RARE_ACTION",
        f"{len(rare)} of {present} actions occur in fewer than {RARE} rows: "
        f"{', '.join(shown)}{more}.",
        "Correct misspelled ones; combine rare ones with others, or leave them out: what "
        "they bring cannot be learned from so few rows.",
        rows=rows.tolist(),
    )


def columns(dataset: Dataset) -> Iterator[Finding]:
    """Observation columns that say nothing, or the same twice."""
    names, observation = dataset.feature_names, dataset.observation
    constant = np.fmin.reduce(observation) >= np.fmax.reduce(observation)
    constant |= np.isnan(observation).all(axis=0)
    if constant.any() and dataset.size > 1:
        found = [name for name, same in zip(names, constant) if same]
        yield _warning(
            "CONSTANT",
            f"{len(found)} observation columns have one value in all rows: "
            f"{_listed(found)}.",
            "Leave them out of the mapping, unless they vary elsewhere.",
        )
    seen: dict[bytes, str] = {}
    repeats: list[str] = []
    for name, column, same in zip(names, observation.T, constant):
        digest = hashlib.blake2b(np.ascontiguousarray(column).tobytes()).digest()
        first = seen.setdefault(digest, name)
        if first != name and not same:
            repeats.append(f"{name}' = '{first}")
    if repeats and dataset.size > 1:
        yield _warning(
            "DUPLICATE",
            f"{len(repeats)} observation columns repeat another: {_listed(repeats)}.",
            "Keep one of each.",
        )
    yield from leaks(dataset, constant)


def leaks(dataset: Dataset, constant: np.ndarray) -> Iterator[Finding]:
    """Observation columns that already contain the action or the reward."""
    acted: list[np.ndarray] = []
    if isinstance(dataset.actions, Bounds):
        acted = list(dataset.action.T)
    elif isinstance(dataset.actions, Choices):
        acted = [dataset.action, *_numbers_of_labels(dataset, dataset.actions)]
    paid = [dataset.reward, *dataset.rewards.values()]
    acted, paid = ([t for t in ts if (t != t[0]).any()] for ts in (acted, paid))
    for code, word, targets in (
        ("REPEATS_ACTION", "action", acted),
        ("REPEATS_REWARD", "reward", paid),
    ):
        found = [
            name
            for name, column, same in zip(
                dataset.feature_names, dataset.observation.T, constant
            )
            if not same and any(_repeats(column, target) for target in targets)
        ]
        if found:
            yield _warning(
                code,
                f"Observation columns repeat the {word} of the same row, up to scale: "
                f"{_listed(found)}. It would not be known yet when a policy decides.",
                "Leave them out of the mapping, or shift them to the step before.",
            )


def _numbers_of_labels(dataset: Dataset, choices: Choices) -> list[np.ndarray]:
    """The logged actions as the numbers their labels spell, if they do."""
    known = choices.split(np.clip(dataset.action, 0, choices.count - 1))
    found = []
    for index, labels in enumerate(choices.parts or (choices.labels,)):
        try:
            numbers = np.array([float(label) for label in labels])
        except ValueError:
            continue
        found.append(numbers[known[:, index]])
    return found


def _repeats(column: np.ndarray, target: np.ndarray) -> bool:
    """Whether the two are equal, or on a line through enough rows.

    A sample of the rows decides first: almost all pairs differ there already.
    """
    stride = len(column) // SAMPLE
    if stride > 1 and _correlation(column[::stride], target[::stride]) < 1 - SAME:
        return False
    if np.array_equal(column, target.astype(np.float32)):
        return True
    return _correlation(column, target) >= 1 - SAME


def _correlation(column: np.ndarray, target: np.ndarray) -> float:
    """Without its sign; NaN for too few rows, or where one of the two does not vary."""
    both = np.isfinite(column) & np.isfinite(target)
    if np.count_nonzero(both) < FEW_ROWS:
        return np.nan
    x = column[both].astype(np.float64)
    y = target[both].astype(np.float64)
    x, y = x - x.mean(), y - y.mean()
    norms = np.sqrt((x @ x) * (y @ y))
    return float(abs(x @ y) / norms) if norms > 0 else np.nan


SUSPICIONS: tuple[Callable[[Dataset], Iterator[Finding]], ...] = (
    few_episodes,
    ends,
    gaps,
    rewards,
    sources,
    actions,
    rare_actions,
    columns,
)
