"""How often each row of a log is learned from: by stratum, and as the log itself weighs."""

from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from stitchrl.dataset import Dataset
from stitchrl.findings import Finding, Severity


class Stratum(NamedTuple):
    """Rows that are balanced against others."""

    name: str
    rows: int
    episodes: int
    before: float  # Its share of what is learned from, if nothing were balanced.
    share: float


class Sampled(NamedTuple):
    """Weights of rows, and what they balance."""

    weight: np.ndarray | None  # float64 (size,); None: every row counts as any other.
    strata: tuple[Stratum, ...]
    is_weighed: bool = False  # Within strata, by the log's column.


class Sampling(BaseModel):
    """Which rows are drawn more often, for learning only: judging never weighs rows.

    Strata are the log's sources, or as many bins of the episode return as `bins` says, of
    about equally many episodes, called "1" (the lowest returns), "2", ... They get equal
    shares of all draws, unless `shares` says others. Within a stratum rows are drawn
    evenly, or in proportion to the log's column `weight`, if it has one and `weighted` is
    true.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["source", "return"] | None = None
    shares: dict[str, FiniteFloat] | None = None  # Of strata, by name; need not sum to 1.
    bins: int = Field(default=4, ge=2)
    weighted: bool = True

    def of(self, dataset: Dataset) -> Sampled:
        """Weights of the rows of `dataset` (the training split).

        Rows that cannot be learned from get 0. Raises `ValueError` if the log has no
        strata to balance, or `shares` does not name them.
        """
        is_weighed = self.weighted and dataset.weight is not None
        if self.by is None:
            if self.shares is not None:
                raise ValueError(
                    "Sampling has shares, but nothing to balance: give by = "
                    '"source" or "return".'
                )
            return Sampled(dataset.weight if is_weighed else None, ())
        weight = np.ones(dataset.size)
        if is_weighed:
            assert dataset.weight is not None
            weight = dataset.weight.copy()
        weight[~dataset.has_next] = 0
        names, stratum = self._strata(dataset)
        total = np.bincount(stratum, weight, minlength=len(names))
        share = np.where(total > 0, self._shares(names), 0.0)
        if not share.sum() > 0:
            raise ValueError(
                "Every stratum with a share has no row to learn from that weighs something."
            )
        share /= share.sum()
        factor = np.divide(share, total, out=np.zeros(len(names)), where=total > 0)
        strata = [
            Stratum(
                name=name,
                rows=int((stratum == index).sum()),
                episodes=len(np.unique(dataset.episode[stratum == index])),
                before=float(total[index] / total.sum()),
                share=float(share[index]),
            )
            for index, name in enumerate(names)
        ]
        return Sampled(weight * factor[stratum], tuple(strata), is_weighed)

    def _strata(self, dataset: Dataset) -> tuple[list[str], np.ndarray]:
        """Names, and the number of each row's stratum."""
        if self.by == "source":
            if dataset.source is None or dataset.source_id is None:
                raise ValueError(
                    "Rows cannot be balanced by source: the log does not say which policy, "
                    "site or demonstrator made each. Write "
                    'source = "COLUMN" in the mapping.'
                )
            return [str(name) for name in dataset.source_id], dataset.source
        returns = dataset.returns()
        cuts = np.quantile(returns, np.arange(1, self.bins) / self.bins)
        if not np.ptp(returns) > 0:
            raise ValueError(
                f"Rows cannot be balanced by return: all {dataset.episodes:,} episodes to "
                f"learn from have the return {returns[0]:g}."
            )
        names = [str(number + 1) for number in range(self.bins)]
        return names, np.searchsorted(cuts, returns, side="right")[dataset.episode]

    def _shares(self, names: list[str]) -> np.ndarray:
        if self.shares is None:
            return np.ones(len(names))
        if set(self.shares) != set(names) or min(self.shares.values()) < 0:
            raise ValueError(
                "shares of sampling must name every stratum, each with a number of 0 or "
                f"more: {', '.join(names)}."
            )
        return np.array([self.shares[name] for name in names])


def balanced(sampled: Sampled) -> list[Finding]:
    """A note on what learning draws more often; none if every row counts as any other."""
    weight = sampled.weight
    if weight is None:
        return []
    if not sampled.strata:
        mean = weight.mean()
        return [
            Finding(
                "WEIGHED",
                Severity.NOTE,
                "Learning drew rows in proportion to the log's column of weights, "
                f"{weight.min() / mean:.3g} to {weight.max() / mean:.3g} times as often as "
                f"the mean row; {np.count_nonzero(weight == 0):,} rows never.",
                "Judging counts every row alike.",
                count=len(weight),
            )
        ]
    parts = [
        f"'{one.name}' ({one.rows:,} rows of {one.episodes:,} episodes) {one.share:.1%} "
        f"instead of {one.before:.1%}"
        for one in sampled.strata
        if one.rows  # Where many returns are equal, some quarters are empty.
    ]
    within = "; within each by the log's column of weights" if sampled.is_weighed else ""
    return [
        Finding(
            "BALANCED",
            Severity.NOTE,
            f"Learning drew its rows from {len(parts)} strata of the training split in "
            f"these shares: {', '.join(parts)}{within}.",
            "Judging counts every row alike.",
            count=sum(one.rows for one in sampled.strata),
        )
    ]
