"""The bundled intensive-care process against exact values computed elsewhere."""

import numpy as np
import pytest

from stitchrl.problems import icu_sepsis
from stitchrl.problems.icu_sepsis import DEATH, SINK, SURVIVAL

ICU = icu_sepsis.load()
CLINICIANS = ICU.clinicians
UNIFORM = np.full((716, 25), 1 / 25)
BEHAVIOR = 0.8 * CLINICIANS + 0.2 * UNIFORM
BEST, _ = ICU.mdp.optimal(1.0)
SHARES = [0.1, 0.2, 0.3, 0.5, 1.0]


def mixed(share: float, policy: np.ndarray) -> np.ndarray:
    return (1 - share) * BEHAVIOR + share * policy


@pytest.mark.parametrize(
    "policy, value, discounted, length",
    [
        (CLINICIANS, 0.7818448903, 0.7221580395, 9.237950),
        (UNIFORM, 0.7800709046, 0.7190950524, 9.462296),
        (BEST, 0.8751416996, None, 10.991744),
        (ICU.mdp.optimal(0.99)[0], None, 0.8013343903, None),
        (np.eye(25)[CLINICIANS.argmax(axis=1)], 0.7868258431, 0.7293362149, None),
        (BEHAVIOR, 0.7815518281, None, None),
    ],
    ids=["clinicians", "uniform", "optimal", "optimal at .99", "likeliest", "behavior"],
)
def test_values_and_lengths(policy, value, discounted, length):
    if value is not None:
        assert ICU.mdp.value(policy, 1.0) == pytest.approx(value, abs=6e-11)
    if discounted is not None:
        assert ICU.mdp.value(policy, 0.99) == pytest.approx(discounted, abs=6e-11)
    if length is not None:
        assert ICU.mdp.expected_length(policy) == pytest.approx(length, abs=6e-7)


@pytest.mark.parametrize(
    "share, value", [(0.1, 0.789291), (0.3, 0.805558), (0.5, 0.823098), (1, 0.875142)]
)
def test_values_of_mixtures_with_the_optimum(share, value):
    assert ICU.mdp.value(mixed(share, BEST), 1.0) == pytest.approx(value, abs=6e-7)


def test_bits_of_policies_without_a_choice_among_equals():
    assert ICU.mdp.kl_bits(CLINICIANS, BEHAVIOR) == pytest.approx(1.682, abs=6e-4)
    assert ICU.mdp.kl_bits(UNIFORM, BEHAVIOR) == pytest.approx(12.487, abs=6e-4)


def test_bits_of_mixtures_with_the_optimum():
    """In a third of the states all actions are equal, so the optimum is a matter of taste.

    Its distance from the behavior is not: the published .569, 1.829, 3.606, 8.586, 33.455
    are those of one arbitrary choice among equals, ours those of the first action.
    """
    _, q = ICU.mdp.optimal(1.0)
    ties = q >= q.max(axis=1, keepdims=True) - 1e-10
    choices = ties[:DEATH].sum(axis=1)
    assert ((choices == 1) | (choices == 25)).all()
    assert (choices == 25).sum() == 237
    np.testing.assert_array_equal(BEST.argmax(axis=1), ties.argmax(axis=1))
    near = np.eye(25)[np.where(ties, BEHAVIOR, -1).argmax(axis=1)]
    far = np.eye(25)[np.where(ties, BEHAVIOR, 2).argmin(axis=1)]
    bits = {
        name: [ICU.mdp.kl_bits(mixed(share, policy), BEHAVIOR) for share in SHARES]
        for name, policy in {"first": BEST, "near": near, "far": far}.items()
    }
    ours = [0.3451, 1.2100, 2.5037, 6.3333, 27.2093]
    np.testing.assert_allclose(bits["first"], ours, atol=6e-5)
    published = np.array([0.569, 1.829, 3.606, 8.586, 33.455])
    assert (bits["near"] < published).all() and (published < bits["far"]).all()
    np.testing.assert_allclose(
        ICU.mdp.state_values(far, 1.0), ICU.mdp.state_values(near, 1.0), atol=1e-10
    )


def test_the_process_is_the_one_in_the_file():
    with np.load(icu_sepsis.FILE) as file:
        transition, reward = file["tx_mat"], file["r_mat"]
        assert ICU.mdp.transition.nnz == np.count_nonzero(transition[:DEATH])
        np.testing.assert_array_equal(
            ICU.mdp.transition[[0, 17_000]].toarray(),
            transition.reshape(-1, 716)[[0, 17_000]],
        )
        expected = (transition[:DEATH] * reward[:DEATH]).sum(axis=2)
        np.testing.assert_allclose(ICU.mdp.reward[:DEATH], expected, atol=1e-15)
        assert (reward[:DEATH, :, SURVIVAL] == 1).all()
        assert np.count_nonzero(reward[:DEATH]) == DEATH * 25
        np.testing.assert_array_equal(CLINICIANS[:DEATH], file["expert_policy"][:DEATH])
    np.testing.assert_array_equal(CLINICIANS[DEATH:], 1 / 25)
    np.testing.assert_array_equal(np.flatnonzero(ICU.mdp.terminal), [DEATH, SURVIVAL, SINK])


def test_features_carry_the_right_names():
    """Relations that hold in any patient tell a wrong order of the columns."""
    column = dict(zip(ICU.feature_names, ICU.features[:DEATH].T, strict=True))
    assert len(column) == 47

    def correlation(left: np.ndarray, right: np.ndarray) -> float:
        return np.corrcoef(left, right)[0, 1]

    for left, right in [
        ("prothrombin_time", "inr"),
        ("aspartate_transaminase", "alanine_transaminase"),
        ("mean_pressure", "diastolic_pressure"),
        ("mean_pressure", "systolic_pressure"),
        ("urea_nitrogen", "creatinine"),
        ("urine_total", "urine_4_hours"),
        ("arterial_oxygen", "oxygenation_ratio"),
        ("sodium", "chloride"),
        ("arterial_base_excess", "bicarbonate"),
        ("heart_rate", "shock_index"),
    ]:
        assert correlation(column[left], column[right]) > 0.75, (left, right)
    assert correlation(column["systolic_pressure"], column["shock_index"]) < -0.7
    assert (
        correlation(column["glasgow_coma_scale"], column["mechanical_ventilation"]) < -0.7
    )
    assert correlation(column["sofa"], ICU.sofa[:DEATH]) > 0.99


def test_action_labels_are_in_the_right_order():
    """Clinicians' mean dose in a state goes with the dose its patients are on."""
    levels = np.array(
        [
            [int(part.split()[1]) for part in label.split(", ")]
            for label in ICU.action_labels
        ]
    )
    assert ICU.action_labels[7] == "fluids 1, vasopressors 2"
    mean = CLINICIANS[:DEATH] @ levels
    column = dict(zip(ICU.feature_names, ICU.features[:DEATH].T))
    doses = [column["fluids_4_hours"], column["vasopressor_dose"]]
    crossed = np.corrcoef(mean.T, doses)[:2, 2:]
    assert crossed[0, 0] > 0.95 and crossed[1, 1] > 0.7
    assert crossed[0, 1] < 0.5 and crossed[1, 0] < 0.5


def test_a_simulated_log():
    log = ICU.simulate(patients=4_000, seed=0)
    assert log.episodes == log.groups == 4_000
    assert log.terminated[log.last_row].all() and not log.truncated.any()
    np.testing.assert_array_equal(log.group, log.episode)
    np.testing.assert_array_equal(log.propensity, CLINICIANS[log.state_id, log.action])
    np.testing.assert_array_equal(log.observation, ICU.features[log.state_id].astype("f4"))
    assert log.state_id.max() < DEATH and log.state_count == 716
    assert (log.final_state_id == -1).all() and np.isnan(log.final_observation).all()
    assert set(np.unique(log.returns())) == {0, 1}
    assert not log.reward[~log.terminated].any()
    assert log.reward_bounds == log.return_bounds == (0, 1) and log.horizon is None
    assert log.returns().mean() == pytest.approx(0.78184, abs=4 * 0.0066)
    assert log.lengths.mean() == pytest.approx(9.238, abs=0.5)
    assert log.content_hash() == ICU.simulate(4_000, 0).content_hash()
    assert log.content_hash() != ICU.simulate(4_000, 1).content_hash()


def test_a_log_of_another_behavior():
    log = ICU.simulate(500, seed=1, behavior=UNIFORM)
    np.testing.assert_array_equal(log.propensity, UNIFORM[0, 0])
    assert np.bincount(log.action, minlength=25).min() > 0


def test_an_altered_file_is_refused(tmp_path):
    content = bytearray(icu_sepsis.FILE.read_bytes())
    assert len(content) < 2_000_000
    content[1_000_000] ^= 1
    (tmp_path / "dynamics.npz").write_bytes(content)
    with pytest.raises(ValueError, match="dynamics.npz.*SHA-256.*36498f924c69"):
        icu_sepsis._verified(tmp_path / "dynamics.npz")


def test_shared_arrays_cannot_be_changed():
    assert icu_sepsis.load() is ICU
    for array in (ICU.clinicians, ICU.features, ICU.sofa):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_license_comes_along():
    folder = icu_sepsis.FILE.parent
    assert "Kartik Choudhary" in (folder / "LICENSE.txt").read_text()
    assert "version 2.0.1" in (folder / "NOTICE.txt").read_text()
