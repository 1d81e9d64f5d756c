"""Choosing with few trials: by hand, and on policies whose values are known."""

import os
from pathlib import Path

import numpy as np
import pytest

from stitchrl.selection.curves import best_so_far
from stitchrl.selection.online import Beliefs, Trials

SHARED = Path(os.environ.get("STITCHRL_SHARED", "../shared")) / "data"
POLICIES = SHARED / "aops_cartpole_swingup.npz"


def test_beliefs_by_hand():
    """Two policies, no estimates: .5, variance .33, covariance .25; one trial of .9."""
    beliefs = Beliefs.of(2)
    trials = Trials.none(2).after(0, 0.9)
    noise = 0.05**2
    mean, deviation = beliefs.after(trials)
    gain = 0.33 / (0.33 + noise)
    assert mean[0] == pytest.approx(0.5 + gain * 0.4)
    assert mean[1] == pytest.approx(0.5 + 0.25 / (0.33 + noise) * 0.4)
    assert deviation[0] ** 2 == pytest.approx(0.33 * (1 - gain))
    assert deviation[1] ** 2 == pytest.approx(0.33 - 0.25**2 / (0.33 + noise))


def test_noise_is_learned_of_all_and_of_each():
    """Four trials of policy 1 scatter by .3; policy 0 has none: taken to be alike."""
    trials = Trials.none(2)
    for returned in (0.2, 0.8, 0.2, 0.8):
        trials = trials.after(1, returned)
    common = (4 * 0.3**2 + 5 * 0.05**2) / (3 + 5)
    own = (4 * 0.3**2 + 5 * common) / (3 + 5)
    assert trials.noise == pytest.approx([common, own])


def test_the_estimate_goes_first_and_trials_overrule_it():
    beliefs = Beliefs.of(4, estimates=np.array([10.0, 30.0, 20.0, -5.0]))
    trials = Trials.none(4)
    assert beliefs.next(trials) == 1
    for _ in range(3):
        trials = trials.after(1, 0.1)
    assert beliefs.next(trials) != 1
    for policy in (0, 2, 3):
        trials = trials.after(policy, 0.6 if policy == 3 else 0.2)
    assert beliefs.best(trials) == 3


def test_policies_that_act_alike_share_what_was_learned():
    distance = np.array([[0.0, 0.01, 1.0], [0.01, 0.0, 1.0], [1.0, 1.0, 0.0]])
    trials = Trials.none(3).after(0, 0.9)
    mean, _ = Beliefs.of(3, distance=distance).after(trials)
    assert mean[1] > mean[2] + 0.01


def test_nothing_untried_is_best():
    with pytest.raises(ValueError, match="No policy was tried yet"):
        Beliefs.of(3).best(Trials.none(3))
    beliefs = Beliefs.of(3, estimates=np.array([0.0, 1.0, 2.0]))
    assert beliefs.best(Trials.none(3).after(0, 0.3)) == 0


def test_returns_are_scaled():
    with pytest.raises(ValueError, match=r"scaled to \[0, 1\].*but one is 31"):
        Trials.none(2).after(0, 31.0)


def curve(
    returns: np.ndarray, estimates: np.ndarray | None, *, repeats: int, pulls: int
) -> np.ndarray:
    """Mean over subsets of eight policies."""
    found = best_so_far(returns, estimates, subset=8, repeats=repeats, pulls=pulls)
    return found.mean(axis=0)


def test_the_only_policy_is_the_best():
    returns = np.array([[1.0, 1.0], [3.0, 3.0]])
    found = best_so_far(returns, None, subset=1, repeats=20, pulls=2)
    assert set(found[:, 0]) == {0.0, 1.0} and (found[:, 0] == found[:, 1]).all()
    both = best_so_far(returns, np.array([0.0, 1.0]), subset=2, repeats=5, pulls=3)
    assert (both == 1).all()


def test_estimates_help_as_far_as_they_are_right():
    """40 policies; estimates that rank well give a start, random ones cost little."""
    rng = np.random.default_rng(1)
    value = rng.uniform(0.2, 0.8, 40)
    returns = np.clip(value[:, None] + rng.normal(0, 0.1, (40, 100)), 0, 1)
    estimates = value + rng.normal(0, 0.1, 40)
    without = curve(returns, None, repeats=200, pulls=16)
    told = curve(returns, estimates, repeats=200, pulls=16)
    misled = curve(returns, rng.permutation(estimates), repeats=200, pulls=16)
    assert (told[:5] > without[:5] + 0.05).all()
    assert (told > without - 0.01).all()
    assert misled[-1] > without[-1] - 0.05


@pytest.mark.skipif(not POLICIES.is_file(), reason=f"{POLICIES} is not here")
def test_estimates_are_worth_trials_on_policies_of_others():
    """76 policies of A-OPS, eight at a time: better for five pulls, then not worse."""
    with np.load(POLICIES) as file:
        returns, estimates = file["returns"].astype(float), file["fqe_value"]
    found = curve(returns, estimates, repeats=300, pulls=20)
    without = curve(returns, None, repeats=300, pulls=20)
    assert (found[:5] > without[:5] + 0.01).all()
    assert (found[5:] > without[5:] - 0.01).all()
    assert found[9] >= 0.88 and found[0] > 0.8
