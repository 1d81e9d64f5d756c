"""Where compiled programs are kept, and that a second run compiles nothing."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stitchrl import kept_programs
from stitchrl.problems import icu_sepsis
from stitchrl.sources.write import write_table

COUNTING = """
import collections, json, sys
import jax
from stitchrl.cli import main
seen = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **more: seen.update([event]))
try:
    main()
finally:
    start = "/jax/compilation_cache/"
    names = "compile_requests_use_cache", "cache_hits"
    print(json.dumps([seen[start + name] for name in names]), file=sys.stderr)
"""
SETTINGS = (kept_programs.PLACE, kept_programs.DISABLED, *kept_programs.EVERY_PROGRAM)


def counted(words: list[object], caches: Path) -> tuple[int, int]:
    """Programs that a command needed, and those that it found."""
    environment = {
        name: value for name, value in os.environ.items() if name not in SETTINGS
    }
    finished = subprocess.run(
        [sys.executable, "-c", COUNTING, *map(str, words)],
        env={**environment, "XDG_CACHE_HOME": str(caches)},
        capture_output=True,
        text=True,
        check=True,
    )
    needed, found = json.loads(finished.stderr.splitlines()[-1])
    return needed, found


def test_the_same_job_again_compiles_nothing_nor_does_a_log_of_about_its_size(
    tmp_path: Path,
):
    def train(episodes: int, name: str) -> tuple[int, int]:
        log = tmp_path / f"{name}.parquet"
        write_table(icu_sepsis.load().simulate(episodes, seed=0), log)
        words = ["train", log, "--algorithms", "bc", "--updates", 40]
        sizes = ["-o", "bc.hidden=8x8", "-o", "bc.batch_size=32", "--fqe-updates", 20]
        return counted([*words, *sizes, "--out", tmp_path / name], tmp_path)

    needed, found = train(1350, "first")
    assert needed > 10 > found
    place = tmp_path / "stitchrl" / "programs"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert train(1350, "second") == train(1400, "third") == (needed, needed)


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing said to JAX; what is said here stays out of it and of later tests."""
    for name in SETTINGS:
        monkeypatch.setitem(os.environ, name, "")
        monkeypatch.delenv(name)

    def say(settings: dict) -> None:
        os.environ.update({name: str(value) for name, value in settings.items()})

    monkeypatch.setattr(kept_programs, "_say", say)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "stitchrl" / "programs"


def test_what_the_user_told_jax_stays(caches: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(kept_programs.DISABLED, "False")
    assert kept_programs.keep_programs() is None and not caches.exists()
    monkeypatch.delenv(kept_programs.DISABLED)
    monkeypatch.setenv(kept_programs.PLACE, "elsewhere")
    assert kept_programs.keep_programs() == Path("elsewhere") and not caches.exists()


def test_a_folder_in_which_others_may_write_is_not_used(caches: Path):
    caches.mkdir(parents=True)
    caches.chmod(0o770)
    assert kept_programs.keep_programs() is None
    caches.chmod(0o700)
    assert kept_programs.keep_programs() == caches


def test_where_no_folder_can_be_made_nothing_is_kept(caches: Path):
    caches.parent.write_text("a file")
    assert kept_programs.keep_programs() is None


def test_the_oldest_programs_go_first(caches: Path):
    caches.mkdir(parents=True, mode=0o700)
    for number in range(5):
        path = caches / f"{number}-cache"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 - number, 1000 - number))
    kept_programs._forget_oldest(caches, 250)
    assert sorted(path.name for path in caches.iterdir()) == ["0-cache", "1-cache"]
