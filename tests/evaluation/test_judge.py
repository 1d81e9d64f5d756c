"""What is judged about policies and mixtures of them, where the answer is known."""

import jax
import numpy as np
import pytest
from evaluation.test_model_values import Steering, request

from stitchrl.candidates import Candidate
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.evaluation import split_models
from stitchrl.evaluation.judge import Judge
from stitchrl.evaluation.requests import Request
from stitchrl.normalizer import Normalizer
from stitchrl.policies import Gaussian, Normalized
from stitchrl.problems.lqg import BEHAVIOR, LQG, LinearGaussian
from stitchrl.spaces import Continuous, Spec
from stitchrl.value_iteration import TabularPolicy
from stitchrl.verdict import Decision, decide

SHARES = (1.0, 0.5, 0.3, 0.1)


def bandit(rows: int = 2_000) -> Dataset:
    """One step: "good" pays 1 with .95, "bad" with .1; the log takes "good" in a fifth."""
    rng = np.random.default_rng(0)
    action = (rng.random(rows) < 0.8).astype(int)
    return Dataset.create(
        observation=np.ones((rows, 1)),
        action=action,
        reward=rng.random(rows) < np.where(action == 0, 0.95, 0.1),
        terminated=np.ones(rows, bool),
        truncated=np.zeros(rows, bool),
        actions=Choices(("good", "bad")),
        propensity=np.where(action == 0, 0.2, 0.8),
        state_id=np.zeros(rows, int),
        final_state_id=np.full(rows, -1),
        state_count=1,
        horizon=1,
        reward_bounds=(0.0, 1.0),
    )


def always_good(own_estimate: float) -> list[Request]:
    policy = TabularPolicy(np.array([[1.0, 0.0]]), np.zeros(1))
    candidate = Candidate("good", "policy", "sample", policy, (), own_estimate, 1.0)
    return [Request(candidate, share) for share in SHARES]


def judge(log: Dataset, **settings) -> Judge:
    return Judge(log, 1.0, **({"updates": 200, "seed": 0, "certified": 4} | settings))


def test_mixtures_of_a_policy_that_keeps_its_promise_are_deployed():
    found = judge(bandit()).evidence(always_good(own_estimate=0.95))
    assert [one.overestimates for one in found] == [False] * 4
    assert [decide(one).decision for one in found] == [Decision.DEPLOY] * 4


def test_a_promise_that_cannot_be_kept_taints_the_mixtures_too():
    found = judge(bandit()).evidence(always_good(own_estimate=2.0))
    assert [one.overestimates for one in found] == [True] * 4
    assert Decision.DEPLOY not in [decide(one).decision for one in found]


def test_the_behavior_itself_is_not_refused_where_propensities_are_rounded():
    rng = np.random.default_rng(0)
    rows = 500
    log = Dataset.create(
        observation=np.ones((rows, 1)),
        action=rng.integers(0, 34, rows),
        reward=rng.random(rows),
        terminated=np.ones(rows, bool),
        truncated=np.zeros(rows, bool),
        actions=Choices(tuple(map(str, range(34)))),
        propensity=np.full(rows, 0.0294117647),  # 1 / 34
        state_id=np.zeros(rows, int),
        final_state_id=np.full(rows, -1),
        state_count=1,
    )
    uniform = Request(Candidate("uniform", "external", "sample", "uniform"))
    (found,) = judge(log, certified=1).evidence([uniform])
    assert found.refusals == ()
    assert found.effective_size == pytest.approx(rows)


def dosed(*, has_propensity: bool, rows: int = 2_000) -> tuple[Dataset, Request]:
    """Doses from 0 to 10 that a known Gaussian policy gave, and that policy."""
    spec = Spec(1, Continuous(1))
    gaussian = Gaussian.create(jax.random.key(0), spec, (4,))
    policy = Normalized(gaussian, Normalizer.identity(1))
    rng = np.random.default_rng(0)
    observation = rng.normal(size=(rows, 1)).astype(np.float32)
    keys = jax.random.split(jax.random.key(1), rows)
    unit = jax.vmap(policy.sample)(observation, keys)
    log_prob = np.asarray(jax.vmap(policy.log_prob)(observation, unit))
    bounds = Bounds(("dose",), (0.0,), (10.0,))
    log = Dataset.create(
        observation=observation,
        action=bounds.from_unit(np.asarray(unit)),
        reward=rng.random(rows),
        terminated=np.ones(rows, bool),
        truncated=np.zeros(rows, bool),
        actions=bounds,
        propensity=np.exp(log_prob) / 5
        if has_propensity
        else None,  # 5 per unit of [-1, 1].
        horizon=1,
        reward_bounds=(0.0, 1.0),
    )
    return log, Request(Candidate("same", "external", "sample", policy))


def test_densities_are_in_the_units_of_the_log():
    log, same = dosed(has_propensity=True)
    (found,) = judge(log, certified=1).evidence([same])
    assert found.mean_weight == pytest.approx(1, abs=1e-3)
    assert found.effective_size == pytest.approx(log.episodes, rel=1e-3)


def test_fitted_densities_of_unknown_calibration_are_not_trusted():
    log, same = dosed(has_propensity=False)
    (found,) = judge(log, certified=1, updates=800).evidence([same])
    assert found.mean_weight == pytest.approx(1, abs=0.1)
    failed = {reason.code for reason in decide(found).reasons if not reason.passed}
    assert {"CALIBRATION", "UNSEEN"} <= failed


def test_a_fit_that_misses_the_present_behavior_is_refused():
    rng = np.random.default_rng(0)
    size = 300 * 20
    log = Dataset.create(
        observation=rng.normal(size=(size, 2)),
        action=rng.integers(0, 2, size),
        reward=np.ones(size),
        terminated=np.arange(size) % 20 == 19,
        truncated=np.zeros(size, bool),
        actions=Choices(("a", "b")),
        propensity=np.full(size, 0.5),
    )
    uniform = Request(Candidate("uniform", "external", "sample", "uniform"))
    (found,) = judge(log, certified=1, updates=10).evidence([uniform])
    (refusal,) = [r for r in found.refusals if r.code == "QSANE"]
    assert "returned 20 on average" in refusal.message
    assert decide(found).decision is Decision.CANNOT_SAY


def test_a_model_of_the_process_contradicts_what_fqe_makes_up(monkeypatch):
    """Pushing away from where the log went: FQE knows no better, a linear model does.

    The behavior is imitated as it is, so that few updates are enough.
    """
    behavior = request(Steering(BEHAVIOR.gain, BEHAVIOR.deviation)).candidate.policy
    monkeypatch.setattr(split_models, "imitations_of", lambda *_, **__: [behavior] * 2)
    log = LQG().log(BEHAVIOR, episodes=200, horizon=10, seed=0)
    away = request(Steering(-0.2, 0.0), act="mode")
    (found,) = judge(log, certified=1, updates=600).evidence([away])
    policy = LinearGaussian(-0.2, 0.0)
    curvature, constant = LQG().quadratic_value(policy, 1.0, horizon=10)
    square = np.square(log.observation[log.first_row]).mean()
    exact = -(curvature * square + constant)
    assert found.model is not None and found.model.is_heard
    assert found.model.value == pytest.approx(exact, rel=0.1)
    assert found.fqe is not None and found.fqe.behavior > exact / 2
    reasons = {reason.code: reason for reason in decide(found).reasons}
    assert reasons["AGREEMENT"].passed is False  # In spite of DET_IS: it needs no weights.
    assert "FQE and MB lie" in reasons["AGREEMENT"].sentence
    assert "by MB" in reasons["POINTS"].sentence
