"""What a proposal keeps out of the observation, and which roles it asks about."""

import tomllib
from pathlib import Path

import numpy as np
from sources.test_guess import propose, says

from stitchrl.sources import load
from stitchrl.sources.mapping import mapping_of
from stitchrl.validation import errors, validate

STAYS, SHIFTS = 60, 4
STAY = np.repeat(np.arange(STAYS), SHIFTS)
SHIFT = np.tile(np.arange(SHIFTS), STAYS)


def stays(**others) -> dict[str, list]:
    """60 stays of 40 patients."""
    rng = np.random.default_rng(0)
    survived = rng.random(STAYS) < 0.7
    table = {
        "patient_nr": [f"P{stay % 40:03d}" for stay in STAY],
        "stay_nr": [f"S{stay:03d}" for stay in STAY],
        "shift_no": SHIFT.tolist(),
        "charted_at": [f"2024-07-{1 + i % 28:02d} {8 * j % 24:02d}:00" for i, j in _rows()],
        "admission_date": [f"{1 + stay % 28:02d}.03.2024" for stay in STAY],
        "age_years": rng.integers(30, 90, STAYS)[STAY].tolist(),
        "ward": [("ICU", "Cardio")[stay % 2] for stay in STAY],
        "lactate": np.round(rng.normal(2, 1, len(STAY)), 2).tolist(),
        "treatment": rng.choice(["none", "inotrope"], len(STAY)).tolist(),
        "discharged_alive": ((SHIFT == SHIFTS - 1) & survived[STAY]).astype(int).tolist(),
    }
    return table | others


def _rows() -> list[tuple[int, int]]:
    return list(zip(STAY.tolist(), SHIFT.tolist()))


def rooms() -> dict[str, list]:
    """60 runs of a thermostat in 15 buildings."""
    rng = np.random.default_rng(0)
    size = len(STAY)
    return {
        "building": [f"B{stay % 15}" for stay in STAY],
        "run": STAY.tolist(),
        "minute": (30 * SHIFT).tolist(),
        "temp_in": rng.normal(18, 2, size).tolist(),
        "heat_valve": rng.random(size).tolist(),
        "fan_speed": rng.random(size).tolist(),
        "comfort_cost": rng.normal(size=size).tolist(),
        "done": [False] * size,
        "cut": (SHIFT == SHIFTS - 1).tolist(),
    }


def test_dates_are_not_observed(tmp_path: Path):
    for changes in ({}, {"charted_at": ["2024-13-45 99:00", *stays()["charted_at"][1:]]}):
        entries, found = propose(tmp_path, stays(**changes))
        assert entries["observation"] == ["shift_no", "age_years", "ward", "lactate"]
        for name in ("charted_at", "admission_date"):
            assert f'# not observed: "{name}"  # a date: calendar time' in found.toml
        assert says(found, "Dates are left out", "'charted_at', 'admission_date'")


def test_a_date_as_observation_is_a_warning(tmp_path: Path):
    entries, _ = propose(tmp_path, stays())
    entries |= {"reward": "discharged_alive", "terminated": "last_row"}
    observed = [*entries["observation"], "admission_date"]
    path = tmp_path / "log.csv"
    dataset = load(path, mapping_of(entries | {"observation": observed}))
    (found,) = [note for note in dataset.notes if note.code == "DATE_FEATURE"]
    assert found.severity == "warning"
    assert f"Observation 'admission_date' of '{path}' is a date" in found.message
    dataset = load(path, mapping_of(entries | {"time": "charted_at"}))
    assert not [note for note in dataset.notes if note.code == "DATE_FEATURE"]
    assert type(dataset.time) is np.ndarray and errors(validate(dataset)) == ()


def test_who_has_several_episodes_is_the_group(tmp_path: Path):
    entries, found = propose(tmp_path, stays())
    assert (entries["episode"], entries["group"]) == ("stay_nr", "patient_nr")
    assert "# 40 over 60 episodes" in found.toml
    assert says(found, "Several episodes share a 'patient_nr'")
    assert propose(tmp_path, rooms())[0]["group"] == "building"
    one_each = stays(patient_nr=[f"P{stay}" for stay in STAY])
    assert "group" not in propose(tmp_path, one_each)[0]


def test_what_is_paid_at_the_end_only_may_be_the_reward(tmp_path: Path):
    for name in ("discharged_alive", "points"):
        table = stays()
        table[name] = table.pop("discharged_alive")
        entries, found = propose(tmp_path, table)
        assert f'# reward = "{name}"' in found.toml and "reward" not in entries
        assert says(found, "named like a reward", f"'{name}'")
        assert name not in entries["observation"]


def test_what_tells_the_reward_is_not_observed(tmp_path: Path):
    table = stays()
    paid = table.pop("discharged_alive")
    total = np.bincount(STAY, paid)[STAY]
    table |= {"reward": paid, "fate": ["dead" if t == 0 else "alive" for t in total]}
    table |= {"again": paid, "score": (10 * total).tolist()}
    entries, found = propose(tmp_path, table)
    assert entries["observation"] == ["shift_no", "age_years", "ward", "lactate"]
    for name in ("fate", "again", "score"):
        assert f'# not observed: "{name}"  # it tells the reward' in found.toml
    assert says(found, "the reward can be read off", "'fate', 'again', 'score'")


def test_a_continuous_copy_of_the_reward_is_not_observed(tmp_path: Path):
    cost = rooms()["comfort_cost"]
    entries, _ = propose(tmp_path, rooms() | {"reward": cost, "comfort_cost": cost})
    assert "comfort_cost" not in entries["observation"]


def test_amounts_are_shown_where_no_choice_is(tmp_path: Path):
    entries, found = propose(tmp_path, rooms())
    assert '# action = ["heat_valve", "fan_speed"]' in found.toml
    assert "# action_low = [" in found.toml and "# action_high = [" in found.toml
    assert says(found, "amounts that were set", "'heat_valve', 'fan_speed'")
    assert entries["observation"] == ["minute", "temp_in"]
    asked = found.toml.replace("# action", "action").replace("# reward =", "reward =")
    dataset = load(tmp_path / "log.csv", mapping_of(tomllib.loads(asked)))
    assert dataset.actions.names == ("heat_valve", "fan_speed")


def test_one_end_is_proposed(tmp_path: Path):
    entries, found = propose(tmp_path, rooms())
    assert entries["truncated"] == "cut" and "terminated =" not in found.toml
    assert says(found, "'done' is the same in every row")
    table = rooms()
    table["done"] = table.pop("cut")
    _, found = propose(tmp_path, table)
    (line,) = [line for line in found.toml.splitlines() if "terminated =" in line]
    assert line == (
        '# terminated = "done"  # or episode_end = "done"; or terminated = "last_row"'
    )
