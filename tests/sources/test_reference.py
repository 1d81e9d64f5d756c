"""docs/mapping.md: every key stands in it, and its examples read a log."""

import re
import tomllib
from pathlib import Path

import pytest
from repository import ROOT

from stitchrl.sources import Mapping, load, presets
from stitchrl.sources.mapping import mapping_of

TEXT = (ROOT / "docs" / "mapping.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| `")
]
KEYS = {row[0].strip("`| "): row[-1].strip("| ") for row in ROWS if len(row) == 4}
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_key_is_explained_and_no_other():
    assert set(KEYS) == set(Mapping.model_fields)


def test_every_preset_is_explained():
    named = {row[0].strip("`| ") for row in ROWS if len(row) == 2}
    assert named == set(presets())


@pytest.mark.parametrize("key", Mapping.model_fields)
def test_the_example_of_a_key_is_one(key: str):
    for example in re.findall(r"`([^`]+)`", KEYS[key]):
        entries = tomllib.loads(example)
        assert set(entries) == {key}
        mapping_of(entries)


def test_the_mapping_on_the_page_reads_the_log_on_the_page(tmp_path: Path):
    (log,) = (text for language, text in BLOCKS if language == "text")
    first, *others = (text for language, text in BLOCKS if language == "toml")
    path = tmp_path / "log.csv"
    path.write_text(log)
    dataset = load(path, mapping_of(tomllib.loads(first)))
    assert (dataset.size, dataset.episodes, dataset.groups) == (3, 2, 2)
    assert "lactate is missing" in dataset.feature_names
    for text in others:
        mapping_of(tomllib.loads(text))
