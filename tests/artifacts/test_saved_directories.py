"""Directories with a manifest: the old one or the new one, and every bit of it checked."""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from stitchrl.artifacts import (
    ArtifactError,
    load_directory,
    remove_directory,
    save_directory,
    standing,
)
from stitchrl.artifacts import directories as module
from stitchrl.artifacts.files import previous_of, temporary_in

FILES = {"weights.bin": bytes(range(256)), "parts/header.json": b"{}\n", "empty": b""}


def write_manifest(path: Path, **changed) -> None:
    """A manifest that agrees with its own digest, by the rule in words: see below."""
    content = json.loads((path / "MANIFEST.json").read_text()) | changed
    del content["digest"]
    # The digest is of the indented JSON with sorted keys, without the digest.
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    content["digest"] = hashlib.sha256(text.encode()).hexdigest()
    rendered = json.dumps(content, indent=1, sort_keys=True) + "\n"
    (path / "MANIFEST.json").write_text(rendered)


def test_comes_back_as_it_was_and_names_what_made_it(tmp_path):
    path = tmp_path / "made" / "artifact"
    save_directory(path, FILES)
    assert load_directory(path) == FILES
    manifest = json.loads((path / "MANIFEST.json").read_text())
    assert manifest["format"] == 1
    assert set(manifest["versions"]) >= {"python", "stitchrl", "jax", "numpy"}
    assert manifest["files"]["empty"] == {
        "size": 0,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    save_directory(path, {"other": b"1"})
    assert load_directory(path) == {"other": b"1"}
    assert os.listdir(tmp_path / "made") == ["artifact"]


def test_equal_files_make_equal_directories(tmp_path):
    save_directory(tmp_path / "a", FILES)
    save_directory(tmp_path / "b", dict(reversed(FILES.items())))
    a, b = (tmp_path / name / "MANIFEST.json" for name in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_every_flipped_bit_is_refused(tmp_path):
    path = tmp_path / "artifact"
    save_directory(path, FILES)
    draw = random.Random(0)
    places = [p for p in path.rglob("*") if p.is_file() and p.stat().st_size]
    assert len(places) == 3  # Two with bytes in them, and the manifest.
    for place in places:
        good = place.read_bytes()
        bits = range(8 * len(good))
        for bit in bits if place.name == "header.json" else draw.sample(bits, 150):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            place.write_bytes(bad)
            with pytest.raises(ArtifactError):
                load_directory(path)
        place.write_bytes(good)
    assert load_directory(path) == FILES


def test_every_flipped_bit_of_a_manifest_is_refused(tmp_path):
    path = tmp_path / "artifact"
    save_directory(path, {"x": b"y"})
    place = path / "MANIFEST.json"
    good = place.read_bytes()
    for index in range(len(good)):
        bad = bytearray(good)
        bad[index] ^= 1 << index % 8
        place.write_bytes(bad)
        with pytest.raises(ArtifactError):
            load_directory(path)


def test_a_manifest_with_other_spacing_is_refused(tmp_path):
    save_directory(tmp_path / "artifact", FILES)
    place = tmp_path / "artifact" / "MANIFEST.json"
    good = place.read_text()
    for text in (good + "\n", good.replace("\n", "\r\n"), good.replace(": ", ":")):
        place.write_text(text, newline="")
        with pytest.raises(ArtifactError, match="does not agree with its own digest"):
            load_directory(tmp_path / "artifact")


def refused(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_directory(path)
    return str(caught.value)


def test_errors_name_the_file_what_was_expected_and_the_way_out(tmp_path):
    path = tmp_path / "artifact"
    weights = path / "weights.bin"

    def fresh() -> None:
        shutil.rmtree(path, ignore_errors=True)
        save_directory(path, FILES)

    fresh()
    weights.unlink()
    assert "lacks the file 'weights.bin', which its MANIFEST.json lists" in refused(path)
    fresh()
    (path / "parts" / "note.txt").write_text("hello")
    assert "does not list: ['parts/note.txt']" in refused(path)
    fresh()
    weights.write_bytes(b"short")
    assert f"'{weights}' has 5 bytes, but was saved with 256" in refused(path)
    fresh()
    weights.write_bytes(bytes(256))
    # SHA-256 of the bytes 0 to 255, and of 256 zeros, as other tools compute them.
    expected = "has the SHA-256 5341e6b26469…, but was saved with 40aff2e9d2d8…: it was"
    assert expected in refused(path)
    fresh()
    (path / "MANIFEST.json").write_bytes(b'{"format": 1,')
    assert "MANIFEST.json' is not JSON" in refused(path)
    fresh()
    (path / "MANIFEST.json").unlink()
    assert "has no MANIFEST.json: it was not saved by stitchrl" in refused(path)
    fresh()
    write_manifest(path, format=2, versions={"stitchrl": "9.0"})
    assert "has format 2; this version of stitchrl reads format 1" in refused(path)
    assert "{'stitchrl': '9.0'}; install that" in refused(path)
    fresh()
    write_manifest(path, files=["weights.bin"])
    assert "is not a manifest of ours" in refused(path)
    assert "There is no directory" in refused(tmp_path / "nowhere")
    for text in (b"[" * 100_000, b"[1, 2]", b"", b'{"digest": NaN}', b"\xff"):
        (path / "MANIFEST.json").write_bytes(text)
        assert "MANIFEST.json'" in refused(path)


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/../../x", "a\\b", "", "a//b", "./a", "\0"]
)
def test_names_that_lead_out_are_refused_both_ways(tmp_path, name):
    path = tmp_path / "artifact"
    with pytest.raises(ArtifactError, match="cannot hold a file called"):
        save_directory(path, {name: b"1"})
    save_directory(path, {"a": b"1"})
    (tmp_path / "x").write_bytes(b"1")
    entry = json.loads((path / "MANIFEST.json").read_text())["files"]["a"]
    write_manifest(path, files={name: entry})
    assert "cannot hold a file called" in refused(path)


def test_links_and_pipes_are_refused(tmp_path):
    path = tmp_path / "artifact"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"1")
    for make in (
        lambda place: place.symlink_to(outside / "a"),
        lambda place: place.symlink_to(outside),
        lambda place: place.symlink_to("nowhere"),
        os.mkfifo,
    ):
        save_directory(path, {"a": b"1"})
        (path / "a").unlink()
        make(path / "a")
        assert f"'{path / 'a'}' is a link, a pipe or a device" in refused(path)


def test_what_is_not_ours_is_not_replaced(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    save_directory(home, {"a": b"1"})  # An empty directory may be taken.
    shutil.rmtree(home)
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    for act in (lambda: save_directory(home, {"a": b"1"}), lambda: remove_directory(home)):
        with pytest.raises(ArtifactError, match="was not saved by stitchrl.*not replaced"):
            act()
    with pytest.raises(ArtifactError, match="was not saved by stitchrl"):
        save_directory(home / "letter.txt", {"a": b"1"})
    assert os.listdir(home) == ["letter.txt"] and os.listdir(tmp_path) == ["home"]


def test_between_the_two_renames_readers_find_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "artifact"
    save_directory(path, {"a": b"old"})
    seen = []
    rename = os.rename

    def look_before(source, target):
        seen.append((load_directory(path), standing(tmp_path)))
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", look_before)
    save_directory(path, {"a": b"new"})
    assert seen == [({"a": b"old"}, ["artifact"])] * 2
    assert load_directory(path) == {"a": b"new"}


def test_a_swap_that_fails_brings_the_old_one_back(tmp_path, monkeypatch):
    path = tmp_path / "artifact"
    save_directory(path, {"a": b"old"})
    rename, calls = os.rename, []

    def fail_second(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", fail_second)
    with pytest.raises(ArtifactError, match="Cannot save '.*artifact': Permission denied"):
        save_directory(path, {"a": b"new"})
    monkeypatch.undo()
    assert load_directory(path) == {"a": b"old"} and os.listdir(tmp_path) == ["artifact"]


def test_the_next_save_tidies_up_after_a_kill(tmp_path):
    path = tmp_path / "artifact"
    save_directory(path, {"a": b"old"})
    # Killed between the renames, with the new one complete under its temporary name.
    os.rename(path, previous_of(path))
    (temporary_in(tmp_path)).mkdir()
    temporary_in(tmp_path).write_bytes(b"half")
    assert load_directory(path) == {"a": b"old"}
    save_directory(tmp_path / "other", {"b": b"1"})
    assert sorted(os.listdir(tmp_path)) == ["artifact", "other"]
    # Killed after the second: the new one stands, the old one is still there.
    shutil.copytree(path, previous_of(path))
    save_directory(path, {"a": b"new"})
    assert load_directory(path) == {"a": b"new"}
    assert sorted(os.listdir(tmp_path)) == ["artifact", "other"]


def test_removing(tmp_path):
    save_directory(tmp_path / "artifact", FILES)
    remove_directory(tmp_path / "artifact")
    remove_directory(tmp_path / "artifact")
    assert os.listdir(tmp_path) == [] and standing(tmp_path) == []
    assert standing(tmp_path / "nowhere") == []
