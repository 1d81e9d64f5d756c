"""Offline RL algorithms, one per file, and the registry that finds them by name."""

from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.bcq_iql import BCQIQL
from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.ddpg import DDPG
from stitchrl.algorithms.discrete_bcq import DiscreteBCQ
from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.algorithms.dqn import DQN
from stitchrl.algorithms.edac import EDAC
from stitchrl.algorithms.filtered_bc import FilteredBC
from stitchrl.algorithms.iql import IQL
from stitchrl.algorithms.sac import SAC
from stitchrl.algorithms.sac_n import SACN
from stitchrl.algorithms.td3 import TD3
from stitchrl.algorithms.td3_bc import TD3BC
from stitchrl.algorithms.xql import XQL
from stitchrl.findings import did_you_mean
from stitchrl.spaces import Continuous, Discrete

ALGORITHMS: dict[str, dict[type, type]] = {
    "bc": {Continuous: BC, Discrete: BC},
    "filtered_bc": {Continuous: FilteredBC, Discrete: FilteredBC},
    "iql": {Continuous: IQL, Discrete: IQL},
    "xql": {Continuous: XQL, Discrete: XQL},
    "cql": {Continuous: CQL, Discrete: DiscreteCQL},
    "bcq": {Discrete: DiscreteBCQ},
    "bcq_iql": {Discrete: BCQIQL},
    "td3_bc": {Continuous: TD3BC},
    "sac_n": {Continuous: SACN},
    "edac": {Continuous: EDAC},
    "dqn": {Discrete: DQN},
    "double_dqn": {Discrete: DoubleDQN},
    "ddpg": {Continuous: DDPG},
    "td3": {Continuous: TD3},
    "sac": {Continuous: SAC},
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
