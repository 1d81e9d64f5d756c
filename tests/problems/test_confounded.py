"""The trap: what looks better is worse, on every log; the parameters stay as they are."""

import numpy as np
import pytest

from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.policy_table import PolicyTable
from stitchrl.problems import confounded


def test_the_process_by_hand():
    """Low pressure, the rest in order, pressor alone: .7 · .9 · .85 in order."""
    mdp = confounded.mdp()
    here = confounded.VITALS.index((confounded.LOW, 1, 1))
    there = confounded.VITALS.index((confounded.NORMAL, 1, 1))
    row = mdp.transition[[here * 8 + confounded.VASOPRESSOR]].toarray()[0]
    assert row[there] == pytest.approx(0.7 * 0.9 * 0.85)
    reacting = confounded.COUNT + here
    row = mdp.transition[[reacting * 8 + confounded.VASOPRESSOR]].toarray()[0]
    assert row[confounded.COUNT + there] == pytest.approx(0.7 * 0.27 * 0.255)
    ill = 0.25 * (1 - 0.27) * (1 - 0.255) * 0.6  # All three out of order, and dead.
    assert row[confounded.DEATH] > ill
    row = mdp.transition[[there * 8]].toarray()[0]
    assert row[confounded.HOME] == pytest.approx(0.86 * 0.9 * 0.85)
    assert confounded.ACTION_LABELS[0] == "nothing"
    assert confounded.ACTION_LABELS[5] == "antibiotics and ventilation"


def test_values_are_what_they_were_when_fixed():
    assert confounded.behavior_value() == pytest.approx(0.9002982930739966, abs=1e-12)
    assert confounded.mdp().start.sum() == pytest.approx(1)
    assert confounded.HYPERSENSITIVE == 0.3 and confounded.REACTION == 0.7


def test_the_log_hides_what_clinicians_see():
    log = confounded.log(200, seed=0)
    assert log.propensity is None and log.state_count == confounded.COUNT
    assert log.horizon == 20 and log.lengths.max() <= 20
    assert set(np.unique(log.returns())) == {0.0, 1.0}
    assert log.observation.shape[1] == 4


@pytest.mark.parametrize("seed", range(5))
def test_it_is_a_trap(seed):
    """The model says better by .05 and more; in truth it is worse by .03 and more."""
    log = confounded.log(1_000, seed=seed)
    policy = confounded.planned(log)
    now = confounded.behavior_value()
    assert confounded.value(policy) < now - 0.03
    tabular = TabularLog.of(log, discount=1.0)
    states = tabular.transitions.policy(PolicyTable.of_states(log, policy))
    assert tabular.fit().value(states) > now + 0.05
    assert log.returns().mean() == pytest.approx(now, abs=0.04)
