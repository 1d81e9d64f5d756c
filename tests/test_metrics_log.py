"""A log of metrics: every damaged line is found, equal runs write equal bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stitchrl.artifacts import ArtifactError
from stitchrl.metrics_log import MetricsLog, read


def write(path: Path, steps: range) -> MetricsLog:
    log = MetricsLog(path)
    for step in steps:
        log.append({"step": step, "loss": step / 7})
    return log


def test_a_line_is_json_with_shortest_floats_and_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    values = np.array([0.1, np.inf])
    log.append({"step": np.int32(5), "loss": np.float32(0.1), "q": np.nan, "pair": values})
    line = path.read_text()
    start = (
        '{"step": 5, "loss": 0.10000000149011612, "q": null, "pair": [0.1, null], "check'
    )
    assert line.startswith(start) and line.endswith('"}\n')
    assert len(json.loads(line)["checksum"]) == 16
    expected = {"step": 5, "loss": float(np.float32(0.1)), "q": None, "pair": [0.1, None]}
    assert read(path).records == [expected]


def test_a_log_that_is_not_there_is_empty(tmp_path):
    assert read(tmp_path / "metrics.jsonl")[:2] == ([], "")


def test_every_flipped_bit_is_found_and_lines_before_it_are_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 4))
    good = path.read_bytes()
    first = good.index(b"\n") + 1
    for place in range(first, len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            path.write_bytes(bad)
            records, warning, *_ = read(path)
            line = 1 + good[:place].count(b"\n")
            assert [r["step"] for r in records] == list(range(1, line))
            assert f"is damaged in line {line}: the " in warning


def test_a_line_lost_moved_or_repeated_is_found(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 4))
    first, second, third = path.read_bytes().splitlines(keepends=True)
    for lines, good in (
        ([first, third], 1),
        ([second, third], 0),
        ([first, third, second], 1),
        ([first, second, second], 2),
    ):
        path.write_bytes(b"".join(lines))
        assert len(read(path).records) == good
        assert f"in line {good + 1}" in read(path).warning


def test_damage_in_the_sealed_part_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 4))
    good = path.read_bytes()
    sealed = good.index(b"\n") + 1
    path.write_bytes(good[:-3])
    assert len(MetricsLog(path, sealed_bytes=sealed).warning) > 0
    path.write_bytes(good[: sealed - 3])
    message = f"damaged in line 1.* But its first {sealed} bytes were sealed.*Restore it"
    with pytest.raises(ArtifactError, match=message):
        MetricsLog(path, sealed_bytes=sealed)
    path.write_bytes(b"")
    with pytest.raises(ArtifactError, match="ends after line 0. But its first"):
        read(path, sealed_bytes=sealed)


def test_every_torn_tail_is_cut_off_and_the_log_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, range(1, 4))
    good = path.read_bytes()
    two_lines = good.rindex(b"\n", 0, -1) + 1
    for size in range(two_lines + 1, len(good)):
        path.write_bytes(good[:size])
        log = MetricsLog(path)
        assert "damaged in line 3" in log.warning and path.stat().st_size == two_lines
        log.append({"step": 3, "loss": 3 / 7})
        assert path.read_bytes() == good


def test_resuming_earlier_writes_the_bytes_of_an_uninterrupted_run(tmp_path):
    whole, resumed = tmp_path / "whole.jsonl", tmp_path / "resumed.jsonl"
    write(whole, range(0, 50, 5))
    write(resumed, range(0, 35, 5))
    log = MetricsLog(resumed)
    with pytest.raises(ArtifactError, match="larger than 30.*call truncate_to"):
        log.append({"step": 25, "loss": 0.0})
    log.truncate_to(20)
    assert [r["step"] for r in read(resumed).records] == [0, 5, 10, 15, 20]
    for step in range(25, 50, 5):
        log.append({"step": step, "loss": step / 7})
    log.sync()
    assert resumed.read_bytes() == whole.read_bytes() and log.warning == ""
    log.truncate_to(-1)
    assert resumed.read_bytes() == b""


def test_says_when_the_log_does_not_reach_the_checkpoint(tmp_path):
    log = write(tmp_path / "metrics.jsonl", range(5, 15, 5))
    log.truncate_to(15)
    assert "ends before step 15" in log.warning
    fresh = MetricsLog(tmp_path / "fresh.jsonl")
    fresh.sync()
    fresh.truncate_to(0)
    assert fresh.warning == ""


def test_refuses_what_a_line_cannot_hold_and_writes_nothing(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.raises(ArtifactError, match="Metric 'extra' is of type dict"):
        log.append({"step": 1, "extra": {}})
    with pytest.raises(
        ArtifactError, match="integer 'step' larger than -1.*came with None"
    ):
        log.append({"loss": 1.0})
    assert not log.path.exists()


LOOP = """
import sys
from stitchrl.metrics_log import MetricsLog
log = MetricsLog(sys.argv[1])
for step in range(1, 1_000_000):
    log.append({"step": step, "loss": step / 7, "text": "x" * (step % 300)})
    if step == 1:
        print("started", flush=True)
"""


def test_after_a_kill_the_log_has_every_line_up_to_some_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", LOOP, path], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    steps = [r["step"] for r in read(path).records]
    assert steps == list(range(1, len(steps) + 1))
    log = MetricsLog(path)
    log.append({"step": len(steps) + 1})
    assert read(path).records[-1] == {"step": len(steps) + 1} and not read(path).warning


FULL = """
import resource, sys
from stitchrl.artifacts import ArtifactError
from stitchrl.metrics_log import MetricsLog, read
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
log = MetricsLog(sys.argv[1])
try:
    for step in range(100):
        log.append({"step": step})
except ArtifactError as error:
    print(error)
print(len(read(sys.argv[1]).records), step, repr(read(sys.argv[1]).warning))
"""


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    said = subprocess.run(
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said[0].startswith(f"Cannot save '{path}': File too large.")
    lines, step, warning = said[1].split()
    assert int(lines) == int(step) > 0 and warning == "''"
    assert os.path.getsize(path) <= 1000
