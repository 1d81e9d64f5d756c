"""A handed-over policy does exactly what was certified."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from stitchrl.algorithms import ALGORITHMS
from stitchrl.artifacts import (
    ArtifactError,
    bytes_to_json,
    json_to_bytes,
    load_directory,
    save_directory,
)
from stitchrl.bundle import Bundle, bundle_of, load, save
from stitchrl.candidates import Candidate, as_exported, drawn_actions, table
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.normalizer import Normalizer
from stitchrl.spaces import Continuous, Discrete
from stitchrl.value_iteration import TabularPolicy

SIZES = {"hidden": (8, 8)}


def log(kind: type) -> Dataset:
    rng = np.random.default_rng(0)
    is_discrete = kind is Discrete
    return Dataset.create(
        observation=rng.normal(size=(40, 3)) * 10 + 5,
        action=rng.integers(0, 3, 40) if is_discrete else rng.uniform(0, 8, (40, 2)),
        reward=rng.normal(size=40),
        terminated=np.arange(40) % 4 == 3,
        truncated=np.zeros(40, bool),
        actions=Choices(("low", "mid", "high"))
        if is_discrete
        else Bounds(("dose", "rate"), (0.0, -1.0), (8.0, 1.0)),
        feature_names=("age", "pulse", "lactate"),
    )


def candidate(name: str, kind: type, dataset: Dataset) -> Candidate:
    algorithm = ALGORITHMS[name][kind](**SIZES)
    state = algorithm.init(jax.random.key(1), dataset.spec)
    policy, act = as_exported(algorithm.policy(state), Normalizer.fit(dataset))
    return Candidate(name, "policy", act, policy)


def saved(tmp_path, candidate: Candidate, dataset: Dataset, share: float = 1.0) -> Bundle:
    bundle = bundle_of(
        candidate, dataset, share=share, reading={}, certified={"decision": "pilot"}
    )
    save(tmp_path / "policy", bundle)
    return load(tmp_path / "policy")


@pytest.mark.parametrize("name", [n for n, k in ALGORITHMS.items() if Discrete in k])
def test_a_bundle_has_the_certified_probabilities(name, tmp_path):
    dataset = log(Discrete)
    original = candidate(name, Discrete, dataset)
    bundle = saved(tmp_path, original, dataset)
    certified = table(original, dataset).probabilities
    for row in range(5):
        exported = bundle.probabilities(dataset.observation[row])
        np.testing.assert_allclose(exported, certified[row], atol=1e-6)
    assert bundle.certified == {"decision": "pilot"}
    assert bundle.act(dataset.observation[0], seed=0).action in ("low", "mid", "high")


def test_a_joint_action_comes_back_as_its_parts(tmp_path):
    joint = Choices.joint(("fluids", "pressor"), (("0", "1", "2"), ("no", "yes")))
    dataset = replace(log(Discrete), actions=joint)
    bundle = saved(tmp_path, candidate("bc", Discrete, dataset), dataset)
    assert bundle.actions == joint
    decisions = [bundle.act(dataset.observation[0], seed=seed) for seed in range(50)]
    for decision in decisions:
        said = " | ".join(f"{name} {label}" for name, label in decision.parts.items())
        assert decision.action == said and said in joint.labels
    assert len({decision.action for decision in decisions}) > 2
    plain = saved(tmp_path, candidate("bc", Discrete, log(Discrete)), log(Discrete))
    assert plain.act(dataset.observation[0], seed=0).parts == {}


@pytest.mark.parametrize("name", [n for n, k in ALGORITHMS.items() if Continuous in k])
def test_a_bundle_acts_in_the_units_of_the_log(name, tmp_path):
    dataset = log(Continuous)
    original = candidate(name, Continuous, dataset)
    bundle = saved(tmp_path, original, dataset)
    unit = drawn_actions(original, dataset.observation[:5], samples=1, seed=0)[:, 0]
    expected = dataset.actions.from_unit(unit)
    for row in range(5):
        decision = bundle.act(dataset.observation[row])
        np.testing.assert_allclose(decision.action, expected[row], rtol=1e-5)
        assert decision.probability is None


def test_a_mixture_defers_as_often_as_it_says(tmp_path):
    dataset = log(Discrete)
    bundle = saved(tmp_path, candidate("bc", Discrete, dataset), dataset, share=0.25)
    decisions = [bundle.act(dataset.observation[0], seed=seed) for seed in range(400)]
    deferred = np.mean([decision.action is None for decision in decisions])
    assert abs(deferred - 0.75) < 0.07
    p = bundle.probabilities(dataset.observation[0])
    acted = next(decision for decision in decisions if decision.action is not None)
    label = ("low", "mid", "high").index(acted.action)
    assert acted.probability == pytest.approx(0.25 * p[label])


def test_a_tabular_bundle_acts_by_state(tmp_path):
    dataset, table_ = log(Discrete), np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    policy = TabularPolicy(table_, np.zeros(2))
    bundle = saved(tmp_path, Candidate("vi", "policy", "mode", policy), dataset)
    assert bundle.act(dataset.observation[0], state_id=0).action == "mid"
    with pytest.raises(ValueError, match="give state_id, a number from 0 to 1; came 2"):
        bundle.act(dataset.observation[0], state_id=2)


def test_wrong_observations_are_refused(tmp_path):
    dataset = log(Discrete)
    bundle = saved(tmp_path, candidate("bc", Discrete, dataset), dataset)
    with pytest.raises(ValueError, match=r"has 3 numbers \(age, pulse, lactate.*\(2,\)"):
        bundle.act([1.0, 2.0])
    with pytest.raises(ValueError, match="'pulse' is infinite"):
        bundle.act([1.0, np.inf, 2.0])


def test_a_structure_with_an_unknown_class_is_refused(tmp_path):
    dataset = log(Discrete)
    bundle = bundle_of(
        candidate("bc", Discrete, dataset), dataset, share=1.0, reading={}, certified={}
    )
    save(tmp_path / "policy", bundle)
    files = load_directory(tmp_path / "policy")
    said = bytes_to_json(files["policy.json"], source="policy.json")
    said["structure"]["class"] = "os.system"
    save_directory(tmp_path / "policy", {**files, "policy.json": json_to_bytes(said)})
    with pytest.raises(ArtifactError, match="not a part of a policy"):
        load(tmp_path / "policy")


@pytest.mark.parametrize("kind", [Continuous, Discrete])
def test_the_best_of_n_is_exported(kind, tmp_path):
    dataset = log(kind)
    algorithm = ALGORITHMS["one_step"][kind](**SIZES, operator="easy_bcq")
    state = algorithm.init(jax.random.key(1), dataset.spec)
    policy, act = as_exported(algorithm.policy(state), Normalizer.fit(dataset))
    original = Candidate("one_step", "policy", act, policy)
    bundle = saved(tmp_path, original, dataset)
    assert act == ("sample" if kind is Discrete else "mode")
    if kind is Discrete:
        expected = table(original, dataset).probabilities[0]
        found = bundle.probabilities(dataset.observation[0])
        np.testing.assert_allclose(found, expected, atol=1e-6)
    else:
        unit = drawn_actions(original, dataset.observation[:1], samples=1, seed=0)[0, 0]
        found = bundle.act(dataset.observation[0]).action
        np.testing.assert_allclose(found, dataset.actions.from_unit(unit), rtol=1e-5)
