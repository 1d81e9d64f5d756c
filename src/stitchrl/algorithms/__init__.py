"""Offline RL algorithms, one per file, and the registry that finds them by name."""

from stitchrl.algorithms.awac import AWAC
from stitchrl.algorithms.awr import AWR
from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.crr import CRR
from stitchrl.algorithms.discrete_bcq import DiscreteBCQ
from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.algorithms.filtered_bc import FilteredBC
from stitchrl.algorithms.iql import IQL
from stitchrl.algorithms.one_step import OneStep
from stitchrl.algorithms.rvs import RvS
from stitchrl.algorithms.td3 import TD3
from stitchrl.algorithms.td3_bc import TD3BC
from stitchrl.findings import did_you_mean
from stitchrl.spaces import Continuous, Discrete

ALGORITHMS: dict[str, dict[type, type]] = {
    "bc": {Continuous: BC, Discrete: BC},
    "filtered_bc": {Continuous: FilteredBC, Discrete: FilteredBC},
    "iql": {Continuous: IQL, Discrete: IQL},
    "rvs": {Continuous: RvS, Discrete: RvS},
    "awr": {Continuous: AWR, Discrete: AWR},
    "crr": {Continuous: CRR, Discrete: CRR},
    "awac": {Continuous: AWAC, Discrete: AWAC},
    "one_step": {Continuous: OneStep, Discrete: OneStep},
    "cql": {Continuous: CQL, Discrete: DiscreteCQL},
    "bcq": {Discrete: DiscreteBCQ},
    "td3_bc": {Continuous: TD3BC},
    "double_dqn": {Discrete: DoubleDQN},
    "td3": {Continuous: TD3},
}

# What a run trains where nothing else is asked for: one of each kind, and a control.
USUAL = (
    "bc", "filtered_bc", "iql", "cql", "bcq", "td3_bc", "double_dqn", "td3",
)  # fmt: skip


def find(name: str, action: Continuous | Discrete) -> type:
    """The class called `name` for this kind of action.

    Raises `ValueError` naming what fits, if nothing is called so or it needs other actions.
    """
    kind = type(action)
    fitting = ", ".join(sorted(n for n, kinds in ALGORITHMS.items() if kind in kinds))
    if name not in ALGORITHMS:
        raise ValueError(
            f"No algorithm is called '{name}'. {did_you_mean(name, ALGORITHMS)} For "
            f"{kind.__name__.lower()} actions there are: {fitting}."
        )
    if kind not in ALGORITHMS[name]:
        needed = " or ".join(k.__name__.lower() for k in ALGORITHMS[name])
        raise ValueError(
            f"'{name}' needs {needed} actions, but this log has {kind.__name__.lower()} "
            f"ones. Algorithms that fit: {fitting}."
        )
    return ALGORITHMS[name][kind]


def is_control(algorithm: object) -> bool:
    """Whether it is here to fail on a log, and must never be deployed."""
    return getattr(algorithm, "is_control", False)
