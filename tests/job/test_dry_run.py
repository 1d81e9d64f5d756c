"""Estimates before a run: what can be counted by hand is."""

import numpy as np
import pytest

from stitchrl.dataset import Choices, Dataset
from stitchrl.job.dry_run import forecast, matmul_rate
from stitchrl.plan import Plan
from stitchrl.population import devices

FEATURES, COUNT = 5, 3
HIDDEN = 8


def log(episodes: int, *, has_states: bool = False) -> Dataset:
    rng = np.random.default_rng(0)
    size = episodes * 2
    states = {"state_id": rng.integers(0, 4, size), "state_count": 4} if has_states else {}
    return Dataset.create(
        observation=rng.normal(size=(size, FEATURES)),
        action=rng.integers(0, COUNT, size),
        reward=rng.normal(size=size),
        terminated=np.arange(size) % 2 == 1,
        truncated=np.zeros(size, bool),
        actions=Choices(("a", "b", "c")),
        propensity=np.full(size, 1 / 3),
        **states,
    )


def plan(**entries) -> Plan:
    small = {"hidden": [[HIDDEN]], "batch_size": [16]}
    return Plan(**{"log": "log", "algorithms": {"bc": small}, "seeds": 3} | entries)


def test_parameters_and_bytes_are_those_of_one_hidden_layer():
    found = forecast(plan(), log(100, has_states=True))
    (program,) = found.programs
    parameters = (FEATURES + 1) * HIDDEN + (HIDDEN + 1) * COUNT
    assert (program.name, program.members) == ("bc", 3)
    assert program.parameters == parameters
    # Adam keeps two moments of each parameter, and counts its steps.
    assert program.state_bytes == 4 * (3 * parameters + 1)
    assert found.checkpoint_bytes == 2 * 3 * program.state_bytes


def test_the_work_of_an_update_is_about_six_products_per_weight():
    (program,) = forecast(plan(), log(100, has_states=True)).programs
    weights = HIDDEN * (FEATURES + COUNT)
    # Forward, and backward for weights and inputs; not for the first inputs.
    least = 16 * (4 * weights + 2 * HIDDEN * COUNT)
    assert least <= program.flops <= 5 * least


def test_data_grow_with_the_log():
    small, large = (forecast(plan(), log(n, has_states=True)) for n in (100, 300))
    assert large.data_bytes == pytest.approx(3 * small.data_bytes, rel=0.05)
    rows = 0.6 * 200
    assert small.data_bytes >= rows * 4 * 2 * FEATURES


def test_networks_that_judge_are_counted_where_there_are_no_states():
    assert forecast(plan(), log(40, has_states=True)).networks == 0
    found = forecast(plan(policies=("uniform",)), log(40))
    # Ranking: 3 members in 2 folds. Judging: bc, 4 mixtures and uniform, in 3 completions
    # and 2 folds; the behavior's own values, and its imitation, in 2 folds.
    assert found.networks == 2 * 3 + 2 * 3 * 6 + 2 * 2
    assert found.judge_seconds > 0
    assert found.seconds == pytest.approx(
        found.compile_seconds + found.train_seconds + found.judge_seconds
    )


def test_a_plan_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="'td3_bc' needs continuous actions"):
        forecast(plan(algorithms={"td3_bc": {}}), log(40))


def test_a_rate_is_that_of_some_machine():
    assert 1e8 < matmul_rate(width=64, repeats=1) < 1e15
    assert len(devices()) == forecast(plan(), log(40, has_states=True)).devices
