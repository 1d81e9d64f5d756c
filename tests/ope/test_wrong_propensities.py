"""Propensities that are not what they are said to be are caught, each kind on its own."""

import numpy as np
import pytest

from stitchrl.ope.certification import Certification
from stitchrl.ope.evidence import Kind
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.problems import icu_sepsis


@pytest.fixture(scope="module")
def sepsis():
    """600 patients treated by .8 clinicians + .2 chance, and a policy for them."""
    problem = icu_sepsis.load()
    behavior = 0.8 * problem.clinicians + 0.2 / problem.mdp.actions
    _, q = problem.mdp.optimal(1.0)
    log = problem.simulate(600, 4, behavior)
    optimum = np.eye(problem.mdp.actions)[q.argmax(axis=1)]
    return log, behavior, PolicyTable.of_states(log, optimum)


def codes(log, policy: PolicyTable, propensity: np.ndarray) -> set[str]:
    """Refusals of a tenth of the way to the policy."""
    behavior = Behavior(propensity, is_fitted=False)
    certification = Certification(log, behavior, 1.0, candidates=1, seed=0)
    evidence = certification.evidence(
        policy, name="a tenth", kind=Kind.MIXTURE, share=0.1, of="the optimum"
    )
    return {refusal.code for refusal in evidence.refusals}


def test_right_ones_raise_nothing(sepsis):
    log, _, policy = sepsis
    assert codes(log, policy, log.propensity) == set()


def test_logarithms(sepsis):
    log, _, policy = sepsis
    assert codes(log, policy, np.log(log.propensity)) == {"BAD_PROP"}


def test_those_of_another_action(sepsis):
    log, behavior, policy = sepsis
    other = (log.action + np.random.default_rng(0).integers(1, 25, log.size)) % 25
    assert "MEANW" in codes(log, policy, behavior[log.state_id, other])


def test_constant_one(sepsis):
    """As if the clinicians never chose: whatever else a policy does has no support."""
    log, _, policy = sepsis
    assert {"MEANW", "SUPPORT"} <= codes(log, policy, np.ones(log.size))


def test_shuffled_rows(sepsis):
    log, _, policy = sepsis
    shuffled = np.random.default_rng(0).permutation(log.propensity)
    assert "MEANW" in codes(log, policy, shuffled)
