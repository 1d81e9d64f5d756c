"""From a log of decisions to a verdict: deploy, pilot, or don't.

    log = stitchrl.read("visits.csv", "map.toml")
    plan = stitchrl.Plan(log="visits.csv", updates=2000)
    results = stitchrl.run(plan, log, "run")

Nothing is imported before it is used, so that `import stitchrl` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stitchrl.algorithms import (
        AWAC,
        AWR,
        BC,
        CQL,
        CRR,
        IQL,
        TD3,
        TD3BC,
        DiscreteBCQ,
        DiscreteCQL,
        DoubleDQN,
        FilteredBC,
        OneStep,
        RvS,
    )
    from stitchrl.bundle import load
    from stitchrl.dataset import Bounds, Choices, Dataset
    from stitchrl.job.run import run_job as run
    from stitchrl.plan import Plan
    from stitchrl.sources import load as read
    from stitchrl.testing import check_algorithm
    from stitchrl.validation import validate

__all__ = [
    "AWAC",
    "AWR",
    "BC",
    "Bounds",
    "CQL",
    "CRR",
    "Choices",
    "Dataset",
    "DiscreteBCQ",
    "DiscreteCQL",
    "DoubleDQN",
    "FilteredBC",
    "IQL",
    "OneStep",
    "Plan",
    "RvS",
    "TD3",
    "TD3BC",
    "check_algorithm",
    "load",
    "read",
    "run",
    "validate",
]

# Where each name comes from; in its own module it may be called otherwise.
_PLACES = dict.fromkeys(__all__, ("algorithms", "")) | {
    "Bounds": ("dataset", ""),
    "Choices": ("dataset", ""),
    "Dataset": ("dataset", ""),
    "Plan": ("plan", ""),
    "check_algorithm": ("testing", ""),
    "load": ("bundle", ""),
    "read": ("sources", "load"),
    "run": ("job.run", "run_job"),
    "validate": ("validation", ""),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'stitchrl' has no attribute '{name}'")
    module, attribute = _PLACES[name]
    found = getattr(importlib.import_module(f"stitchrl.{module}"), attribute or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
