"""Logs too small or too plain to say anything: refused in words, not by a crash."""

import numpy as np
import pytest
from ope.logs import always, write_log

from stitchrl.ope.certification import Certification
from stitchrl.ope.evidence import Kind
from stitchrl.ope.policy_table import Behavior
from stitchrl.verdict import Decision, decide

ONE = [[(0, 0, 1.0), (1, 1, 0.0)]]


@pytest.mark.parametrize(
    "episodes",
    [ONE, ONE * 2, [[(0, 0, 1.0)], [(1, 1, 0.5)], [(2, 0, 0.0)]]],
    ids=["one episode", "the same twice", "no state twice"],
)
def test_few_episodes(episodes):
    dataset = write_log(episodes)
    certification = Certification(dataset, Behavior.logged(dataset), 1.0, 2, 0)
    for share in (0.0, 0.3, 1.0):
        evidence = certification.evidence(
            always(dataset, 0), name="zero", kind=Kind.EXTERNAL, share=share
        )
        verdict = decide(evidence)
        assert verdict.decision is Decision.CANNOT_SAY
        assert "SINGLE" in {refusal.code for refusal in evidence.refusals}


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_rewards_that_are_all_equal(reward):
    """Nothing can be better, and nothing divides by the range of returns."""
    episodes = [[(0, i % 2, reward)] for i in range(60)]
    dataset = write_log(episodes)
    certification = Certification(dataset, Behavior.logged(dataset), 1.0, 1, 0)
    evidence = certification.evidence(always(dataset, 0), name="zero", kind=Kind.POLICY)
    assert evidence.wis == evidence.behavior.value == reward
    assert evidence.fqe is not None and evidence.fqe.behavior == pytest.approx(reward)
    assert decide(evidence).decision is Decision.COLLECT_MORE_DATA


def test_a_policy_that_no_episode_follows():
    dataset = write_log([[(0, 0, float(i % 2))] for i in range(60)])
    certification = Certification(dataset, Behavior.logged(dataset), 1.0, 1, 0)
    evidence = certification.evidence(always(dataset, 1), name="one", kind=Kind.POLICY)
    assert evidence.wis is None and evidence.effective_size == 0
    verdict = decide(evidence)
    assert verdict.decision is Decision.CANNOT_SAY
    assert np.isfinite(evidence.kl_bits or np.inf)
