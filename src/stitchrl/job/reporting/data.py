"""Section 3: columns, findings, distributions, use of actions and splits of the log."""

from typing import Literal

import numpy as np

from stitchrl.candidates import Candidate, drawn_actions, table
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.job.reporting.audit import audit_panel
from stitchrl.job.reporting.changes import compared
from stitchrl.job.reporting.columns import columns_of
from stitchrl.job.reporting.material import MOST_CELLS, Material
from stitchrl.job.reporting.numbers import histogram
from stitchrl.report.schema import (
    ActionDimension,
    ActionShare,
    ActionUse,
    DataFinding,
    DataSection,
    SplitSize,
)

PARTS: tuple[Literal["train", "selection", "certification"], ...] = (
    "train",
    "selection",
    "certification",
)
BINS = 20  # Of each continuous action, between its bounds.


def data_section(material: Material) -> DataSection:
    """What is in the log."""
    results, dataset = material.results, material.results.dataset
    return DataSection(
        source=material.plan.log,
        content_hash=dataset.content_hash(),
        rows=dataset.size,
        episodes=dataset.episodes,
        groups=dataset.groups,
        group_name=material.plan.group_name,
        columns=columns_of(dataset, material.plan.group_name),
        findings=[
            DataFinding(
                code=finding.code,
                severity=finding.severity,
                count=finding.count,
                rows=finding.rows,
                message=finding.message,
                remedy=finding.remedy,
            )
            for finding in results.findings
        ],
        returns=histogram(dataset.returns()),
        lengths=histogram(dataset.lengths),
        actions=action_use(material),
        audit=audit_panel(material),
        splits=splits_of(material),
        reward_transform=str(material.reward),
    )


def splits_of(material: Material) -> list[SplitSize]:
    """The three parts of the log; without training all of it certifies."""
    splits = material.results.splits
    found = []
    for name in PARTS:
        part = material.dataset if name == "certification" else getattr(splits, name, None)
        if part is not None:
            size = {"groups": part.groups, "episodes": part.episodes, "rows": part.size}
            found.append(SplitSize(name=name, **size))
    return found


def action_use(material: Material) -> ActionUse:
    """How often each action was taken, and would be by the policy in the same states."""
    candidate = compared(material)
    dataset = _thinned(material.results.dataset)
    space = dataset.actions
    name = None if candidate is None else candidate.name
    if isinstance(space, Choices):
        choices = _choices(dataset, space, candidate)
        return ActionUse(n=dataset.size, policy=name, choices=choices)
    dimensions = _dimensions(dataset, space, candidate, material.plan.seed)
    return ActionUse(n=dataset.size, policy=name, dimensions=dimensions)


def _thinned(dataset: Dataset) -> Dataset:
    """The log, or episodes spread evenly over it if it has too many rows x actions."""
    space = dataset.actions
    width = space.count if isinstance(space, Choices) else space.size
    share = MOST_CELLS / (dataset.size * width)
    if share >= 1:
        return dataset
    kept = max(int(share * dataset.episodes), 1)
    return dataset.take_episodes(np.linspace(0, dataset.episodes - 1, kept).astype(int))


def _choices(
    dataset: Dataset, space: Choices, candidate: Candidate | None
) -> list[ActionShare]:
    counts = np.bincount(dataset.action, minlength=space.count)
    policy: list[float | None] = [None] * space.count
    if candidate is not None:
        mean = table(candidate, dataset).probabilities.mean(axis=0)
        policy = np.clip(mean, 0, 1).tolist()
    return [
        ActionShare(
            label=label, count=int(count), share=count / dataset.size, policy_share=share
        )
        for label, count, share in zip(space.labels, counts, policy)
    ]


def _dimensions(
    dataset: Dataset, space: Bounds, candidate: Candidate | None, seed: int
) -> list[ActionDimension]:
    taken = None
    if candidate is not None:
        drawn = drawn_actions(candidate, dataset.observation, samples=1, seed=seed)
        taken = space.from_unit(drawn[:, 0].astype(np.float64))
    found = []
    for i, name in enumerate(space.names):
        edges = np.linspace(space.low[i], space.high[i], BINS + 1)
        found.append(
            ActionDimension(
                name=name,
                edges=edges.tolist(),
                share=_in_bins(dataset.action[:, i], edges),
                policy_share=None if taken is None else _in_bins(taken[:, i], edges),
            )
        )
    return found


def _in_bins(values: np.ndarray, edges: np.ndarray) -> list[float]:
    """Shares of `values`; those on or beyond the outer edges count in the outer bins."""
    place = np.searchsorted(edges, values, side="right") - 1
    place = np.clip(place, 0, len(edges) - 2)
    return (np.bincount(place, minlength=len(edges) - 1) / len(values)).tolist()
