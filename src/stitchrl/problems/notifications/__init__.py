"""Whether to send a notification now: sessions today, fatigue tomorrow, several objectives.

After P. Prabhakar, Y. Yuan, G. Yang, W. Sun and A. Muralidharan, 2022, "Multi-objective
optimization of notifications using offline reinforcement learning", arXiv:2207.03029. The
simulator is ours; its parameters were fixed before any policy was trained on it.
"""

from stitchrl.problems.notifications.parameters import Parameters
from stitchrl.problems.notifications.simulator import (
    ACTION_LABELS,
    FEATURE_NAMES,
    HOLD,
    PARAMETERS,
    SEND,
    Objectives,
    log,
    rollout,
    threshold_policy,
)

__all__ = [
    "ACTION_LABELS",
    "FEATURE_NAMES",
    "HOLD",
    "PARAMETERS",
    "SEND",
    "Objectives",
    "Parameters",
    "log",
    "rollout",
    "threshold_policy",
]
