"""What a plan says of rewards, steps and sampling reaches training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stitchrl.dataset import Dataset
from stitchrl.job import training
from stitchrl.job.checked import checked
from stitchrl.job.training import parts_of, train_all
from stitchrl.plan import Plan
from stitchrl.rewards import RewardTransform
from stitchrl.testing import small_log

LOG = small_log("discrete")


class Seen(Exception):
    """What `fit` was called with."""


def seen(monkeypatch: pytest.MonkeyPatch, dataset: Dataset, **changes) -> tuple[Any, ...]:
    def fit(plans: Any, experience: Any, probe: Any, **others: Any) -> None:
        raise Seen(experience, probe)

    monkeypatch.setattr(training, "fit", fit)
    plan = checked(Plan(log="log.csv", algorithms={"iql": {}}, **changes), dataset).plan
    splits = parts_of(plan, dataset)
    with pytest.raises(Seen) as caught:
        train_all(plan, splits, discount=1.0, directory=Path(), tell=print)
    return splits, *caught.value.args


def test_rewards_are_transformed_in_training_and_probes_alike(monkeypatch):
    splits, experience, probe = seen(monkeypatch, LOG, reward="return_range", n_steps=3)
    scale = 1000 / np.ptp(splits.train.returns())
    rewards = scale * splits.train.reward[splits.train.has_next]
    np.testing.assert_allclose(experience.transitions.reward, rewards, rtol=1e-5)
    held_out = scale * splits.selection.reward
    np.testing.assert_allclose(
        np.sort(probe.batch.reward), np.sort(held_out), rtol=1e-5, atol=1e-5
    )
    assert experience.n_steps == probe.experience.n_steps == 3
    assert experience.drawing is None


def test_rows_are_drawn_as_the_plan_says(monkeypatch):
    source = np.array(["many", "few"])[(LOG.episode < 8).astype(int)]
    mixed = replace(
        LOG,
        source=(source == "many").astype(np.int64),
        source_id=np.array(["few", "many"]),
    )
    splits, experience, _ = seen(monkeypatch, mixed, sampling={"by": "source"})
    assert experience.drawing is not None
    weight = np.asarray(experience.drawing.weight)
    few = splits.train.source[splits.train.has_next] == 0
    assert weight[few].mean() * few.mean() == pytest.approx(0.5, rel=1e-5)
    assert 0 < few.mean() < 0.3


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"sampling": {"by": "source"}}, "does not say which policy"),
        ({"sampling": {"by": "return", "shares": {"1": 1.0}}}, "1, 2, 3, 4"),
    ],
)
def test_what_does_not_fit_the_log_is_refused_before_training(changes, words: str):
    with pytest.raises(ValueError, match=words):
        checked(Plan(log="log.csv", algorithms={"iql": {}}, **changes), LOG)


def test_a_range_of_returns_of_zero_is_refused_before_training():
    flat = replace(LOG, reward=np.tile([1.0, -1.0], 256))
    plan = Plan(log="log.csv", algorithms={"iql": {}}, reward="return_range")
    with pytest.raises(ValueError, match="range of returns"):
        checked(plan, flat)


def test_a_plan_with_sampling_can_be_written_and_read_again():
    sampling = {"by": "source", "shares": {"few": 2.0, "many": 1.0}}
    plan = Plan(log="log.csv", reward="scale=10,shift=-5", n_steps=3, sampling=sampling)
    assert Plan.model_validate(plan.model_dump(mode="json")) == plan
    assert RewardTransform.named(plan.reward, LOG).shift == -5
