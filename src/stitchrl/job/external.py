"""Policies that were not trained here: uniform, columns of the log, an exported bundle."""

from pathlib import Path

import numpy as np

from stitchrl import bundle, sources
from stitchrl.candidates import Candidate
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.requests import Request
from stitchrl.plan import Plan


def external_request(name: str, plan: Plan, dataset: Dataset) -> Request:
    """The policy that a plan calls by this name: "uniform", "column", a bundle's path.

    Raises `ValueError` if it is unknown, or was made for other observations or actions.
    """
    if name == "uniform":
        return Request(Candidate("uniform", "external", "sample", "uniform"))
    if name == "column":
        columns = _by_source_row(plan, dataset)
        return Request(Candidate("policy columns", "external", "sample", columns))
    place = Path(name)
    if not place.is_dir():
        raise ValueError(
            f"'{name}' is no policy: give 'uniform' or the path of a policy bundle, such "
            "as run/policy."
        )
    found = bundle.load(place)
    for what, own, here in (
        ("observations", found.feature_names, dataset.feature_names),
        ("actions", found.actions, dataset.actions),
    ):
        if own != here:
            raise ValueError(
                f"The policy '{name}' was made for other {what} than those of '{plan.log}':"
                f" {_difference(own, here)}. Map the log as that policy's log was mapped."
            )
    shown = "/".join(place.absolute().parts[-2:])
    candidate = Candidate(shown, "external", found.act_by, found.policy, used=found.used)
    return Request(candidate, found.share)


def _difference(own: object, here: object) -> str:
    if isinstance(own, tuple) and isinstance(here, tuple):
        lacking = [name for name in own if name not in here]
        if lacking:
            return f"the log lacks {', '.join(map(repr, lacking[:5]))}"
        return f"it reads {len(own)} features in its own order, the log has {len(here)}"
    return f"{str(own)[:200]} instead of {str(here)[:200]}"


def _by_source_row(plan: Plan, dataset: Dataset) -> np.ndarray:
    """float64 (source rows, count): NaN in rows that are no decisions."""
    mapping = None
    if plan.mapping is not None:
        mapping = sources.Mapping.model_validate(plan.mapping)
    given = sources.load_policy_probabilities(plan.log, mapping)
    if not isinstance(dataset.actions, Choices) or given.ndim == 1:
        raise ValueError(
            f"policy_probability of '{plan.log}' has one column, but a policy can only be "
            "evaluated by one column for each discrete action: what it would do where the "
            "log did something else counts too."
        )
    known = ~np.isnan(dataset.final_observation).all(axis=1)
    open_ends = int((known & ~dataset.terminated[dataset.last_row]).sum())
    if open_ends:
        raise ValueError(
            f"policy_probability of '{plan.log}' says nothing about what the policy would "
            f"do after the last decision of {open_ends:,} episodes that were cut. Leave "
            "out what was observed then (final rows, next observations), or give the "
            "policy as a bundle."
        )
    spread = np.full((int(dataset.row.max()) + 1, given.shape[1]), np.nan)
    spread[dataset.row] = given
    return spread
