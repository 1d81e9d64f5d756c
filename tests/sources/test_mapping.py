"""Mappings: what may stand in them, and how a mistake is answered."""

from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import MAPPING, check, columns
from sources.test_tables import write_csv

from stitchrl.findings import DataError
from stitchrl.sources import Mapping, load, preset, presets, read_mapping
from stitchrl.sources.mapping import mapping_of, toml_of

TOML = """
episode = "stay"
step = "bloc"
observation = ["x", "y"]
action = "act"
reward = "pay"
terminated = "dead"
truncated = "cut"
"""


def refusal(text: str, tmp_path: Path) -> DataError:
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_mapping(path)
    return caught.value


def refusal_of_columns(tmp_path: Path, **entries) -> DataError:
    path = write_csv(tmp_path / "log.csv", columns())
    with pytest.raises(DataError) as caught:
        load(path, mapping_of(MAPPING | entries))
    return caught.value


def test_a_mapping_file(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", columns())
    (tmp_path / "map.toml").write_text(TOML)
    check(load(path, tmp_path / "map.toml"), knows_final=False)
    check(load(str(path), str(tmp_path / "map.toml")), knows_final=False)
    check(load(path, read_mapping(tmp_path / "map.toml")), knows_final=False)


def test_unknown_keys_are_all_named(tmp_path: Path):
    error = refusal(TOML + 'rewardd = "pay"\nepisodes = "stay"\n', tmp_path)
    assert [finding.code for finding in error.findings] == ["MAPPING_KEY", "MAPPING_KEY"]
    assert f"'{tmp_path / 'map.toml'}' has the unknown key 'rewardd'" in str(error)
    assert "Did you mean 'reward'?" in str(error)
    assert "Did you mean 'episode'?" in str(error)


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("step = 3", "step"),
        ("horizon = 0", "horizon"),
        ("horizon = 2.5", "horizon"),
        ("reward_bounds = [0]", "reward_bounds"),
        ("reward_bounds = [1, 0]", "reward_bounds"),
        ("reward_bounds = [0, inf]", "reward_bounds"),
        ("action_low = nan", "action_low"),
        ('missing = "zero"', "missing"),
        ('sort = "yes"', "sort"),
        ("action_labels = []", "action_labels"),
        ("categories = { sex = 3 }", "categories"),
    ],
)
def test_wrong_values(entry: str, key: str, tmp_path: Path):
    lines = [line for line in TOML.splitlines() if not line.startswith(key)]
    error = refusal("\n".join([*lines, entry]), tmp_path)
    assert {finding.code for finding in error.findings} == {"MAPPING"}
    assert f"'{tmp_path / 'map.toml'}': '{key}' " in str(error)


def test_bounds_in_the_wrong_order(tmp_path: Path):
    error = refusal(TOML + "return_bounds = [1.0, 0.0]", tmp_path)
    assert "smaller number first: its order is reversed, but is [1.0, 0.0]" in str(error)


@pytest.mark.parametrize("text", ["reward = pay", "a = [", 'a = "1"\na = "2"', "[" * 5000])
def test_broken_toml(text: str, tmp_path: Path):
    error = refusal(text, tmp_path)
    assert f"'{tmp_path / 'map.toml'}' is not valid TOML" in str(error)


def test_a_mapping_that_is_not_there(tmp_path: Path):
    with pytest.raises(DataError, match="no mapping file 'opn_bandit'") as caught:
        load(write_csv(tmp_path / "log.csv", columns()), "opn_bandit")
    assert "Did you mean 'open_bandit'?" in str(caught.value)


def test_presets():
    assert set(presets()) >= set(
        "d4rl minari ogbench d3rlpy open_bandit minerva plain rllib".split()
    )
    for name in presets():
        mapping = preset(name)
        assert mapping.reward and mapping.action and mapping.observation
        assert "reward" in mapping.conventional
    with pytest.raises(DataError, match="no preset 'd4l'") as caught:
        preset("d4l")
    assert "Did you mean 'd4rl'?" in str(caught.value)


def test_entries_of_ones_own_replace_those_of_a_preset():
    mapping = mapping_of({"preset": "d4rl", "reward": "my_reward", "horizon": 10})
    assert (mapping.reward, mapping.horizon) == ("my_reward", 10)
    assert mapping.terminated == "terminals"
    assert "terminated" in mapping.conventional
    assert "reward" not in mapping.conventional


def test_a_preset_in_an_object_is_filled_in(tmp_path: Path):
    table = columns()
    names = {"stay": "episode", "bloc": "step", "act": "action", "pay": "reward"}
    names |= {"dead": "terminated", "cut": "truncated", "x": "observation.x"}
    table = {names.get(name, name): values for name, values in table.items()}
    path = write_csv(tmp_path / "log.csv", table)
    mapping = Mapping(preset="plain", observation=["observation.x", "y"])
    check(load(path, mapping), knows_final=False)


def test_columns_that_the_file_lacks_are_all_named(tmp_path: Path):
    error = refusal_of_columns(tmp_path, reward="pya", observation=["x", "z"], step="block")
    assert [finding.code for finding in error.findings] == ["COLUMN_MISSING"] * 3
    path = tmp_path / "log.csv"
    assert f"takes reward from 'pya', but '{path}' has no such column" in str(error)
    assert "Did you mean 'pay'?" in str(error)
    assert "takes observation from 'z'" in str(error)
    assert str(error).count("There are: ") == 1
    assert "Did you mean 'bloc'?" in str(error)


def test_columns_of_a_preset_that_the_file_lacks_lead_to_a_guess(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", {"a": np.ones(2), "b": np.ones(2)})
    with pytest.raises(DataError) as caught:
        load(path)
    guess = "`stitchrl map LOG --guess` proposes a mapping for this file."
    reward, action = (finding.remedy for finding in caught.value.findings)
    assert (reward, action) == (f"There are: 'a', 'b'. {guess}", guess)


def test_what_a_mapping_must_say(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", columns())
    for role in ("observation", "action", "reward"):
        entries = {name: value for name, value in MAPPING.items() if name != role}
        with pytest.raises(DataError, match=f"must say which column holds the {role}"):
            load(path, mapping_of(entries))


def test_a_mapping_for_another_file_lists_the_columns_once(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", {"ward": [1], "t": [2]})
    with pytest.raises(DataError) as caught:
        load(path, mapping_of(MAPPING))
    assert len(caught.value.findings) == 9
    assert str(caught.value).count("There are: 'ward', 't'.") == 1
    entries = {name: value for name, value in MAPPING.items() if name != "reward"}
    path = write_csv(tmp_path / "log.csv", columns() | {"ward": [1] * 10})
    with pytest.raises(DataError) as caught:
        load(path, mapping_of(entries))
    assert "Did you mean" not in str(caught.value) and "There are: 'stay'" in str(
        caught.value
    )


def test_patterns_leave_out_what_has_a_role(tmp_path: Path):
    path = write_csv(tmp_path / "log.csv", columns())
    check(load(path, mapping_of(MAPPING | {"observation": ["*"]})), knows_final=False)
    error = refusal_of_columns(tmp_path, observation=["obs.*"])
    assert "takes observation from 'obs.*'" in str(error)


def test_further_rewards(tmp_path: Path):
    table = columns()
    table |= {"reward.cost": table["pay"], "reward.sofa": table["p"]}
    path = write_csv(tmp_path / "log.csv", table)
    named = load(path, mapping_of(MAPPING | {"rewards": {"harm": "reward.cost"}}))
    assert list(named.rewards) == ["harm"]
    every = load(path, mapping_of(MAPPING | {"rewards": {"*": "reward.*"}}))
    assert list(every.rewards) == ["cost", "sofa"]
    np.testing.assert_array_equal(every.rewards["sofa"], table["p"])


def test_next_observations_come_one_for_one(tmp_path: Path):
    error = refusal_of_columns(tmp_path, next_observation=["x"])
    assert "2 columns of observation, but 1 of next_observation" in str(error)


def test_categories_of_no_observation(tmp_path: Path):
    error = refusal_of_columns(tmp_path, categories={"z": ["a"]})
    assert "lists categories of 'z', which is not an observation" in str(error)


def test_toml_of_values():
    value = {"a b": [1, 2.5, True, 'say "é"'], "c": {"d": "x"}}
    text = '{ "a b" = [1, 2.5, true, "say \\"é\\""], "c" = { "d" = "x" } }'
    assert toml_of(value) == text
