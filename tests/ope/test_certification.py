"""All evidence about one policy, from one call."""

from dataclasses import replace

import numpy as np
import pytest
from ope.logs import always, write_log

from stitchrl.ope.agreement import Word
from stitchrl.ope.base import Completions, Interval, Label
from stitchrl.ope.certification import Certification, FittedValue
from stitchrl.ope.evidence import Kind
from stitchrl.ope.policy_table import Behavior, DensityTable, PolicyTable
from stitchrl.problems.exact import Bandit, random_mdp
from stitchrl.problems.lqg import BEHAVIOR, LQG, TARGET


def certify(dataset, behavior=None, *, discount=1.0, candidates=1, **more) -> Certification:
    behavior = behavior or Behavior.logged(dataset)
    return Certification(dataset, behavior, discount, candidates, 0, **more)


def codes(evidence) -> set[str]:
    return {refusal.code for refusal in evidence.refusals}


def bandit_evidence(n=400, *, seed=0, share=1.0, candidates=1):
    dataset = Bandit().log(n, seed=seed)
    table = PolicyTable.of_states(dataset, np.array([Bandit().target]))
    certification = certify(dataset, candidates=candidates)
    return certification.evidence(table, name="target", kind=Kind.POLICY, share=share)


def test_the_bandit():
    found = bandit_evidence()
    assert found.refusals == ()
    assert found.wis is not None and found.fqe is not None
    assert abs(found.wis - 0.75) < 0.1 and abs(found.fqe.behavior - 0.75) < 0.1
    assert found.groups == 400 and found.log_bits == pytest.approx(np.log2(400))
    assert found.kl_bits == pytest.approx(0.915963, abs=0.01)
    assert found.unseen_share == 0
    assert found.guaranteed is not None and found.guaranteed.label is Label.GUARANTEED
    assert found.asymptotic is not None and found.asymptotic.label is Label.ASYMPTOTIC
    assert found.asymptotic.width < found.guaranteed.width
    assert found.agreement is not None and found.agreement.word is Word.AGREE


def test_more_candidates_make_every_interval_wider():
    one, five = bandit_evidence(), bandit_evidence(candidates=5)
    for before, after in zip(one.differences, five.differences):
        assert after.low < before.low and after.high > before.high
        assert after.level == pytest.approx(1 - 2 * 0.05 / 5)


def test_the_behavior_differs_from_itself_by_nothing():
    found = bandit_evidence(share=0.0)
    assert found.wis == pytest.approx(found.behavior.value, abs=1e-12)
    assert (found.effective_size, found.mean_weight) == pytest.approx((400, 1))
    assert found.kl_bits == pytest.approx(0, abs=1e-12)
    assert found.fqe is not None
    assert found.fqe.lower == pytest.approx(found.fqe.upper)


def test_fitted_propensities_guarantee_nothing():
    dataset = Bandit().log(200, seed=1)
    table = PolicyTable.of_states(dataset, np.array([Bandit().behavior]))
    fitted = certify(dataset, Behavior.fitted(dataset, table), calibration_error=0.02)
    found = fitted.evidence(table, name="itself", kind=Kind.EXTERNAL)
    assert found.calibration_error == 0.02
    assert {interval.label for interval in found.differences} == {Label.ASYMPTOTIC}


def test_refusals_of_the_log_are_raised():
    dataset = Bandit().log(16, seed=2)
    table = PolicyTable.of_states(dataset, np.array([Bandit().behavior]))

    def raised(dataset, behavior=None, **more):
        certification = certify(dataset, behavior, **more)
        return codes(certification.evidence(table, name="any", kind=Kind.POLICY))

    assert raised(dataset) == {"SINGLE"}
    assert raised(replace(dataset, return_bounds=(0.0, 0.5))) == {"SINGLE", "BOUNDS"}
    bad = Behavior(np.log(dataset.propensity), is_fitted=False)
    found = certify(dataset, bad).evidence(table, name="any", kind=Kind.POLICY)
    assert "BAD_PROP" in codes(found) and found.wis is None and found.differences == ()

    process = random_mdp()
    rows = process.mdp.simulate(process.behavior, episodes=40, seed=0, max_steps=5)
    dataset = process.mdp.to_dataset(rows)
    table = PolicyTable.of_states(dataset, process.behavior)
    assert raised(dataset) == {"HORIZON"}
    assert raised(dataset, discount=0.9) == set()
    assert raised(replace(dataset, horizon=5)) == set()
    unflagged = replace(dataset, truncated=np.zeros(dataset.size, bool))
    assert "TERM" in raised(unflagged, discount=0.9)


def test_a_deterministic_policy_that_few_episodes_follow():
    episodes = [
        [(0, i % 2, 0.0), (1, (i // 2) % 2, 1.0), (2, (i // 4) % 2, 1.0)] for i in range(64)
    ]
    dataset = write_log(episodes)
    certification = certify(dataset)
    found = certification.evidence(always(dataset, 0), name="zero", kind=Kind.POLICY)
    assert codes(found) == {"DET_IS", "ESS_LOW"}
    assert found.effective_size == 8
    half = certification.evidence(
        always(dataset, 0), name="half", kind=Kind.MIXTURE, share=0.5, of="zero"
    )
    assert codes(half) == set() and half.of == "zero"


def test_what_the_behavior_rules_out_is_refused():
    """Action 1 was never taken, and propensity 1 says that it never is."""
    dataset = write_log([[(0, 0, 1.0)]] * 50, propensity=np.ones(50))
    table = PolicyTable.of_states(dataset, np.tile([0.9, 0.1], (4, 1)))
    found = certify(dataset).evidence(table, name="tries", kind=Kind.POLICY)
    assert "SUPPORT" in codes(found)
    assert found.unseen_share == pytest.approx(0.1)


def test_groups_are_the_units():
    dataset = Bandit().log(400, seed=3)
    twice = replace(dataset, group=np.repeat(np.arange(200), 2), group_id=np.arange(200))
    table = PolicyTable.of_states(dataset, np.array([Bandit().target]))
    found = certify(twice).evidence(table, name="target", kind=Kind.POLICY)
    assert found.groups == 200
    assert found.effective_size is not None and found.effective_size <= 200


def test_densities_without_states_take_fitted_values_from_elsewhere():
    problem = LQG()
    dataset = problem.log(BEHAVIOR, episodes=3000, horizon=5, seed=0)
    densities = TARGET.density(dataset.observation[:, 0], dataset.action[:, 0])
    certification = certify(dataset, discount=0.95)
    interval = Interval(-3.0, -1.0, 0.95, Label.MODEL_BASED, "elsewhere")
    fitted = FittedValue(Completions(-3.0, -2.0, -1.0), interval, 0.0)
    found = certification.evidence(
        DensityTable(densities), name="gain", kind=Kind.EXTERNAL, fitted=fitted
    )
    assert found.fqe == Completions(-3.0, -2.0, -1.0)
    assert found.wis == pytest.approx(-1.682703975976, abs=0.15)
    assert found.kl_bits is not None and 0 < found.kl_bits < found.log_bits
    assert found.mean_weight == pytest.approx(1, abs=0.1)
    with pytest.raises(ValueError, match="discrete states"):
        certification.fitted_value(PolicyTable(np.ones((1, 1)), np.ones((1, 1))))


def test_without_declared_bounds_few_episodes_have_no_interval_of_any_kind():
    """What betting and WIS would take for the worst return is the worst in the log."""
    problem = Bandit()
    log = replace(problem.log(60, 0), return_bounds=None, reward_bounds=None)
    table = PolicyTable.of_states(log, np.array([problem.target]))
    found = certify(log).evidence(table, name="target", kind=Kind.POLICY)
    assert found.effective_size is not None and 10 < found.effective_size < 100
    assert found.guaranteed is None and found.asymptotic is None and found.lacks_bounds
    declared = certify(problem.log(60, 0)).evidence(table, name="target", kind=Kind.POLICY)
    assert declared.guaranteed is not None and declared.asymptotic is not None
