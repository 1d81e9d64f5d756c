"""The numbers of obp, SCOPE-RL, vw-estimators and rliable, recorded by `make parity`.

SCOPE-RL adds 1e-10 to what it divides by, hence its tolerance; where it and obp are known
to be wrong (intervals, FQE of discrete actions) they are not followed.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from stitchrl import aggregates
from stitchrl.dataset import Choices, Dataset
from stitchrl.ope import bandit
from stitchrl.ope.bounds import return_bounds
from stitchrl.ope.doubly_robust import RowValues, doubly_robust, weighted_doubly_robust
from stitchrl.ope.importance import wis
from stitchrl.ope.intervals import clopper_pearson
from stitchrl.ope.kernels import kernel_weights
from stitchrl.ope.per_decision import (
    consistent_per_decision,
    importance_sampling,
    per_decision,
)
from stitchrl.ope.step_weights import StepWeights
from stitchrl.ope.weights import Weights, log_ratio

PEERS = json.loads((Path(__file__).parent / "peers.json").read_text())


def given(part: str) -> dict:
    return {name: np.array(value) for name, value in PEERS[part].items() if name != "found"}


def rounds_of(told: dict) -> bandit.Rounds:
    row = np.arange(len(told["reward"]))
    chosen = told["policy"][row, told["action"]]
    return bandit.Rounds(
        reward=told["reward"],
        weight=chosen / told["propensity"],
        logged=told["model"][row, told["action"]],
        expected=(told["policy"] * told["model"]).sum(axis=1),
    )


@pytest.mark.parametrize(
    "name, options",
    [
        ("ipw", {}),
        ("snipw", {}),
        ("direct_method", {}),
        ("doubly_robust", {}),
        ("self_normalized_doubly_robust", {}),
        ("switch", {"threshold": 2.0}),
        ("optimistic_shrinkage", {"strength": 5.0}),
        ("sub_gaussian_ipw", {"strength": 0.1}),
        ("sub_gaussian_doubly_robust", {"strength": 0.1}),
    ],
)
def test_obp_of_single_decisions(name, options):
    found = getattr(bandit, name)(rounds_of(given("bandit")), **options).mean()
    assert found == pytest.approx(PEERS["bandit"]["found"][name], rel=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov", "triangular", "cosine"])
@pytest.mark.parametrize("name", ["ipw", "snipw", "doubly_robust"])
def test_obp_of_deterministic_continuous_policies(kernel, name):
    told = given("continuous")
    weights = kernel_weights(
        told["logged"],
        told["chosen"],
        told["density"],
        width=float(told["width"]),
        kernel=kernel,
    )
    rounds = bandit.Rounds(told["reward"], weights, told["model"], told["model"])
    found = getattr(bandit, name)(rounds).mean()
    expected = PEERS["continuous"]["found"][f"{kernel} {name}"]
    assert found == pytest.approx(expected, rel=1e-12)


def test_vw_estimators():
    rounds, found = rounds_of(given("bandit")), PEERS["bandit"]["found"]
    ipw = bandit.ipw(rounds).mean()
    assert ipw == pytest.approx(found["vw ips"], rel=1e-12)
    assert bandit.snipw(rounds).mean() == pytest.approx(found["vw snips"], rel=1e-12)
    # Theirs takes n over the largest weight for a size; ours is given the ESS elsewhere.
    size = len(rounds.weight) / rounds.weight.max()
    interval = clopper_pearson(ipw, size, level=0.95)
    assert [interval.low, interval.high] == pytest.approx(found["vw clopper_pearson"])


def test_scope_rl_of_sequences():
    told, found = given("sequences"), PEERS["sequences"]["found"]
    episodes, steps, discount = (
        int(told["episodes"]),
        int(told["steps"]),
        float(told["discount"]),
    )
    size, row = episodes * steps, np.arange(episodes * steps)
    log = Dataset.create(
        observation=np.zeros((size, 1)),
        action=told["action"],
        actions=Choices(("a", "b", "c")),
        reward=told["reward"],
        terminated=row % steps == steps - 1,
        truncated=np.zeros(size, bool),
        episode=row // steps,
        propensity=told["propensity"],
    )
    chosen = told["policy"][row, told["action"]]
    ratios = log_ratio(chosen, told["propensity"])
    weights, whole = StepWeights.of(log, ratios), Weights.of(log, ratios)
    expected = (told["policy"] * told["q"]).sum(axis=1)
    values = RowValues(told["q"][row, told["action"]], expected, np.zeros(episodes))
    bounds = return_bounds(log, discount)
    ours = {
        "dm": expected[log.first_row].mean(),
        "is": importance_sampling(log, whole, discount=discount).mean(),
        "wis": wis(log, whole, bounds, discount=discount, level=0.95).value,
        "pdis": per_decision(log, weights, discount=discount).mean(),
        "cwpdis": consistent_per_decision(log, weights, discount=discount),
        "dr": doubly_robust(log, weights, values, discount=discount).mean(),
        "wdr": weighted_doubly_robust(log, weights, values, discount=discount).sum(),
    }
    assert ours == pytest.approx(found, rel=1e-9)


def test_rliable():
    told, found = given("aggregates"), PEERS["aggregates"]["found"]
    ours, theirs = told["ours"], told["theirs"]
    for name in ("interquartile_mean", "mean_score", "median_score", "optimality_gap"):
        assert getattr(aggregates, name)(ours) == pytest.approx(found[name], rel=1e-12)
    assert aggregates.probability_of_improvement(ours, theirs) == pytest.approx(
        found["probability_of_improvement"], rel=1e-12
    )
    profile = aggregates.performance_profile(ours, told["thresholds"])
    assert profile.tolist() == pytest.approx(found["performance_profile"], rel=1e-12)
