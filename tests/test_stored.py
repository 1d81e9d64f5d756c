"""What is stored comes back bit for bit, or is refused."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from stitchrl import artifacts
from stitchrl.artifacts import ArtifactError
from stitchrl.experience import Experience
from stitchrl.normalizer import Normalizer
from stitchrl.stored import store, stored
from stitchrl.testing import small_log


def pieces(kind: str) -> Iterator[Experience]:
    """One log in three pieces of whole episodes, scaled alike."""
    log = small_log(kind)
    normalizer = Normalizer.fit(log)
    number = np.arange(log.episodes)
    for chosen in (number < 10, (number >= 10) & (number < 11), number >= 11):
        yield Experience.of(log.take_episodes(chosen), normalizer)


@pytest.mark.parametrize("kind", ["discrete", "masked", "continuous"])
def test_pieces_come_back_as_one_log(kind: str, tmp_path: Path):
    log = small_log(kind)
    whole = Experience.of(log, Normalizer.fit(log))
    store(tmp_path / "log", pieces(kind))
    found = stored(tmp_path / "log")
    assert found.spec == whole.spec and found.size == whole.size
    assert isinstance(found.transitions.reward, np.memmap)
    assert isinstance(found.episode_end, jax.Array)
    with pytest.raises(ValueError, match="read-only"):
        found.transitions.reward[0] = 1.0
    jax.tree.map(np.testing.assert_array_equal, found.transitions, whole.transitions)
    for name in ("episode_end", "episode_return"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert (np.diff(found.row) > 0).all()
    again = stored(tmp_path / "log", check=False)
    np.testing.assert_array_equal(again.row, found.row)


def test_a_flipped_bit_is_refused(tmp_path: Path):
    store(tmp_path / "log", pieces("discrete"))
    place = tmp_path / "log" / "reward"
    data = bytearray(place.read_bytes())
    data[100] ^= 1
    place.write_bytes(data)
    with pytest.raises(ArtifactError, match="reward' has the SHA-256 .* edited or damaged"):
        stored(tmp_path / "log")
    stored(tmp_path / "log", check=False)  # Said to be the caller's risk.
    place.write_bytes(data[:-1])
    with pytest.raises(ArtifactError, match=r"has 2,047 bytes, but was saved with 2,048"):
        stored(tmp_path / "log", check=False)
    place.unlink()
    with pytest.raises(ArtifactError, match="reward' is missing"):
        stored(tmp_path / "log", check=False)


def test_what_breaks_on_the_way_leaves_what_was_there(tmp_path: Path):
    store(tmp_path / "log", pieces("discrete"))

    def broken() -> Iterator[Experience]:
        yield next(pieces("continuous"))
        raise RuntimeError("The disk with the source was unplugged.")

    with pytest.raises(RuntimeError, match="unplugged"):
        store(tmp_path / "log", broken())
    assert stored(tmp_path / "log").actions == 4
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_pieces_must_fit_together(tmp_path: Path):
    discrete, continuous = next(pieces("discrete")), next(pieces("continuous"))
    with pytest.raises(ArtifactError, match="Pieces must agree"):
        store(tmp_path / "log", [discrete, continuous])
    log = small_log("discrete")
    weighed = Experience.of(log, weight=np.ones(log.size))
    with pytest.raises(ArtifactError, match="weighed or padded cannot be stored"):
        store(tmp_path / "log", [weighed])
    with pytest.raises(ArtifactError, match="no piece came"):
        store(tmp_path / "log", [])
    assert not any(tmp_path.iterdir())


def test_columns_must_fit_together(tmp_path: Path):
    a, b = np.arange(3), np.arange(3.0)
    with pytest.raises(ArtifactError, match="Column 'x' holds <i8 .* has <f8"):
        artifacts.save_columns(tmp_path / "c", [{"x": a}, {"x": b}], {})
    with pytest.raises(ArtifactError, match=r"all of one length, but one has"):
        artifacts.save_columns(tmp_path / "c", [{"x": a, "y": b[:2]}], {})
    with pytest.raises(ArtifactError, match=r"must have the columns \['x'\]"):
        artifacts.save_columns(tmp_path / "c", [{"x": a}, {"y": a}], {})
    artifacts.save_columns(tmp_path / "c", [{"x": a}, {"x": a[:1]}], {"n": 1})
    columns, notes = artifacts.open_columns(tmp_path / "c")
    assert columns["x"].tolist() == [0, 1, 2, 0] and notes == {"n": 1}
    artifacts.save_directory(tmp_path / "d", {"other": b"1"})
    with pytest.raises(ArtifactError, match="does not hold columns of numbers"):
        artifacts.open_columns(tmp_path / "d")
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "mine").write_text("1")
    with pytest.raises(ArtifactError, match="was not saved by stitchrl"):
        artifacts.save_columns(tmp_path / "e", [{"x": a}], {})
