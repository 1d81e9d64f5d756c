"""A proposal reads the log it was made from, and admits what it does not know."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import EPISODE, STEP, arrays, check, columns, in_memory
from sources.test_minari import BOX, episodes, write_hdf5
from sources.test_presets import bandit
from sources.test_tables import write_csv, write_parquet

from stitchrl.findings import DataError
from stitchrl.sources import Guess, guess, load, write_table
from stitchrl.sources.mapping import mapping_of

NAMES = {"stay": "stay_id", "act": "treatment", "pay": "Reward", "p": "propensity_score"}
NAMES |= {"dead": "is_terminal", "cut": "timeout"}


def clinic(**others) -> dict[str, list]:
    return {NAMES.get(name, name): v for name, v in columns().items()} | others


def propose(tmp_path: Path, table: dict) -> tuple[dict, Guess]:
    found = guess(write_csv(tmp_path / "log.csv", table))
    return tomllib.loads(found.toml), found


def says(found: Guess, *words: str) -> bool:
    return any(all(word in sentence for word in words) for sentence in found.unknown)


def test_a_log_with_telling_names(tmp_path: Path):
    entries, found = propose(tmp_path, clinic())
    assert entries == {
        "episode": "stay_id",
        "step": "bloc",
        "action": "treatment",
        "reward": "Reward",
        "terminated": "is_terminal",
        "truncated": "timeout",
        "propensity": "propensity_score",
        "observation": ["x", "y"],
    }
    check(load(tmp_path / "log.csv", mapping_of(entries)), knows_final=False)
    assert says(found, "reward_bounds", "horizon")
    assert "# reward_bounds = [LOWEST, HIGHEST]" in found.toml
    assert len(found.unknown) == 1


def test_rows_out_of_order(tmp_path: Path):
    order = np.random.default_rng(0).permutation(10)
    table = {name: [values[row] for row in order] for name, values in clinic().items()}
    entries, _ = propose(tmp_path, table)
    assert entries["sort"] is True
    check(load(tmp_path / "log.csv", mapping_of(entries)), knows_final=False)


def test_repeated_steps(tmp_path: Path):
    table = clinic(bloc=[0] * 10)
    _, found = propose(tmp_path, table)
    assert says(found, "'bloc' repeats within an episode")


def test_patients_with_and_without_stays(tmp_path: Path):
    table = clinic(patient=[stay // 2 for stay in EPISODE])
    entries, _ = propose(tmp_path, table)
    assert (entries["episode"], entries["group"]) == ("stay_id", "patient")
    del table["stay_id"]
    entries, found = propose(tmp_path, table)
    assert entries["episode"] == "patient" and "group" not in entries
    assert says(found, "Each 'patient' is taken as one episode")


def test_unclear_ends(tmp_path: Path):
    table = clinic()
    table["done"] = table.pop("is_terminal")
    del table["timeout"]
    entries, found = propose(tmp_path, table)
    assert "terminated" not in entries and "done" not in entries["observation"]
    assert '# terminated = "done"' in found.toml
    assert says(found, "'done'", "over", 'episode_end = "done"')
    assert says(found, "Nothing says for sure how episodes end")


def test_no_telling_names(tmp_path: Path):
    names = dict(zip(columns(), ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]))
    table = {names[name]: values for name, values in columns().items()}
    entries, found = propose(tmp_path, table)
    assert set(entries) == {"observation"}
    assert "c4" not in entries["observation"]  # Which may be the action.
    assert '# episode = "c0"' in found.toml and '# action = "c4"' in found.toml
    for words in (
        ["constant over blocks of rows: 'c0'"],
        ["named like an action", "'c4'"],
        ["named like a reward"],
        ["how probable its actions were"],
    ):
        assert says(found, *words), words
    with pytest.raises(DataError, match="must say which column holds the action"):
        load(tmp_path / "log.csv", mapping_of(entries))


def test_a_counter_that_may_be_the_step(tmp_path: Path):
    table = clinic()
    table["k"] = table.pop("bloc")
    entries, found = propose(tmp_path, table)
    assert "step" not in entries
    assert '# step = "k"' in found.toml
    assert says(found, "'k' counts within each episode")


def test_amounts(tmp_path: Path):
    table = clinic()
    del table["treatment"]
    fluid, pressor = arrays(is_discrete=False)["action"].T.tolist()
    entries, found = propose(tmp_path, table | {"action_fluid": fluid, "action_b": pressor})
    assert entries["action"] == ["action_fluid", "action_b"]
    assert says(found, "limits of the continuous actions")
    assert "# action_low = LOWEST" in found.toml
    entries, _ = propose(tmp_path, table | {"dose": fluid})
    assert entries["action"] == ["dose"]


def test_many_whole_numbers_may_be_an_amount(tmp_path: Path):
    rows = range(120)
    table = {"a": list(rows), "r": [0.5] * 120, "x": [row / 7 for row in rows]}
    entries, found = propose(tmp_path, table)
    assert entries["action"] == "a"
    assert says(found, "'a' has 120 values", 'action = ["a"]')


def test_propensities(tmp_path: Path):
    table = clinic()
    logs = np.log(table["propensity_score"]).tolist()
    entries, _ = propose(tmp_path, table | {"propensity_score": logs})
    assert entries["propensity_is"] == "log_probability"
    percent = [100 * p for p in table["propensity_score"]]
    entries, found = propose(tmp_path, table | {"propensity_score": percent})
    assert "propensity" not in entries
    assert says(found, "'propensity_score' ranges from", "neither probabilities")


def test_what_becomes_an_observation(tmp_path: Path):
    table = {"": list(range(10))} | clinic(
        charttime=[f"2020-01-0{1 + stay} 00:00" for stay in EPISODE],
        sex=["fm"[stay % 2] for stay in EPISODE],
        lactate=["", *map(float, range(9))],
        next_x=list(range(10)),
    )
    entries, found = propose(tmp_path, table)
    assert entries["time"] == "charttime"
    assert entries["observation"] == ["x", "y", "sex", "lactate"]
    assert entries["categories"] == {"sex": ["f", "m"]}
    assert '# missing = "flag"' in found.toml
    assert says(found, "Values are missing in 'lactate'")
    assert says(found, "Left out: 'column0'")


def test_long_text_is_left_out(tmp_path: Path):
    table = {name: values * 6 for name, values in clinic().items()}
    table["stay_id"] = list(range(60))
    entries, found = propose(tmp_path, table | {"note": [f"n{row}" for row in range(60)]})
    assert entries["observation"] == ["x", "y"]
    assert says(found, "Left out: 'note'")


def test_prefixes(tmp_path: Path):
    names = {"x": "obs_x", "y": "obs_y"}
    table = {names.get(name, name): values for name, values in clinic().items()}
    table |= {"next_obs_x": [x + 1 for x in table["obs_x"]], "next_obs_y": table["obs_y"]}
    table |= {"reward_cost": table["Reward"], "age": [40] * 10}
    table |= {f"valid_{label}": [1] * 10 for label in ("high", "low", "wait")}
    entries, found = propose(tmp_path, table)
    assert entries["observation"] == ["obs_x", "obs_y"]
    assert entries["next_observation"] == ["next_obs_x", "next_obs_y"]
    assert entries["rewards"] == {"cost": "reward_cost"}
    assert entries["valid_actions"] == ["valid_high", "valid_low", "valid_wait"]
    assert says(found, "Left out: 'age'")


def test_strange_columns_do_not_hide_the_others(tmp_path: Path):
    table = clinic(odd=[{"a": 1}] * 10)
    found = guess(write_parquet(tmp_path / "log.parquet", table))
    assert tomllib.loads(found.toml)["observation"] == ["x", "y"]
    assert says(found, "Column 'odd' was left out")


def test_known_conventions(tmp_path: Path):
    entries, found = propose(tmp_path, bandit())
    assert entries == {"preset": "open_bandit"}
    assert says(found, "looks like the convention 'open_bandit'")
    assert not says(found, "reward_bounds")  # That preset declares them.
    folder = write_hdf5(tmp_path / "minari", episodes(), BOX)
    assert tomllib.loads(guess(folder).toml) == {"preset": "minari"}
    np.savez(tmp_path / "log.npz", **arrays(), episode=EPISODE, step=STEP)
    entries = tomllib.loads(guess(tmp_path / "log.npz").toml)
    check(load(tmp_path / "log.npz", mapping_of(entries)), knows_final=False)


def test_our_own_files_carry_their_mapping(tmp_path: Path):
    dataset = in_memory()
    write_table(dataset, tmp_path / "log.parquet")
    found = guess(tmp_path / "log.parquet")
    assert says(found, "carries this mapping") and len(found.unknown) == 1
    entries = tomllib.loads(found.toml)
    again = load(tmp_path / "log.parquet", mapping_of(entries))
    assert again.content_hash() == dataset.content_hash()
