"""A table of decisions is what the policy says of each row, and nothing else."""

import io

import jax
import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from stitchrl.bundle import Bundle
from stitchrl.dataset import Bounds, Choices
from stitchrl.job.decisions import AS_BEFORE, decide_rows, read_rows, table_to_bytes
from stitchrl.normalizer import Normalizer
from stitchrl.policies import Categorical, Deterministic, Normalized
from stitchrl.sources.observations import Observations
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.value_iteration import TabularPolicy

LABELS = ("low", "mid", "high")


def bundle(policy, *, share=1.0, act="sample", actions=None, valid=False) -> Bundle:
    return Bundle(
        name="iql",
        policy=policy,
        act_by=act,
        share=share,
        feature_names=("age", "pulse"),
        actions=actions or Choices(LABELS),
        uses_valid_actions=valid,
        reading={"mapping": None},
        certified={},
    )


def rows(observation, *, valid=None, state=None) -> Observations:
    return Observations(np.asarray(observation, np.float32), valid, state, ())


def network():
    spec = Spec(2, Discrete(3))
    policy = Categorical.create(jax.random.key(0), spec, (4,))
    return Normalized(policy, Normalizer.identity(2))


def test_probabilities_are_those_of_single_decisions():
    exported = bundle(network())
    seen = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    table = decide_rows(exported, rows(seen), seed=3).to_pydict()
    assert table["row"] == list(range(50))
    for row in range(50):
        p = exported.probabilities(seen[row])
        assert table["probability"][row] == pytest.approx(
            p[LABELS.index(table["action"][row])], rel=1e-5
        )


def test_joint_actions_have_a_column_for_each_choice():
    joint = Choices.joint(("fluids", "pressor"), (("0", "1", "2"), ("no", "yes")))
    policy = TabularPolicy(np.full((1, 6), 1 / 6), np.zeros(1))
    exported = bundle(policy, actions=joint, share=0.5)
    seen = rows(np.zeros((200, 2)), state=np.zeros(200, int))
    table = decide_rows(exported, seen, seed=0).to_pydict()
    names = ["row", "action", "action.fluids", "action.pressor", "probability"]
    assert list(table) == names
    for action, fluids, pressor in zip(*(table[name] for name in names[1:4])):
        if action == AS_BEFORE:
            assert fluids is None and pressor is None
        else:
            assert action == f"fluids {fluids} | pressor {pressor}"
    assert set(table["action"]) == {*joint.labels, AS_BEFORE}


def test_draws_follow_the_probabilities():
    by_state = np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    exported = bundle(TabularPolicy(by_state, np.zeros(2)))
    state = np.repeat([0, 1], 4000)
    table = decide_rows(exported, rows(np.zeros((8000, 0)), state=state), seed=0)
    action = np.array(table["action"].to_pylist())
    assert set(action[4000:]) == {"low"}
    shares = [(action[:4000] == label).mean() for label in LABELS]
    # Four standard deviations of 4,000 draws are at most .032.
    np.testing.assert_allclose(shares, by_state[0], atol=0.032)


def test_a_mixture_leaves_the_rest_as_before():
    exported = bundle("uniform", share=0.3)
    table = decide_rows(exported, rows(np.zeros((4000, 0))), seed=0).to_pydict()
    action = np.array(table["action"])
    probability = np.array(table["probability"])
    assert abs((action == AS_BEFORE).mean() - 0.7) < 0.03
    np.testing.assert_allclose(probability[action == AS_BEFORE], 0.7)
    np.testing.assert_allclose(probability[action != AS_BEFORE], 0.1)


def test_only_valid_actions_are_taken():
    valid = np.array([[True, False, True], [False, True, False]] * 100)
    for policy in ("uniform", network()):
        exported = bundle(policy, valid=True)
        table = decide_rows(exported, rows(np.ones((200, 2)), valid=valid), seed=0)
        taken = [LABELS.index(action) for action in table["action"].to_pylist()]
        assert valid[np.arange(200), taken].all()
        assert table["probability"].to_pylist()[1] == pytest.approx(1.0)


def test_amounts_are_in_the_units_of_the_log():
    spec = Spec(2, Continuous(2))
    policy = Normalized(
        Deterministic.create(jax.random.key(0), spec, (4,)), Normalizer.identity(2)
    )
    bounds = Bounds(("dose", "rate"), (0.0, -1.0), (8.0, 1.0))
    exported = bundle(policy, act="mode", actions=bounds)
    seen = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    table = decide_rows(exported, rows(seen), seed=0)
    assert table.column_names == ["row", "action.dose", "action.rate"]
    for row in range(20):
        single = exported.act(seen[row], seed=0).action
        found = [table[name][row].as_py() for name in ("action.dose", "action.rate")]
        np.testing.assert_allclose(found, single, rtol=1e-5)
    mixed = bundle(policy, act="mode", actions=bounds, share=0.5)
    table = decide_rows(mixed, rows(seen), seed=0).to_pydict()
    for dose, defers in zip(table["action.dose"], table["as_before"]):
        assert (dose is None) == defers
    assert 0 < sum(table["as_before"]) < 20


def test_tables_are_parquet_or_csv():
    table = decide_rows(bundle("uniform"), rows(np.zeros((3, 0))), seed=0)
    parquet = pq.read_table(io.BytesIO(table_to_bytes(table, "a.parquet")))
    csv = pyarrow.csv.read_csv(io.BytesIO(table_to_bytes(table, "a.CSV")))
    assert parquet.equals(table) and csv.to_pydict() == table.to_pydict()
    with pytest.raises(ValueError, match="written as .parquet or .csv, but not as 'a.xls'"):
        table_to_bytes(table, "a.xls")


def test_rows_are_read_as_the_policy_needs_them(tmp_path):
    place = tmp_path / "new.csv"
    place.write_text("state_id,pulse,age\n1,70,50\n0,80,60\n")
    assert read_rows(bundle("uniform"), place).size == 2
    seen = read_rows(bundle(network()), place)
    np.testing.assert_array_equal(seen.observation, [[50, 70], [60, 80]])
    assert seen.state_id is None
    tabular = bundle(TabularPolicy(np.full((2, 3), 1 / 3), np.zeros(2)))
    np.testing.assert_array_equal(read_rows(tabular, place).state_id, [1, 0])
