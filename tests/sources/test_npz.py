"""NumPy archives: our own names, and OGBench's three ways to write a trajectory."""

from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import (
    CUT,
    EPISODE,
    EPISODES,
    LABELS,
    LENGTHS,
    TERMINATED,
    TRUNCATED,
    amount,
    arrays,
    check,
    observation,
)

from stitchrl.dataset import Bounds, Choices
from stitchrl.findings import DataError
from stitchrl.sources import load
from stitchrl.sources.mapping import mapping_of


def save(path: Path, **columns) -> Path:
    np.savez(path, **columns)
    return path


def refusal(path: Path, mapping=None) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path, mapping)
    return caught.value


def test_our_own_names(tmp_path: Path):
    columns = arrays() | {"episode": EPISODE}
    dataset = load(save(tmp_path / "log.npz", **columns))
    check(dataset, knows_final=False)
    assert dataset.feature_names == ("x0", "x1")
    assert dataset.actions == Choices(("0", "1", "2"))


def test_text_labels_and_next_observations(tmp_path: Path):
    columns = arrays()
    columns["action"] = np.array(LABELS)[columns["action"]]
    steps = arrays()["observation"][:, 0] % 1000
    columns["next_observation"] = observation(EPISODE, steps + 1)
    dataset = load(save(tmp_path / "log.npz", **columns))
    check(dataset, knows_final=True)
    assert dataset.actions == Choices(LABELS)
    assert [note.code for note in dataset.notes] == ["ACTIONS_FROM_LOG"]


def test_continuous_actions(tmp_path: Path):
    columns = arrays(is_discrete=False)
    entries = {"preset": "plain", "action_low": -1, "action_high": [1.0, 2.0]}
    dataset = load(save(tmp_path / "log.npz", **columns), mapping_of(entries))
    check(dataset, knows_final=False, is_discrete=False)
    assert dataset.actions == Bounds(("a0", "a1"), (-1.0, -1.0), (1.0, 2.0))


def ogbench(rows: np.ndarray, episode: np.ndarray, step: np.ndarray) -> dict:
    """Columns in OGBench's names for these rows; `rows` says which are decisions."""
    return {
        "observations": observation(episode, step),
        "actions": np.where(rows[:, None], amount(episode, step), 9.0),
        "rewards": np.where(rows, episode + step / 100, 9.0),
    }


def with_rows_after_the_end() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Episode, step and whether it is a decision: one row more for each episode."""
    episode = np.repeat(np.arange(EPISODES), LENGTHS + 1)
    step = np.concatenate([np.arange(length + 1) for length in LENGTHS])
    return episode, step, step < LENGTHS[episode]


def test_ogbench_with_next_observations(tmp_path: Path):
    is_last = TERMINATED | TRUNCATED
    step = observation(EPISODE, 0)[:, 0] * 0 + arrays()["observation"][:, 0] % 1000
    columns = ogbench(np.ones(len(EPISODE), bool), EPISODE, step)
    columns |= {"terminals": is_last.astype(np.float32), "masks": 1.0 - TERMINATED}
    columns["next_observations"] = observation(EPISODE, step + 1)
    dataset = load(save(tmp_path / "regular.npz", **columns))
    check(dataset, knows_final=True, is_discrete=False)
    assert dataset.actions == Bounds(("a0", "a1"), (-1.0, -1.0), (1.0, 1.0))


def test_ogbench_compact(tmp_path: Path):
    episode, step, is_decision = with_rows_after_the_end()
    columns = ogbench(is_decision, episode, step)
    ends = step >= LENGTHS[episode] - 1  # The last decision, and the row after it.
    columns |= {"terminals": ends.astype(np.float32), "valids": is_decision.astype(float)}
    columns["masks"] = 1.0 - ((step == LENGTHS[episode] - 1) & ~CUT[episode])
    dataset = load(save(tmp_path / "compact.npz", **columns))
    check(dataset, knows_final=True, is_discrete=False)


def test_ogbench_as_published(tmp_path: Path):
    episode, step, is_decision = with_rows_after_the_end()
    columns = ogbench(is_decision, episode, step)
    columns["terminals"] = (~is_decision).astype(np.float32)
    columns["masks"] = 1.0 - ((step == LENGTHS[episode] - 1) & ~CUT[episode])
    mapping = mapping_of({"preset": "ogbench", "final_rows": "terminals"})
    dataset = load(save(tmp_path / "published.npz", **columns), mapping)
    check(dataset, knows_final=True, is_discrete=False)


def test_terminals_of_ogbench_are_never_taken_for_the_end(tmp_path: Path):
    columns = ogbench(np.ones(10, bool), EPISODE, arrays()["observation"][:, 0] % 1000)
    columns |= {"terminals": TERMINATED | TRUNCATED, "masks": np.ones(10)}
    dataset = load(save(tmp_path / "log.npz", **columns))
    assert not dataset.terminated.any()
    np.testing.assert_array_equal(dataset.truncated, TERMINATED | TRUNCATED)
    assert np.isnan(dataset.final_observation).all()


def test_next_observations_that_disagree(tmp_path: Path):
    columns = arrays()
    step = columns["observation"][:, 0] % 1000
    columns["next_observation"] = observation(EPISODE, step + 1)
    columns["next_observation"][5] += 7
    dataset = load(save(tmp_path / "log.npz", **columns))
    check(dataset, knows_final=True)
    found = [note for note in dataset.notes if note.code == "NEXT_DISAGREES"]
    assert found[0].rows == (5,) and "run together" in found[0].remedy


def test_pickled_objects_are_refused(tmp_path: Path):
    columns = arrays() | {"reward": np.array([{}] * 10, dtype=object)}
    error = refusal(save(tmp_path / "log.npz", **columns))
    assert error.findings[0].code == "UNREADABLE"
    assert "Object arrays" in str(error)


@pytest.mark.parametrize("keep", [5, 0.3, 0.7, 0.99])
def test_truncated_archives(keep: float, tmp_path: Path):
    path = save(tmp_path / "log.npz", **arrays())
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    error = refusal(path)
    assert error.findings[0].code == "UNREADABLE"
    assert f"'{path}' cannot be read as .npz" in str(error)


def test_flipped_bit(tmp_path: Path):
    path = save(tmp_path / "log.npz", **arrays())
    content = bytearray(path.read_bytes())
    content[content.index(np.array([1000.0, -1000.5]).tobytes())] ^= 1
    path.write_bytes(content)
    assert refusal(path).findings[0].code == "UNREADABLE"


def test_lengths_that_disagree(tmp_path: Path):
    columns = arrays()
    columns["reward"] = columns["reward"][:-1]
    error = refusal(save(tmp_path / "log.npz", **columns))
    assert error.findings[0].code == "LENGTHS"
    assert "'reward' has 9" in str(error) and "'observation' has 10" in str(error)


def test_images_are_not_read_yet(tmp_path: Path):
    columns = arrays() | {"observation": np.zeros((10, 4, 4))}
    error = refusal(save(tmp_path / "log.npz", **columns))
    assert "has shape (10, 4, 4): images and stacks are not read" in str(error)


def test_several_choices_at_once(tmp_path: Path):
    columns = arrays() | {"action": np.zeros((10, 3), np.int64)}
    error = refusal(save(tmp_path / "log.npz", **columns))
    assert "3 whole numbers per row" in str(error)
    assert 'action = ["action"]' in str(error) and 'actions = ["action"]' in str(error)


def test_foreign_names_without_a_preset(tmp_path: Path):
    columns = {f"{name}s": column for name, column in arrays().items()}
    error = refusal(save(tmp_path / "log.npz", **columns))
    assert [finding.code for finding in error.findings] == ["COLUMN_MISSING"] * 2
    assert "takes reward from 'reward' (by preset 'plain')" in str(error)
    assert "takes action from 'action' (by preset 'plain')" in str(error)
    assert "Did you mean 'actions'?" in str(error)
    assert "stitchrl map LOG --guess" in str(error)


def test_next_observations_of_another_width(tmp_path: Path):
    columns = arrays() | {"next_observation": np.zeros((10, 3))}
    error = refusal(save(tmp_path / "log.npz", **columns))
    assert "have 3 features, but observations have 2" in str(error)
