"""All estimators of one policy, side by side."""

import numpy as np
import pytest

from stitchrl.dataset import Dataset
from stitchrl.ope.base import Family
from stitchrl.ope.certification import Certification
from stitchrl.ope.evidence import Kind
from stitchrl.ope.policy_table import Behavior, DensityTable, PolicyTable
from stitchrl.problems.exact import Bandit, random_mdp
from stitchrl.problems.lqg import BEHAVIOR, LQG, TARGET

HORIZON = 12


def estimates(
    dataset: Dataset, states: np.ndarray, *, share: float = 1.0, discount: float = 1.0
) -> dict[str, float]:
    certification = Certification(dataset, Behavior.logged(dataset), discount, 1, 0)
    found = certification.evidence(
        PolicyTable.of_states(dataset, states), name="any", kind=Kind.POLICY, share=share
    )
    return {estimate.name: estimate.value for estimate in found.estimates}


def process(episodes: int, seed: int) -> Dataset:
    problem = random_mdp()
    rows = problem.mdp.simulate(
        problem.behavior, episodes=episodes, seed=seed, max_steps=HORIZON
    )
    return problem.mdp.to_dataset(rows, horizon=HORIZON)


def test_every_estimator_answers_once_and_has_its_family():
    dataset = Bandit().log(1000, seed=0)
    certification = Certification(dataset, Behavior.logged(dataset), 1.0, 1, 0)
    table = PolicyTable.of_states(dataset, np.array([Bandit().target]))
    found = certification.evidence(table, name="any", kind=Kind.POLICY).estimates
    families = {estimate.name: estimate.family for estimate in found}
    assert len(families) == len(found)
    assert families == {
        **dict.fromkeys(["IS", "PDIS", "CWPDIS", "WIS", "RIS-WIS"], Family.WEIGHTS),
        **dict.fromkeys(["DR", "WDR", "MAGIC"], Family.COMBINED),
        "FQE": Family.VALUES,
        "pooled FQE": Family.VALUES,
        "DRL": Family.MARGINAL,
    }
    assert {e.name for e in found if e.interval} == {"WIS", "FQE", "DRL"}


def test_own_frequencies_make_a_bandit_exact_in_its_means():
    """RIS-WIS of one decision is Σ_a π(a) r̄(a)."""
    problem = Bandit()
    dataset = problem.log(200, seed=3)
    means = [dataset.reward[dataset.action == arm].mean() for arm in range(3)]
    found = estimates(dataset, np.array([problem.target]))
    expected = np.dot(problem.target, means)
    assert found["RIS-WIS"] == pytest.approx(expected, abs=1e-12)
    assert found["WIS"] != pytest.approx(expected, abs=1e-4)


def test_the_present_policy_is_worth_what_the_log_says():
    dataset = process(60, seed=1)
    found = estimates(dataset, random_mdp().behavior, share=0.0)
    by_weights = [found[name] for name in ("IS", "PDIS", "CWPDIS", "WIS", "RIS-WIS")]
    assert by_weights == pytest.approx([dataset.returns().mean()] * 5, abs=1e-9)


def test_a_mixture_is_weighed_as_the_policy_that_it_is():
    """30 % of one policy, and the policy that acts so: the same, unless β is estimated."""
    problem, dataset = random_mdp(), process(200, seed=2)
    part = estimates(dataset, problem.target, share=0.3, discount=0.9)
    mixed = 0.7 * problem.behavior + 0.3 * problem.target
    whole = estimates(dataset, mixed, discount=0.9)
    for name in ("IS", "PDIS", "CWPDIS", "WIS", "DR", "WDR", "MAGIC", "DRL"):
        assert part[name] == pytest.approx(whole[name], rel=1e-5), name
    for name in ("RIS-WIS", "FQE", "pooled FQE"):
        assert part[name] == pytest.approx(whole[name], rel=0.05), name
        assert part[name] != pytest.approx(whole[name], rel=1e-6), name


def test_all_come_near_the_truth():
    problem = random_mdp()
    found = estimates(process(2_000, seed=5), problem.target, discount=0.9)
    del found["IS"], found["PDIS"]  # Which 2,000 episodes are too few for.
    truth = problem.mdp.value(problem.target, 0.9, HORIZON)
    for name, value in found.items():
        limit = 0.05 if name in ("FQE", "DRL", "MAGIC") else 0.3
        assert value == pytest.approx(truth, rel=limit), name


def test_continuous_actions_have_weights_only():
    problem = LQG()
    dataset = problem.log(BEHAVIOR, episodes=3000, horizon=5, seed=0)
    densities = TARGET.density(dataset.observation[:, 0], dataset.action[:, 0])
    certification = Certification(dataset, Behavior.logged(dataset), 0.95, 1, 0)
    found = certification.evidence(DensityTable(densities), name="gain", kind=Kind.EXTERNAL)
    values = {estimate.name: estimate.value for estimate in found.estimates}
    assert set(values) == {"IS", "PDIS", "CWPDIS", "WIS"}
    for value in values.values():
        assert value == pytest.approx(-1.682703975976, abs=0.15)
