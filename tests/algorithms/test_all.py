"""What holds for every algorithm. A new one is covered by being registered."""

from dataclasses import fields

import jax
import numpy as np
import pytest

from stitchrl.algorithms import ALGORITHMS
from stitchrl.problems.bandits import one_step, regret
from stitchrl.testing import KINDS, Check, checks_of
from stitchrl.testing.subject import Subject


def tiny(cls: type) -> dict:
    """Small batches, and small sizes for all of its networks."""
    sizes = [field.name for field in fields(cls) if field.name.endswith("hidden")]
    return dict.fromkeys(sizes, (32, 32)) | {"batch_size": 64}


def kinds_of_all() -> list[tuple[str, str]]:
    return [
        (name, kind)
        for name, classes in ALGORITHMS.items()
        for kind, action in KINDS.items()
        if action in classes
    ]


def all_checks() -> list:
    return [
        pytest.param(check, id=f"{name} {check.name}")
        for name, kind in kinds_of_all()
        for cls in [ALGORITHMS[name][KINDS[kind]]]
        for check in checks_of(cls(**tiny(cls)), kinds=[kind])
    ]


@pytest.mark.parametrize("check", all_checks())
def test_conforms(check: Check):
    check.run()


# Largest regret (continuous, discrete and masked actions) in `one_step`, where doing as
# the log does costs .36, .82 and .44, and its best possible imitation about .05, .2 and .1.
REGRET = {
    "bc": (0.08, 0.5, 0.25),
    "filtered_bc": (0.04, 0.01, 0.06),
    "iql": (0.02, 0.01, 0.03),
    "xql": (0.01, 0.01, 0.02),
    "rvs": (0.02, 0.02, 0.04),
    "awr": (0.06, 0.02, 0.02),
    "crr": (0.01, 0.01, 0.01),
    "awac": (0.03, 0.01, 0.01),
    "one_step": (0.01, 0.01, 0.01),
    "cql": (0.02, 0.01, 0.01),
    "bcq": (0.03, 0.01, 0.01),
    "weighted_cql": (0.02, 0.01, 0.01),
    "cal_ql": (0.02, None, None),
    "td3_bc": (0.04, None, None),
    "ddpg_bc": (0.01, None, None),
    "sac_bc": (0.02, None, None),
    "rebrac": (0.01, None, None),
    "brac": (0.02, 0.01, 0.01),
    "bcq_iql": (None, 0.01, 0.01),
    "sac_n": (0.02, None, None),
    "edac": (0.04, None, None),
    "dqn": (None, 0.01, 0.01),
    "double_dqn": (None, 0.01, 0.01),
    "ddpg": (0.02, None, None),
    "td3": (0.04, None, None),
    "sac": (0.02, None, None),
}
# Sharper than the defaults, which are for long runs on noisy logs.
SHARPER = {
    "iql": {"inverse_temperature": 20.0, "expectile": 0.9, "total_updates": 1000.0},
    "xql": {
        "inverse_temperature": 20.0,
        "value_temperature": 0.1,
        "total_updates": 1000.0,
    },
    "awr": {"temperature": 0.3, "value_scale": 1.0, "actor_learning_rate": 3e-3},
    "crr": {"temperature": 0.05},
    "awac": {"temperature": 0.05},
    "one_step": {"kl_weight": 0.05},
    "cql": {"initial_weight": 0.1, "cloning_updates": 100.0, "actor_learning_rate": 3e-3},
    "cql discrete": {"conservative_weight": 0.05},
    "bcq discrete": {"threshold": 0.1},
    "brac": {"initial_weight": 0.1, "actor_learning_rate": 3e-3},
    "weighted_cql": {
        "initial_weight": 0.1,
        "cloning_updates": 100.0,
        "actor_learning_rate": 3e-3,
    },
    "weighted_cql discrete": {"conservative_weight": 0.05},
    "cal_ql": {"initial_weight": 0.1, "actor_learning_rate": 3e-3},
}


@pytest.mark.parametrize("name, kind", kinds_of_all())
def test_reaches_the_known_answer(name: str, kind: str):
    discrete = "" if kind == "continuous" else " discrete"
    sharper = SHARPER.get(name + discrete, SHARPER.get(name, {}))
    cls = ALGORITHMS[name][KINDS[kind]]
    dataset = one_step(kind)
    subject = Subject(cls(**{**tiny(cls), "learning_rate": 3e-3, **sharper}), kind, dataset)
    run = subject.start(jax.random.key(1))
    for _ in range(50):
        run, _ = subject.whole(subject.algorithm, run)
    action = subject.act(subject.algorithm, run.state, run.key)["mode"]
    largest = REGRET[name][list(KINDS).index(kind)]
    assert regret(dataset, np.asarray(action)) < largest
