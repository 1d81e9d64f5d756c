"""Offline RL algorithms, one per file, and the registry that finds them by name."""

from stitchrl.algorithms.awac import AWAC
from stitchrl.algorithms.awr import AWR
from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.bcq import BCQ
from stitchrl.algorithms.bcq_iql import BCQIQL
from stitchrl.algorithms.brac import BRAC
from stitchrl.algorithms.cal_ql import CalQL
from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.crr import CRR
from stitchrl.algorithms.ddpg import DDPG
from stitchrl.algorithms.ddpg_bc import DDPGBC
from stitchrl.algorithms.discrete_bcq import DiscreteBCQ
from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.discrete_weighted_cql import DiscreteWeightedCQL
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.algorithms.dqn import DQN
from stitchrl.algorithms.edac import EDAC
from stitchrl.algorithms.filtered_bc import FilteredBC
from stitchrl.algorithms.iql import IQL
from stitchrl.algorithms.one_step import OneStep
from stitchrl.algorithms.rebrac import ReBRAC
from stitchrl.algorithms.rvs import RvS
from stitchrl.algorithms.sac import SAC
from stitchrl.algorithms.sac_bc import SACBC
from stitchrl.algorithms.sac_n import SACN
from stitchrl.algorithms.td3 import TD3
from stitchrl.algorithms.td3_bc import TD3BC
from stitchrl.algorithms.weighted_cql import WeightedCQL
from stitchrl.algorithms.xql import XQL
from stitchrl.findings import perhaps
from stitchrl.spaces import Continuous, Discrete

ALGORITHMS: dict[str, dict[type, type]] = {
    "bc": {Continuous: BC, Discrete: BC},
    "filtered_bc": {Continuous: FilteredBC, Discrete: FilteredBC},
    "iql": {Continuous: IQL, Discrete: IQL},
    "xql": {Continuous: XQL, Discrete: XQL},
    "rvs": {Continuous: RvS, Discrete: RvS},
    "awr": {Continuous: AWR, Discrete: AWR},
    "crr": {Continuous: CRR, Discrete: CRR},
    "awac": {Continuous: AWAC, Discrete: AWAC},
    "one_step": {Continuous: OneStep, Discrete: OneStep},
    "cql": {Continuous: CQL, Discrete: DiscreteCQL},
    "bcq": {Continuous: BCQ, Discrete: DiscreteBCQ},
    "weighted_cql": {Continuous: WeightedCQL, Discrete: DiscreteWeightedCQL},
    "cal_ql": {Continuous: CalQL},
    "td3_bc": {Continuous: TD3BC},
    "ddpg_bc": {Continuous: DDPGBC},
    "sac_bc": {Continuous: SACBC},
    "rebrac": {Continuous: ReBRAC},
    "brac": {Continuous: BRAC, Discrete: BRAC},
    "bcq_iql": {Discrete: BCQIQL},
    "sac_n": {Continuous: SACN},
    "edac": {Continuous: EDAC},
    "dqn": {Discrete: DQN},
    "double_dqn": {Discrete: DoubleDQN},
    "ddpg": {Continuous: DDPG},
    "td3": {Continuous: TD3},
    "sac": {Continuous: SAC},
}

# What a run trains where nothing else is asked for: one of each kind, and a control.
USUAL: dict[type, tuple[str, ...]] = {
    Continuous: ("bc", "filtered_bc", "iql", "cql", "td3_bc", "td3"),
    Discrete: ("bc", "filtered_bc", "iql", "cql", "bcq", "double_dqn"),
}


def find(name: str, action: Continuous | Discrete) -> type:
    """The class called `name` for this kind of action.

    Raises `ValueError` naming what fits, if nothing is called so or it needs other actions.
    """
    kind = type(action)
    fitting = ", ".join(sorted(n for n, kinds in ALGORITHMS.items() if kind in kinds))
    if name not in ALGORITHMS:
        raise ValueError(
            f"No algorithm is called '{name}'. {perhaps(name, ALGORITHMS)}For "
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
