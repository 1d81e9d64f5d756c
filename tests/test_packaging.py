"""What is shipped, and what is installed with it."""

import re
import tomllib
from pathlib import Path

import pytest
from repository import PACKAGE, ROOT, relative

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def test_the_wheel_carries_every_data_file():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packed = {
        path
        for pattern in settings["package-data"]["stitchrl"]
        for path in PACKAGE.glob(pattern)
    }
    skipped = {".py", ".pyc"}
    data = {p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in skipped}
    missing = sorted(relative(path) for path in data - packed)
    assert not missing, f"{missing}: add their kind to package-data in pyproject.toml."
    assert PACKAGE / "py.typed" in data


PIN = r"(?P<name>[\w.-]+)==(?P<version>[\w.]+)( ; [^\\/@:]+)? \\"
HASH = r"    --hash=sha256:[0-9a-f]{64}( \\)?"


def pins(path: Path) -> set[str]:
    """`name==version` of every line; where they apply may differ between files."""
    return set(re.findall(r"^[\w.-]+==[\w.]+", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", LOCKS, ids=relative)
def test_lock_files_hold_names_versions_and_hashes_only(path: Path):
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        assert re.fullmatch(PIN, line) or re.fullmatch(HASH, line), f"{number}: {line}"


def test_lock_files_agree():
    runtime = pins(ROOT / "requirements" / "runtime.txt")
    beside_us = [path for path in LOCKS if path.stem not in ("parity", "peers")]
    assert runtime and len(beside_us) == 4
    for path in beside_us:
        missing = runtime - pins(path)
        assert not missing, f"{relative(path)} pins others than runtime.txt: {missing}."
