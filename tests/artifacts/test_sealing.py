"""Directories that grow: every file that was sealed is checked, the others are named."""

import os
import random
from pathlib import Path

import pytest

from stitchrl.artifacts import (
    ArtifactError,
    append,
    load_directory,
    read_sealed,
    save_directory,
    save_file,
    save_sealed,
    seal,
    sealed_size,
    verify,
)
from stitchrl.artifacts import sealing as module

METRICS = "members/000/metrics.jsonl"


def run_like(path: Path) -> Path:
    save_file(path / "plan.json", b'{"seeds": [1]}')
    save_file(path / METRICS, b'{"step": 1}\n')
    save_directory(path / "members" / "000" / "checkpoint" / "1", {"weights": bytes(40)})
    save_directory(path / "policy", {"header.json": b"{}"})
    seal(path)
    return path


def test_a_sealed_run_is_whole_and_reads_back(tmp_path):
    run = run_like(tmp_path / "run")
    assert verify(run) == []
    assert read_sealed(run, "plan.json") == b'{"seeds": [1]}'
    assert sealed_size(run, METRICS) == 12 and sealed_size(run, "no") == 0


def test_every_flipped_bit_in_any_file_is_refused(tmp_path):
    run = run_like(tmp_path / "run")
    draw = random.Random(1)
    places = sorted(place for place in run.rglob("*") if place.is_file())
    assert len(places) == 7  # Two sealed, two in artifacts, and three manifests.
    for place in places:
        good = place.read_bytes()
        for bit in draw.sample(range(8 * len(good)), 16):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            place.write_bytes(bad)
            with pytest.raises(ArtifactError):
                verify(run)
        place.write_bytes(good)
    assert verify(run) == []


def test_logs_may_grow_and_artifacts_come_and_go(tmp_path):
    run = run_like(tmp_path / "run")
    append(run / METRICS, b'{"step": 2}\n')
    save_directory(run / "members" / "000" / "checkpoint" / "2", {"weights": b"2"})
    save_directory(run / "policy", {"header.json": b"[]"})
    assert verify(run) == []
    assert read_sealed(run, METRICS) == b'{"step": 1}\n{"step": 2}\n'
    assert sealed_size(run, METRICS) == 12
    (run / METRICS).write_bytes(b'{"step": 1}')
    with pytest.raises(ArtifactError, match="has 11 bytes, but was saved with 12"):
        verify(run)
    (run / METRICS).write_bytes(b'{"step": 3}\n{"step": 2}\n')
    with pytest.raises(ArtifactError, match="metrics.jsonl' has the SHA-256"):
        read_sealed(run, METRICS)


def test_other_files_may_not_grow_or_vanish(tmp_path):
    run = run_like(tmp_path / "run")
    append(run / "plan.json", b"\n")
    with pytest.raises(ArtifactError, match="has 15 bytes, but was saved with 14"):
        verify(run)
    (run / "plan.json").unlink()
    with pytest.raises(ArtifactError, match="lacks the file 'plan.json'"):
        verify(run)


def test_unsealed_files_are_named_and_not_read(tmp_path):
    run = run_like(tmp_path / "run")
    save_file(run / "estimates.json", b"[]")
    assert verify(run) == ["estimates.json"]
    with pytest.raises(ArtifactError, match="estimates.json' is not listed.*Repeat the"):
        read_sealed(run, "estimates.json")


def test_saving_into_a_sealed_run(tmp_path):
    run = tmp_path / "new" / "run"
    save_sealed(run, {"plan.json": b"1", "members/000/a.json": b"a"})
    save_sealed(run, {"plan.json": b"2", "data.json": b"d"})
    assert verify(run) == []
    names = ("plan.json", "members/000/a.json", "data.json")
    assert [read_sealed(run, name) for name in names] == [b"2", b"a", b"d"]
    with pytest.raises(ArtifactError, match="cannot hold a file called '../plan.json'"):
        save_sealed(run, {"../plan.json": b"3"})


def test_saving_that_is_cut_short_leaves_the_rest_readable(tmp_path, monkeypatch):
    run = tmp_path / "run"
    save_sealed(run, {"plan.json": b"1", "report.json": b"old"})
    replace, calls = module.replace_file, []

    def stop_at_third(path, data):  # The first unseals, the second writes the report.
        calls.append(path.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        replace(path, data)

    monkeypatch.setattr(module, "replace_file", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        save_sealed(run, {"report.json": b"new"})
    assert calls == ["MANIFEST.json", "report.json", "MANIFEST.json"]
    monkeypatch.undo()
    assert verify(run) == ["report.json"]
    assert read_sealed(run, "plan.json") == b"1"
    save_sealed(run, {"report.json": b"new"})
    assert verify(run) == [] and read_sealed(run, "report.json") == b"new"


def test_sealing_overlooks_what_a_killed_writer_left(tmp_path):
    run = run_like(tmp_path / "run")
    (run / "members" / ".0123.stitchrl-tmp").write_bytes(b"half")
    (run / ".0123.stitchrl-tmp").mkdir()
    seal(run)
    assert verify(run) == []
    assert not (run / ".0123.stitchrl-tmp").exists()
    assert "checkpoint" in os.listdir(run / "members" / "000")
    assert load_directory(run / "policy") == {"header.json": b"{}"}
