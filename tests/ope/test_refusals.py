"""Every refusal: one log or number that raises it, one beside it that does not."""

from dataclasses import replace

import numpy as np
import pytest
from ope.logs import write_log

from stitchrl.dataset import Bounds, Dataset
from stitchrl.ope import refusals as refuse
from stitchrl.ope.base import Estimate, Family, Interval, Label, Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.problems.exact import Chain, random_mdp


def says(refusal: refuse.Refusal | None, code: str, *words: str) -> None:
    assert refusal is not None and refusal.code == code
    for word in words:
        assert word in refusal.message
    assert refusal.remedy.endswith(".") and refusal.message.endswith(".")


def test_no_prop():
    refusal = refuse.no_propensity(has_propensity=False, has_fitted_behavior=False)
    says(refusal, "NO_PROP", "how likely")
    assert refuse.no_propensity(has_propensity=True, has_fitted_behavior=False) is None
    assert refuse.no_propensity(has_propensity=False, has_fitted_behavior=True) is None


def test_bad_prop():
    good = np.array([0.5, 1.0, 0.1])
    assert refuse.bad_propensity(good) is None
    says(refuse.bad_propensity(good * [1, 1.5, 1]), "BAD_PROP", "1 of 3", "row 1 has 1.5")
    says(refuse.bad_propensity(good * [1, 1, 0]), "BAD_PROP", "row 2 has 0")
    says(refuse.bad_propensity(np.log(good)), "BAD_PROP", "look like logarithms")
    says(refuse.bad_propensity(np.array([np.nan])), "BAD_PROP")
    assert refuse.bad_propensity(np.array([3.0]), is_density=True) is None
    says(refuse.bad_propensity(np.array([0.0]), is_density=True), "BAD_PROP", "> 0")


def test_bad_prop_of_densities_at_bounds():
    def dosed(zeros: int, rows: int = 200) -> Dataset:
        dose = np.linspace(0.1, 9.9, rows)
        dose[:zeros] = 0.0
        return Dataset.create(
            observation=np.zeros((rows, 1)),
            action=dose,
            actions=Bounds(("dose",), (0.0,), (10.0,)),
            reward=np.zeros(rows),
            terminated=np.ones(rows, bool),
            truncated=np.zeros(rows, bool),
        )

    says(refuse.at_bounds(dosed(50)), "BAD_PROP", "25.0% of the logged", "at a bound")
    says(refuse.at_bounds(dosed(3)), "BAD_PROP", "1.5% of the logged")
    assert refuse.at_bounds(dosed(2)) is None
    near = replace(dosed(50), action=np.full((200, 1), 2e-5))  # 4e-6 of half the range.
    says(refuse.at_bounds(near), "BAD_PROP", "100.0%")
    assert refuse.at_bounds(replace(near, propensity=np.ones(200))) is None  # As logged.
    assert refuse.at_bounds(dosed(2, rows=10)) is None  # As bounds read off the log.
    assert refuse.at_bounds(write_log([[(0, 0, 1.0)]])) is None  # Discrete.


def test_support():
    says(refuse.unsupported(0.02, states=7), "SUPPORT", "2.0%", "in 7 states")
    assert refuse.unsupported(0.009) is None


def test_ess_low():
    refusal = refuse.low_effective_size(2.0, 1000)
    says(refusal, "ESS_LOW", "2.0 of 1,000")
    assert refusal is not None and "5,000" in refusal.remedy
    refusal = refuse.low_effective_size(2.0, 1000, part=0.2)
    assert refusal is not None and "25,000" in refusal.remedy
    assert refuse.low_effective_size(10.0, 1000) is None


@pytest.mark.parametrize(
    ("mean", "error", "raised"),
    [
        (1.0, 0.0, False),
        (0.7, 0.1, False),  # 3 errors.
        (0.7, 0.05, True),  # 6 errors.
        (0.45, 1.0, True),
        (2.1, 1.0, True),
        (1.9, 1.0, False),
    ],
)
def test_meanw(mean, error, raised):
    refusal = refuse.mean_weight_off(mean, error)
    assert (refusal is not None) is raised
    if raised:
        says(refusal, "MEANW", "must average 1")
        estimated = refuse.mean_weight_off(mean, error, is_fitted=True)
        says(estimated, "MEANW", "must average 1", "estimated")


def test_heavy():
    assert refuse.heavy_tail(0.69) is None
    assert refuse.heavy_tail(float("nan")) is None
    assert refuse.heavy_tail(float("-inf")) is None
    says(refuse.heavy_tail(0.7), "HEAVY", "k is 0.70", "the next episode may outweigh")


def test_horizon():
    process = random_mdp()
    rows = process.mdp.simulate(process.behavior, episodes=5, seed=0, max_steps=3)
    dataset = process.mdp.to_dataset(rows)
    says(refuse.unbounded_horizon(dataset, 1.0), "HORIZON", "5 of 5 episodes")
    assert refuse.unbounded_horizon(dataset, 0.99) is None
    assert refuse.unbounded_horizon(replace(dataset, horizon=3), 1.0) is None
    assert refuse.unbounded_horizon(Chain().log(4), 1.0) is None


def test_term():
    dataset = Chain().log(4)
    none = replace(dataset, terminated=np.zeros(dataset.size, bool))
    says(refuse.no_ends(none), "TERM", "None of 40 rows")
    assert refuse.no_ends(dataset) is None


def test_single():
    refusal = refuse.too_few(16)
    says(refusal, "SINGLE", "16 independent episodes")
    assert refusal is not None and "14 more" in refusal.remedy
    assert refuse.too_few(30) is None
    refusal = refuse.too_few(16, part=0.2)
    says(refusal, "SINGLE", "16 independent", "20% of the log")
    assert refusal is not None and "at least 70 more" in refusal.remedy


def test_bounds():
    declared = ReturnBounds(0.0, 1.0, Source.DECLARED)
    read = replace(declared, source=Source.DATA)
    inside = np.array([0.0, 1.0, 0.3])
    assert refuse.bounds_broken(declared, inside, guaranteed=True) is None
    assert refuse.bounds_broken(read, inside) is None
    says(refuse.bounds_broken(read, inside, guaranteed=True), "BOUNDS", "no proof")
    broken = refuse.bounds_broken(declared, np.array([0.0, 1.5]))
    says(broken, "BOUNDS", "1 do not", "episode 1 returned 1.5")


def test_det_is():
    def raised(**numbers):
        return refuse.deterministic(
            **{"is_continuous": False, "followed": 3, "episodes": 1000, **numbers}
        )

    says(raised(effective_size=3.0), "DET_IS", "3 of 1,000 episodes follow")
    assert raised(effective_size=10.0) is None
    says(raised(effective_size=500.0, is_continuous=True), "DET_IS", "never exactly")


def test_qsane():
    bounds = ReturnBounds(0.0, 10.0, Source.DECLARED)
    assert refuse.insane_values(lowest=0.0, highest=10.05, bounds=bounds) is None
    says(refuse.insane_values(lowest=0.0, highest=52.6, bounds=bounds), "QSANE", "52.6")
    says(refuse.insane_values(lowest=-1.0, highest=9.0, bounds=bounds), "QSANE", "-1")
    drifting = refuse.insane_values(lowest=0.0, highest=9.0, bounds=bounds, drift=1.5)
    says(drifting, "QSANE", "1.5 standard errors")


def test_qsane_of_the_present_behavior():
    returns = np.linspace(0, 10, 101)  # Their middle 90 %: .5 to 9.5.
    present = Estimate(
        "data", Family.DATA, 5.0, Interval(4.5, 5.5, 0.95, Label.ASYMPTOTIC, "t"), 101
    )
    assert refuse.behavior_missed(5.8, present, returns) is None
    says(refuse.behavior_missed(6.0, present, returns), "QSANE", "say 6", "returned 5")
    vague = replace(present, interval=Interval(3.0, 7.0, 0.95, Label.ASYMPTOTIC, "t"))
    assert refuse.behavior_missed(6.0, vague, returns) is None


def test_memory():
    says(refuse.has_memory(replays_as_markov=False), "MEMORY", "memory")
    assert refuse.has_memory(replays_as_markov=True) is None


def test_single_counts_groups():
    """Sixty episodes of twenty patients are twenty."""
    dataset = write_log([[(0, 0, 1.0)]] * 60, group=np.repeat(np.arange(20), 3))
    says(refuse.too_few(dataset.groups), "SINGLE", "20 independent")
