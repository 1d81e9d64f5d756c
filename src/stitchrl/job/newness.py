"""Whether a log is new to a run, and whether the run's policy can have made it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from stitchrl.bundle import Bundle
from stitchrl.candidates import Candidate, drawn_actions, table
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.job.directory import DATA, load_log, read_saved
from stitchrl.ope.following import Following, following
from stitchrl.plan import Plan
from stitchrl.report.schema import Policy
from stitchrl.reuse import NOTHING, fingerprints, reused
from stitchrl.value_iteration import TabularPolicy

NEAR = 0.02  # In [-1, 1]: continuous actions so close are the same.


def require_new(directory: Path, plan: Plan, dataset: Dataset, found: Bundle | None) -> str:
    """What could not be compared with the run's log; empty if all of it was.

    Its episodes are read again; where they are gone, those that the exported policy was
    learned and chosen by are known. Raises `DataError` (REUSE) if episodes are the run's.
    """
    known = read_saved(directory, DATA)["content_hash"]
    used, note = NOTHING if found is None else found.used, ""
    count = dataset.episodes if dataset.content_hash() == known else 0
    if not count:
        own, why = None, "is no longer there"
        if Path(plan.log).exists():
            own, why = load_log(plan), "has changed since"
            if plan.horizon is not None:
                own = replace(own, horizon=plan.horizon)
        if own is not None and own.content_hash() == known:
            used, dataset = fingerprints(own), _numbered(dataset, own.actions)
        else:
            beside = "the episodes that the policy was learned and chosen by"
            note = f"The run's log '{plan.log}' {why}: compared was this one with "
            note += f"{beside if len(used) else 'nothing'} only."
            dataset = _numbered(dataset, None if found is None else found.actions)
        count = reused(dataset, used)
    if count:
        finding = Finding(
            "REUSE",
            Severity.ERROR,
            f"About {count:,} of the {dataset.episodes:,} episodes are in the log of the "
            f"run '{directory}', which made the promises: they cannot test them.",
            "Give the episodes that were logged since the policy decides, and no others.",
        )
        raise DataError([finding])
    return note


def followed(
    found: Bundle | None, policy: Policy, dataset: Dataset
) -> tuple[Following | None, str]:
    """How well the log follows the exported policy; else None, and why nobody looked.

    Continuous actions are compared where the policy takes one with certainty.
    """
    assumed = "That this policy made the log is assumed"
    is_exported = found is not None and (found.name, found.share) == (
        policy.of or policy.name,
        1.0 if policy.share is None else policy.share,
    )
    if found is None or not is_exported:
        return None, f"{assumed}: it is not the one that the run has exported."
    aligned, why = _aligned(found, dataset)
    if aligned is None:
        return None, f"{assumed}: {why}."
    candidate = Candidate(found.name, "external", found.act_by, found.policy)
    propensity = aligned.propensity
    if isinstance(aligned.actions, Choices):
        p = table(candidate, aligned).probabilities
        logged, own = p[np.arange(aligned.size), aligned.action], (p**2).sum(axis=1)
    else:
        taken = drawn_actions(candidate, aligned.observation, samples=1, seed=0)[:, 0]
        off = np.abs(aligned.actions.to_unit(aligned.action) - taken)
        logged, own = (off <= NEAR).all(axis=1).astype(np.float64), np.ones(aligned.size)
        propensity = None  # A density, if it is logged at all.
    logged, own = np.asarray(logged), np.asarray(own)
    share = found.share
    return following(logged, own, aligned.group, share=share, propensity=propensity), ""


def _aligned(found: Bundle, dataset: Dataset) -> tuple[Dataset | None, str]:
    """The log as the policy sees it; else None, and why it cannot."""
    actions = found.actions
    dataset = _numbered(dataset, actions)
    if found.feature_names != dataset.feature_names:
        return None, "the log has other features than the policy reads"
    if found.uses_valid_actions and dataset.valid_actions is None:
        return None, "the log does not say which actions were valid"
    if isinstance(found.policy, TabularPolicy):
        states = dataset.state_id
        if states is None or states.max() >= len(found.policy.probabilities):
            return None, "the log has other states than the policy knows"
    if isinstance(actions, Bounds) and found.act_by != "mode":
        return None, "it draws continuous actions"
    if actions != dataset.actions:
        return None, "the log has other actions than the policy takes"
    return dataset, ""


def _numbered(dataset: Dataset, actions: Choices | Bounds | None) -> Dataset:
    """With the numbers that actions of these names have; as it is if others occur.

    A log that does not declare its labels has only those that were done.
    """
    here = dataset.actions
    if not isinstance(here, Choices) or not isinstance(actions, Choices):
        return dataset
    is_same = here == actions or dataset.valid_actions is not None
    if is_same or set(here.labels) - set(actions.labels):
        return dataset
    number = np.array([actions.labels.index(label) for label in here.labels], np.int32)
    return replace(dataset, actions=actions, action=number[dataset.action])
