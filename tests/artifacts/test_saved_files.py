"""Files and directories when the writer is killed, the disk is full or not ours."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stitchrl.artifacts import (
    ArtifactError,
    append,
    load_directory,
    save_directory,
    save_file,
    truncate,
)
from stitchrl.artifacts import files as module

LOOP = """
import sys
from stitchrl.artifacts import save_directory, save_file
first = int(sys.argv[2])
for number in range(first, first + 1_000_000):
    text = f"{number:08d}".encode()
    files = {"a": text * (number % 1000), "parts/b": text * 5, "c": text}
    save_directory(sys.argv[1] + "/artifact", files)
    save_file(sys.argv[1] + "/single", text * 2000)
    if number == first:
        print("started", flush=True)
"""


def start(code: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"started\n"
    return process


def stop(process: subprocess.Popen) -> None:
    with process:
        process.send_signal(signal.SIGKILL)


def number_in(artifact: dict[str, bytes]) -> int:
    """The save that it is of; all its files must be of the same."""
    number = int(artifact["c"])
    text = b"%08d" % number
    assert artifact == {"a": text * (number % 1000), "parts/b": text * 5, "c": text}
    return number


def test_after_a_kill_at_any_moment_everything_is_whole(tmp_path):
    draw = random.Random(0)
    number = 0
    for _ in range(5):
        process = start(LOOP, tmp_path, number + 1)
        time.sleep(draw.uniform(0, 0.05))
        stop(process)
        newest = number_in(load_directory(tmp_path / "artifact"))
        assert newest > number
        single = (tmp_path / "single").read_bytes()
        assert len(single) == 16_000 and single == single[:8] * 2000
        assert int(single[:8]) in (newest, newest - 1)
        number = newest
    save_file(tmp_path / "single", b"")
    assert sorted(os.listdir(tmp_path)) == ["artifact", "single"]


def test_readers_beside_a_writer_always_find_a_whole_artifact(tmp_path):
    process = start(LOOP, tmp_path, 1)
    numbers: list[int] = []
    while len(set(numbers)) < 100:
        numbers.append(number_in(load_directory(tmp_path / "artifact")))
    stop(process)
    assert numbers == sorted(numbers)


def test_two_writers_take_turns(tmp_path):
    processes = [start(LOOP, tmp_path, first) for first in (1, 5_000_001)]
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        number_in(load_directory(tmp_path / "artifact"))
        assert all(process.poll() is None for process in processes)
    for process in processes:
        stop(process)


FULL = """
import os, resource, sys
from stitchrl.artifacts import ArtifactError, save_directory, save_file
path = sys.argv[1]
save_directory(path + "/artifact", {"a": b"old", "b": b"old"})
save_file(path + "/single", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for save in (
    lambda: save_file(path + "/single", bytes(200_000)),
    lambda: save_directory(path + "/artifact", {"a": b"new", "b": bytes(200_000)}),
    lambda: save_directory(path + "/new", {"a": bytes(200_000)}),
):
    try:
        save()
    except ArtifactError as error:
        print(error)
"""


def test_a_full_disk_is_an_error_and_the_old_stands(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name, line in zip(("single", "artifact", "new"), said, strict=True):
        assert line == (
            f"Cannot save '{tmp_path / name}': File too large. What was there before is "
            "untouched. Free some space, or choose a directory that you may write to."
        )
    assert load_directory(tmp_path / "artifact") == {"a": b"old", "b": b"old"}
    assert (tmp_path / "single").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["artifact", "single"]


READ_ONLY = """
import os, sys
from stitchrl.artifacts import ArtifactError, load_directory, save_directory, save_file
from stitchrl.devices import versions
versions()  # Kept: afterwards, the libraries may be out of reach.
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
path = sys.argv[1]
for save in (
    lambda: save_file("single", b"new"),
    lambda: save_directory("artifact", {"a": b"new"}),
    lambda: save_file("deeper/single", b"new"),
):
    try:
        save()
    except ArtifactError as error:
        print(error)
print(load_directory("artifact"))
"""


def test_a_directory_that_cannot_be_written_to_is_an_error(tmp_path: Path):
    save_file(tmp_path / "single", b"old")
    save_directory(tmp_path / "artifact", {"a": b"old"})
    tmp_path.chmod(0o555)
    try:
        # Inside it, as parents of a temporary directory may not be open to others.
        said = subprocess.run(
            [sys.executable, "-c", READ_ONLY, tmp_path],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    finally:
        tmp_path.chmod(0o755)
    for line in said[:3]:
        assert line.startswith("Cannot save '") and ": Permission denied. What" in line
    assert said[3] == "{'a': b'old'}"
    assert (tmp_path / "single").read_bytes() == b"old"


def test_what_is_on_the_disk_when_the_call_returns(tmp_path, monkeypatch):
    """The bytes are synced before the rename, and the directory after it."""
    happened = []
    fsync, replace = os.fsync, os.replace

    def note_sync(descriptor):
        happened.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        fsync(descriptor)

    def note_replace(source, target):
        happened.append((Path(source), Path(target)))
        replace(source, target)

    monkeypatch.setattr(module.os, "fsync", note_sync)
    monkeypatch.setattr(module.os, "replace", note_replace)
    save_file(tmp_path / "a", b"1")
    temporary, renamed, parent = happened
    assert renamed == (temporary, tmp_path / "a") and parent == tmp_path
    assert temporary.parent == tmp_path


def test_appending_and_cutting(tmp_path):
    path = tmp_path / "deeper" / "log"
    append(path, b"one\n")
    append(path, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    truncate(path, 4)
    assert path.read_bytes() == b"one\n"
    with pytest.raises(ArtifactError, match="Cannot save '.*nothing': No such file"):
        truncate(tmp_path / "nothing", 4)


def test_a_directory_in_the_way_is_an_error(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ArtifactError, match="Cannot save '.*a': Is a directory"):
        save_file(tmp_path / "a", b"1")
    assert os.listdir(tmp_path) == ["a"]


def test_saves_where_the_file_system_cannot_lock(tmp_path, monkeypatch):
    def no_locks(descriptor, kind):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(module.fcntl, "flock", no_locks)
    save_file(tmp_path / "a", b"1")
    save_file(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"
