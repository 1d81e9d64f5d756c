"""Programs are forgotten when there are many, and then compiled again."""

import jax
import pytest

from stitchrl import programs


@pytest.fixture
def traced():
    """A program, and how often it was traced."""
    times = []

    @jax.jit
    def program(x):
        times.append(x)
        return x + 1

    program(1.0)
    return program, times


@pytest.mark.parametrize("limit, count", [("3", 2), ("1000000", 1)])
def test_many_programs_are_forgotten_few_are_kept(
    limit, count, traced, tmp_path, monkeypatch
):
    program, times = traced
    monkeypatch.setattr(programs, "_left", 0)
    for name, text in (("MAPS", "a map\n" * 2), ("LIMIT", limit)):
        path = tmp_path / name
        path.write_text(text)
        monkeypatch.setattr(programs, name, path)
    programs.make_room()
    assert program(1.0) == 2.0 and len(times) == count
    programs.make_room()  # What is mapped otherwise is no reason to forget once more.
    assert program(1.0) == 2.0 and len(times) == count


def test_systems_without_such_a_limit_are_left_alone(traced, tmp_path, monkeypatch):
    program, times = traced
    monkeypatch.setattr(programs, "LIMIT", tmp_path / "none")
    programs.make_room()
    assert program(1.0) == 2.0 and len(times) == 1
