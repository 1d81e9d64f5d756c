"""Choosing among trained policies without, or with few, trials."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stitchrl import artifacts, bundle
from stitchrl.candidates import Candidate, table
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.requests import Request
from stitchrl.job.clock import Tell
from stitchrl.job.directory import is_saved, read_saved
from stitchrl.job.training import Trained
from stitchrl.ope.bounds import return_bounds
from stitchrl.ope.divergence import disagreement
from stitchrl.plan import Plan
from stitchrl.reuse import fingerprints
from stitchrl.selection.online import Beliefs
from stitchrl.selection.trials import Choice, Trial, chosen, spend

SELECTION = "selection.json"

Environment = Callable[[Candidate, int], tuple[float, int]]  # With a seed: return, steps.


class Standing(NamedTuple):
    """One policy in the ranking."""

    candidate: Candidate
    value: float  # As `Ranking.values` has it, on the selection split.
    lowest_gap: float | None  # Least that it is behind in these values; None: no other.

    @property
    def is_apart(self) -> bool:
        """Whether the log tells it apart from the first."""
        return self.lowest_gap is not None and self.lowest_gap > 0


class Selected(NamedTuple):
    """What was chosen, and on what grounds."""

    standings: tuple[Standing, ...]  # Candidates, best first; no controls.
    trials: tuple[Trial, ...]  # Policies are numbered as in `standings`.
    choice: Choice | None  # After the trials.

    @property
    def best(self) -> Candidate:
        """By trials where there were any, else by the log."""
        return self.standings[self.choice.best if self.choice else 0].candidate


def stand(trained: Trained) -> tuple[Standing, ...]:
    """Candidates as ranked, and which of them the selection split can tell apart.

    Raises `ValueError` without any.
    """
    candidates = [one for one in trained.candidates if one.kind == "policy"]
    if not candidates:
        raise ValueError(
            "Nothing was trained that could be chosen: only controls, or nothing at all. "
            "Name algorithms with --algorithms."
        )
    found = None
    if len(candidates) > 1:
        found = trained.ranked_on.separation(
            [Request(one) for one in candidates],
            [trained.ranking[one.name] for one in candidates],
        )
    return tuple(
        Standing(
            one,
            trained.ranking[one.name],
            None if found is None else float(found.lowest[number]),
        )
        for number, one in enumerate(candidates)
    )


def select(
    trained: Trained,
    plan: Plan,
    directory: Path,
    *,
    environment: Environment | None = None,
    budget: int = 0,
    tell: Tell = lambda message: None,
) -> Selected:
    """Rank, spend `budget` episodes in the `environment`, and export what is best.

    Every trial is saved as it ends, and is not made again. The best policy is saved in
    `selected/` of the directory, for use where no verdict is asked for.
    """
    standings = stand(trained)
    names = [standing.candidate.name for standing in standings]
    trials: list[Trial] = []
    choice = None
    if environment is not None and budget > 0:
        dataset = trained.splits.selection
        bounds = return_bounds(dataset, 1.0)
        within = (bounds.low, bounds.high)
        beliefs = Beliefs.of(
            len(standings),
            estimates=np.array([standing.value for standing in standings]),
            distance=_distances([s.candidate for s in standings], dataset),
        )
        trials += _saved(directory, names)[:budget]

        def play(policy: int, seed: int) -> tuple[float, int]:
            return environment(standings[policy].candidate, plan.seed * 1_000_000 + seed)

        spent = spend(
            beliefs, play, budget=budget, range_of_returns=within, before=tuple(trials)
        )
        for trial in spent:
            trials.append(trial)
            _save(directory, standings, trials)
            tell(
                f"Trial {len(trials)} of {budget}: {names[trial.policy]} returned "
                f"{trial.returned:.4g} in {trial.steps:,} steps"
            )
        choice = chosen(beliefs, trials, within)
    selected = Selected(standings, tuple(trials), choice)
    _save(directory, standings, trials)
    _export(selected, trained, plan, directory)
    return selected


def _distances(candidates: list[Candidate], dataset: Dataset) -> np.ndarray | None:
    """float64 (n, n): the least share of decisions in which two policies differ.

    None for continuous actions.
    """
    if not isinstance(dataset.actions, Choices):
        return None
    acting = [table(one, dataset).probabilities for one in candidates]
    apart = np.zeros((len(acting), len(acting)))
    for i, one in enumerate(acting):
        for j in range(i):
            apart[i, j] = apart[j, i] = disagreement(one, acting[j])
    return apart


def _save(directory: Path, standings: tuple[Standing, ...], trials: list[Trial]) -> None:
    said: dict[str, Any] = {
        "ranking": [
            {
                "name": standing.candidate.name,
                "value": standing.value,
                "behind_at_least": standing.lowest_gap,
            }
            for standing in standings
        ],
        "trials": [
            {
                "name": standings[trial.policy].candidate.name,
                "returned": trial.returned,
                "steps": trial.steps,
            }
            for trial in trials
        ],
    }
    artifacts.save_sealed(directory, {SELECTION: artifacts.json_to_bytes(said)})


def _saved(directory: Path, names: list[str]) -> list[Trial]:
    """Trials that were made before. Raises `ArtifactError` if of other policies."""
    if not is_saved(directory, SELECTION):
        return []
    said = read_saved(directory, SELECTION)
    unknown = {one["name"] for one in said["trials"]}.difference(names)
    if unknown:
        raise artifacts.ArtifactError(
            f"'{directory / SELECTION}' holds trials of {', '.join(sorted(unknown))}, but "
            "this training has no such policy. Name another directory with --out."
        )
    return [
        Trial(names.index(one["name"]), one["returned"], one["steps"])
        for one in said["trials"]
    ]


def _export(selected: Selected, trained: Trained, plan: Plan, directory: Path) -> None:
    best, splits = selected.best, trained.splits
    why = "by trials" if selected.choice else "by values fitted on the selection split"
    exported = bundle.bundle_of(
        best,
        splits.train,
        share=1.0,
        reading={"mapping": plan.mapping},
        certified={"sentence": f"Chosen {why}; nothing was certified."},
        used=fingerprints(splits.train, splits.selection),
    )
    bundle.save(directory / "selected", exported)
    artifacts.seal(directory)
