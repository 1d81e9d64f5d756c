"""What learning sees of rewards, and the way back to the log's units."""

import math
from dataclasses import replace

import numpy as np
import pytest

from stitchrl.candidates import Candidate
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.judge import Judge
from stitchrl.plan import Plan
from stitchrl.rewards import RewardTransform, parsed


def log(*, cut: bool = False) -> Dataset:
    """Episodes of 2, 3 and 1 rows with the returns 3, -1 and 2.5."""
    last = np.isin(np.arange(6), [1, 4, 5])
    return Dataset.create(
        observation=np.arange(6.0),
        action=[0, 1] * 3,
        reward=[1.0, 2.0, -2.0, 0.5, 0.5, 2.5],
        terminated=last & (not cut),
        truncated=last & cut,
        final_observation=np.full(3, 9.0) if cut else None,
        actions=Choices(("a", "b")),
        propensity=np.full(6, 0.5),
    )


@pytest.mark.parametrize(
    "name, scale, shift",
    [
        ("raw", 1, 0),
        ("return_range", 250, 0),  # 1000 / (3 - -1).
        ("shift=-1", 1, -1),
        ("scale=10, shift=-5", 10, -5),
        ("scale=0.5", 0.5, 0),
    ],
)
def test_transforms_by_name(name: str, scale: float, shift: float):
    transform = RewardTransform.named(name, log())
    assert (transform.scale, transform.shift, transform.name) == (scale, shift, name)
    expected = scale * log().reward + shift
    np.testing.assert_allclose(transform(log().reward), expected)
    assert Plan(log="x", reward=name).reward == name


def test_the_best_and_worst_return_are_then_a_thousand_apart():
    transform = RewardTransform.named("return_range", log())
    scaled = replace(log(), reward=transform(log().reward))
    assert np.ptp(scaled.returns()) == pytest.approx(1000)


@pytest.mark.parametrize("name", ["return-range", "scale", "scale=x", "10x", "size=2", ""])
def test_other_names_are_refused_with_the_forms_there_are(name: str):
    with pytest.raises(ValueError, match="raw, return_range, scale=NUMBER"):
        parsed(name)
    with pytest.raises(ValueError, match="must be one of"):
        Plan(log="x", reward=name)


@pytest.mark.parametrize("name", ["scale=0", "scale=-2", "scale=inf", "shift=nan"])
def test_a_scale_that_would_turn_rewards_round_is_refused(name: str):
    with pytest.raises(ValueError, match="a finite scale above 0"):
        parsed(name)


def test_a_range_of_nothing_is_an_error_that_says_so():
    flat = replace(log(), reward=np.array([1.0, 2.0, 1.0, 1.0, 1.0, 3.0]))
    with pytest.raises(ValueError, match="all 3 episodes to learn from have the return 3"):
        RewardTransform.named("return_range", flat)


@pytest.mark.parametrize("discount", [0.5, 1.0])
def test_returns_of_episodes_that_ended_are_those_of_transformed_rewards(discount: float):
    transform = RewardTransform(2.0, -3.0)
    moved = replace(log(), reward=transform(log().reward))
    found = transform.returns(log(), discount)
    np.testing.assert_allclose(found, moved.returns(discount))


def test_shifts_down_go_on_after_a_cut_and_shifts_up_do_not():
    down, up = RewardTransform(1.0, -1.0), RewardTransform(1.0, 1.0)
    raw = log().returns(0.5)
    np.testing.assert_allclose(down.returns(log(cut=True), 0.5), raw - 2)
    assert (down.returns(log(cut=True), 1.0) == -math.inf).all()
    moved = replace(log(), reward=log().reward + 1)
    np.testing.assert_allclose(up.returns(log(cut=True), 0.5), moved.returns(0.5))


@pytest.mark.parametrize(
    "transform", [RewardTransform(250.0, 0.0), RewardTransform(10.0, -5.0)]
)
@pytest.mark.parametrize("learned", [0.5, 0.9])
def test_what_learners_believe_comes_back_to_raw_rewards(
    transform: RewardTransform, learned: float
):
    """A learner of the log's own policy that is right is right in raw rewards too."""
    judge = Judge(log(), 0.9, updates=2, seed=0, certified=1, part=1.0)
    own = float(transform.returns(log(), learned).mean())
    one = Candidate("one", "policy", "sample", "uniform", own_estimate=own)
    one = replace(one, discount=learned, reward=transform)
    right = log().returns(0.9).mean()
    assert judge.own_estimate(one) == pytest.approx(right)
    # One that promises more by 10 of its own units promises more by 10 / scale.
    more = replace(one, own_estimate=own + 10)
    assert judge.own_estimate(more) == pytest.approx(right + 10 / transform.scale)
    assert judge.own_estimate(replace(one, own_estimate=None)) is None


def test_what_was_seen_is_said_with_its_numbers():
    assert str(RewardTransform()) == "none: as logged"
    assert str(RewardTransform(10.0, -5.0, "x")) == "10 x reward - 5 (x)"
    assert str(RewardTransform(250.0, 0.0, "return_range")) == "250 x reward (return_range)"
