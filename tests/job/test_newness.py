"""Whether the policy that a run exported can have made a log."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from stitchrl.bundle import Bundle, bundle_of
from stitchrl.candidates import Candidate, drawn_actions
from stitchrl.dataset import Choices, Dataset
from stitchrl.job.newness import followed
from stitchrl.normalizer import Normalizer
from stitchrl.ope.evidence import Kind
from stitchrl.policies import Deterministic, Gaussian, Normalized
from stitchrl.problems.exact import Bandit
from stitchrl.problems.lqg import BEHAVIOR, LQG
from stitchrl.report.schema import Policy
from stitchrl.value_iteration import TabularPolicy


def exported(candidate: Candidate, dataset: Dataset, share: float = 1.0) -> Bundle:
    return bundle_of(candidate, dataset, share=share, reading={}, certified={})


def planned(share: float = 1.0) -> tuple[Bundle, Dataset]:
    """The policy that takes the third arm, and a log of another."""
    dataset = Bandit(behavior=(0.5, 0.3, 0.2)).log(300, seed=0)
    policy = TabularPolicy(np.tile([0.0, 0.0, 1.0], (3, 1)), np.zeros(3))
    candidate = Candidate("planned", "policy", "sample", policy)
    return exported(candidate, dataset, share), dataset


def said(name="planned", **choices) -> Policy:
    return Policy(name=name, label="It", kind=Kind.POLICY, **choices)


def test_a_mixture_is_found_by_its_share():
    found, dataset = planned(0.2)
    mixture = said("planned at 20%", of="planned", share=0.2)
    follows, why = followed(found, mixture, dataset)
    assert follows is not None and why == ""
    assert follows.is_mixture and follows.expected == pytest.approx(0.2)
    assert follows.agreement == pytest.approx((dataset.action == 2).mean())
    assert follows.foreign_share == 0.0 and follows.is_plausible
    for other in (said(), said("planned at 50%", of="planned", share=0.5)):
        nobody, why = followed(found, other, dataset)
        assert nobody is None and "is not the one that the run has exported" in why
    assert followed(None, mixture, dataset)[0] is None


def test_what_cannot_be_compared_is_said():
    found, dataset = planned()
    renamed = replace(dataset, feature_names=("other",))
    strange = replace(dataset, actions=Choices(("arm 0", "arm 1", "arm 9")))
    beyond = replace(dataset, state_id=dataset.state_id + 3)
    for log, reason in (
        (renamed, "other features than the policy reads"),
        (strange, "other actions than the policy takes"),
        (beyond, "other states than the policy knows"),
    ):
        follows, why = followed(found, said(), log)
        assert follows is None and reason in why
        assert why.startswith("That this policy made the log is assumed: ")


def test_continuous_actions_are_compared_where_they_are_certain():
    dataset = LQG().log(BEHAVIOR, episodes=40, horizon=3, seed=0)
    normalizer, key = Normalizer.identity(1), jax.random.key(0)
    point = Normalized(Deterministic.create(key, dataset.spec, (4,)), normalizer)
    candidate = Candidate("point", "policy", "mode", point)
    found = exported(candidate, dataset)
    taken = drawn_actions(candidate, dataset.observation, samples=1, seed=0)[:, 0]
    own = dataset.actions.from_unit(taken.astype(np.float64)).astype(np.float32)
    follows, _ = followed(found, said("point"), replace(dataset, action=own))
    assert follows is not None and follows.agreement == 1.0 and follows.is_plausible
    follows, _ = followed(found, said("point"), dataset)
    assert follows is not None and follows.agreement < 0.3 and not follows.is_plausible
    cloud = Normalized(Gaussian.create(key, dataset.spec, (4,)), normalizer)
    drawn = exported(Candidate("cloud", "policy", "sample", cloud), dataset)
    follows, why = followed(drawn, said("cloud"), dataset)
    assert follows is None and why.endswith("it draws continuous actions.")
