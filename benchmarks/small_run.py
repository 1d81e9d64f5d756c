"""A run that takes seconds, for benches that kill it: a small log, small networks."""

from pathlib import Path
from typing import Any


def train(
    directory: Path,
    algorithms: dict[str, dict[str, Any]],
    *,
    updates: int,
    chunk: int,
    address: str = "",
    **more: Any,
) -> None:
    """Train, or go on training, in `directory`; on the Ray cluster at `address`, if any.

    Algorithms are those of a plan. JAX must have been prepared; `more` goes to the one
    that trains.
    """
    from functools import partial

    from stitchrl.cluster import fit_on_cluster
    from stitchrl.experience import Experience
    from stitchrl.fit import fit
    from stitchrl.normalizer import Normalizer
    from stitchrl.plan import Plan, members
    from stitchrl.probing import make_probe
    from stitchrl.splits import split
    from stitchrl.testing import small_log

    parts = split(small_log("discrete"), seed=0)
    normalizer = Normalizer.fit(parts.train)
    plan = Plan(log="small", algorithms=algorithms, updates=updates, chunk=chunk)
    way = partial(fit_on_cluster, address=address) if address else fit
    way(
        members(plan.resolved(parts.train.spec), parts.train.spec),
        Experience.of(parts.train, normalizer),
        make_probe(parts.selection, normalizer, seed=0),
        updates=updates,
        chunk=chunk,
        directory=directory,
        **more,
    )
