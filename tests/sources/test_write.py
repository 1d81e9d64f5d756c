"""What is written is what was there, to the last bit and declaration."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sources.coded_log import (
    CUT,
    EPISODE,
    EPISODES,
    LENGTHS,
    SIZE,
    STEP,
    check,
    in_memory,
    observation,
)

from stitchrl.dataset import Dataset
from stitchrl.sources import load, write_table
from stitchrl.sources.mapping import mapping_of


def everything() -> Dataset:
    """The discrete log with every optional column and declaration."""
    generator = np.random.default_rng(0)
    names = np.array(["ann", "bob", "ann", "zoe"])
    return in_memory(
        episode=np.array([f"stay {episode}" for episode in (7, 3, 9, 1)])[EPISODE],
        group=names[EPISODE],
        step=4 * STEP,
        time=generator.normal(size=SIZE) * 1e9,
        propensity=generator.uniform(size=SIZE),
        source=np.array(["north", "south"])[np.arange(SIZE) % 2],
        weight=generator.exponential(size=SIZE),
        valid_actions=generator.uniform(size=(SIZE, 3)) < 0.9,
        final_valid_actions=(np.arange(EPISODES * 3).reshape(-1, 3) % 2 > 0)
        | ~CUT[:, None],
        state_id=10 * EPISODE + STEP,
        state_count=50,
        final_state_id=np.where(CUT, 10 * np.arange(EPISODES) + LENGTHS, -1),
        rewards={"cost": generator.normal(size=SIZE), "a.b": np.zeros(SIZE)},
        feature_names=("step", 'says "x"'),
        reward_bounds=(0.1, 3.3),
        return_bounds=(-1.0, 9.0),
        horizon=12,
        may_be_missing=('says "x"',),
    )


def without_final_observations() -> Dataset:
    return in_memory(final_observation=np.full((EPISODES, 2), np.nan))


def with_gaps() -> Dataset:
    dataset = in_memory(may_be_missing=("x1",))
    dataset.observation[[0, 4], 1] = np.nan
    dataset.final_observation[2, 1] = np.nan
    return dataset


DATASETS = {
    "discrete": in_memory,
    "continuous": lambda: in_memory(is_discrete=False),
    "everything": everything,
    "no final observations": without_final_observations,
    "gaps": with_gaps,
    "nobody knows what was valid at the end": lambda: in_memory(
        valid_actions=np.ones((SIZE, 3), bool)
    ),
    "a part": lambda: everything().take_episodes(np.array([1, 3])),
}


@pytest.mark.parametrize("name", DATASETS)
def test_reading_back(name: str, tmp_path: Path):
    dataset = DATASETS[name]()
    write_table(dataset, tmp_path / "log.parquet")
    again = load(tmp_path / "log.parquet")
    assert again.content_hash() == dataset.content_hash()
    assert {note.code for note in again.notes} <= {"FINAL_ROWS"}
    assert [file.name for file in tmp_path.iterdir()] == ["log.parquet"]


def test_values_and_final_rows(tmp_path: Path):
    write_table(in_memory(), tmp_path / "log.parquet")
    check(load(tmp_path / "log.parquet"), knows_final=True)
    table = pq.read_table(tmp_path / "log.parquet").to_pydict()
    assert table["action"][3:6] == ["low", None, "wait"]
    assert table["observation.x0"][3:6] == [1000, 1001, 2000]
    assert table["step"][3:6] == [0, 1, 0]
    assert table["reward"][4] is table["terminated"][4] is table["truncated"][4] is None
    assert len(table["episode"]) == SIZE + 2


def test_other_tools_may_read_it_without_our_metadata(tmp_path: Path):
    write_table(in_memory(), tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet").replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "plain.parquet")
    dataset = load(tmp_path / "plain.parquet")
    check(dataset, knows_final=True)
    assert dataset.feature_names == ("x0", "x1")


def test_a_mapping_of_ones_own_wins(tmp_path: Path):
    write_table(in_memory(), tmp_path / "log.parquet")
    entries = {"preset": "plain", "observation": ["observation.x1"], "horizon": 99}
    dataset = load(tmp_path / "log.parquet", mapping_of(entries))
    np.testing.assert_array_equal(
        dataset.observation, observation(EPISODE, STEP)[:, 1:].astype(np.float32)
    )
    assert dataset.horizon == 99


def test_damaged_metadata(tmp_path: Path):
    write_table(in_memory(), tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet")
    for entries in ("{", json.dumps({"reward": 3, "nonsense": 1})):
        changed = table.replace_schema_metadata({b"stitchrl": entries.encode()})
        pq.write_table(changed, tmp_path / "log.parquet")
        with pytest.raises(ValueError) as caught:
            load(tmp_path / "log.parquet")
        assert str(tmp_path / "log.parquet") in str(caught.value)


def test_nothing_is_left_of_a_failure(tmp_path: Path):
    write_table(in_memory(), tmp_path / "log.parquet")
    before = (tmp_path / "log.parquet").read_bytes()
    broken = replace(in_memory(), reward=np.array([object()] * SIZE))
    with pytest.raises(Exception, match="object"):
        write_table(broken, tmp_path / "log.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["log.parquet"]
    assert (tmp_path / "log.parquet").read_bytes() == before


def test_pages_carry_checksums(tmp_path: Path):
    write_table(in_memory(), tmp_path / "log.parquet")
    content = bytearray((tmp_path / "log.parquet").read_bytes())
    footer = int.from_bytes(content[-8:-4], "little")
    silent = 0
    for position in range(4, len(content) - 8 - footer, 31):
        content[position] ^= 16
        (tmp_path / "flipped.parquet").write_bytes(content)
        content[position] ^= 16
        try:
            again = load(tmp_path / "flipped.parquet")
        except ValueError:
            continue
        silent += again.content_hash() != in_memory().content_hash()
    assert silent == 0
