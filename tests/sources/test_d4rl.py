"""HDF5 with one array per column: D4RL's and d3rlpy's readings of the same words."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from sources.coded_log import (
    CUT,
    EPISODE,
    EPISODES,
    LENGTHS,
    TRUNCATED,
    arrays,
    check,
    observation,
    propensity,
)

from stitchrl.dataset import Bounds, Choices
from stitchrl.findings import DataError
from stitchrl.sources import load
from stitchrl.sources.mapping import mapping_of
from stitchrl.validation import validate

STEP = arrays()["observation"][:, 0] % 1000


def save(path: Path, **columns) -> Path:
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[name] = column
    return path


def d4rl(*, is_discrete: bool = False) -> dict[str, np.ndarray]:
    columns = arrays(is_discrete=is_discrete)
    names = ("observations", "actions", "rewards", "terminals", "timeouts")
    return dict(zip(names, columns.values()))


def refusal(path: Path, mapping=None) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path, mapping)
    return caught.value


def test_d4rl_without_next_observations(tmp_path: Path):
    dataset = load(save(tmp_path / "log.hdf5", **d4rl()))
    check(dataset, knows_final=False, is_discrete=False)
    assert dataset.actions == Bounds(("a0", "a1"), (-1.0, -1.0), (1.0, 1.0))
    unknown = [found for found in validate(dataset) if found.code == "NEXT_UNKNOWN"]
    assert unknown[0].rows == tuple(np.flatnonzero(TRUNCATED))


def test_d4rl_with_next_observations_and_log_propensities(tmp_path: Path):
    columns = d4rl() | {"next_observations": observation(EPISODE, STEP + 1)}
    columns["infos/action_log_probs"] = np.log(propensity(EPISODE, STEP))
    dataset = load(save(tmp_path / "log.hdf5", **columns))
    assert dataset.propensity is not None
    check(dataset, knows_final=True, is_discrete=False)


def test_the_last_row_of_the_file_without_a_flag(tmp_path: Path):
    columns = d4rl()
    cut_off = {name: column[:8] for name, column in columns.items()}
    cut_off["timeouts"] = cut_off["timeouts"].copy()
    cut_off["timeouts"][7] = False
    dataset = load(save(tmp_path / "log.hdf5", **cut_off))
    np.testing.assert_array_equal(dataset.truncated, TRUNCATED[:8])
    (found,) = [note for note in dataset.notes if note.code == "LAST_ROW_TRUNCATED"]
    assert found.rows == (7,)
    assert "last row of the file" in found.message


def test_no_flag_anywhere(tmp_path: Path):
    columns = d4rl() | {"terminals": np.zeros(10), "timeouts": np.zeros(10)}
    dataset = load(save(tmp_path / "log.hdf5", **columns))
    assert "NO_END" in [found.code for found in validate(dataset)]


def test_flags_that_are_none(tmp_path: Path):
    columns = d4rl() | {"terminals": np.full(10, 0.5)}
    error = refusal(save(tmp_path / "log.hdf5", **columns))
    assert "Column 'terminals'" in str(error) and "row 0 has '0.5'" in str(error)


def test_d3rlpy_first_version(tmp_path: Path):
    columns = d4rl(is_discrete=True)
    ends = columns.pop("timeouts") | columns["terminals"]
    columns |= {"episode_terminals": ends.astype(np.float32), "discrete_action": True}
    columns["rewards"] = columns["rewards"][:, None]
    columns["actions"] = columns["actions"].astype(np.int32)
    dataset = load(save(tmp_path / "log.h5", **columns))
    check(dataset, knows_final=False)
    assert dataset.actions == Choices(("0", "1", "2"))


@pytest.mark.parametrize("is_discrete", [True, False])
def test_d3rlpy_second_version(is_discrete: bool, tmp_path: Path):
    columns: dict = {"columns": ["observations", "actions", "rewards", "terminated"]}
    columns |= {"num_episodes": EPISODES, "version": "2.1"}
    given = arrays(is_discrete=is_discrete)
    for episode in range(EPISODES):
        rows = episode == EPISODE
        columns[f"observations_{episode}"] = given["observation"][rows]
        action = given["action"][rows].reshape(LENGTHS[episode], -1)
        columns[f"actions_{episode}"] = action
        columns[f"rewards_{episode}"] = given["reward"][rows][:, None]
        columns[f"terminated_{episode}"] = not CUT[episode]
    dataset = load(save(tmp_path / "log.h5", **columns))
    check(dataset, knows_final=False, is_discrete=is_discrete)
    assert dataset.episode_id.tolist() == [0, 1, 2, 3]


def test_links_to_other_files_are_refused(tmp_path: Path):
    other = save(tmp_path / "other.hdf5", **d4rl())
    path = save(tmp_path / "log.hdf5", **d4rl())
    with h5py.File(path, "a") as file:
        del file["rewards"]
        file["rewards"] = h5py.ExternalLink(str(other), "rewards")
    error = refusal(path)
    assert error.findings[0].code == "EXTERNAL_LINK"
    assert f"'rewards' is a link to '{other}'" in str(error)


def test_data_in_other_files_is_refused(tmp_path: Path):
    path = save(
        tmp_path / "log.hdf5", **{k: v for k, v in d4rl().items() if k != "rewards"}
    )
    (tmp_path / "raw").write_bytes(np.zeros(10).tobytes())
    with h5py.File(path, "a") as file:
        external = [(str(tmp_path / "raw"), 0, 80)]
        file.create_dataset("rewards", (10,), np.float64, external=external)
    assert refusal(path).findings[0].code == "EXTERNAL_LINK"
    layout = h5py.VirtualLayout((10,), np.float64)
    layout[:] = h5py.VirtualSource(str(tmp_path / "raw"), "rewards", (10,))
    with h5py.File(path, "a") as file:
        del file["rewards"]
        file.create_virtual_dataset("rewards", layout)
    assert refusal(path).findings[0].code == "EXTERNAL_LINK"


@pytest.mark.parametrize("keep", [10, 0.5, 0.95])
def test_truncated_files(keep: float, tmp_path: Path):
    path = save(tmp_path / "log.hdf5", **d4rl())
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    error = refusal(path)
    assert error.findings[0].code == "UNREADABLE"
    assert f"'{path}' cannot be read as HDF5" in str(error)


def test_a_column_under_another_name(tmp_path: Path):
    columns = d4rl()
    columns["reward"] = columns.pop("rewards")
    error = refusal(save(tmp_path / "log.hdf5", **columns))
    assert "takes reward from 'rewards' (by preset 'd4rl')" in str(error)
    assert "Did you mean 'reward'?" in str(error)
    dataset = load(
        tmp_path / "log.hdf5", mapping_of({"preset": "d4rl", "reward": "reward"})
    )
    check(dataset, knows_final=False, is_discrete=False)


def test_what_the_preset_knows_and_the_file_lacks_is_counted(tmp_path: Path):
    columns = d4rl()
    ends = columns.pop("timeouts") | columns["terminals"]
    dataset = load(save(tmp_path / "log.hdf5", **columns | {"terminals": ends}))
    assert not dataset.truncated.any()
    note = next(note for note in dataset.notes if note.code == "NOT_IN_FILE")
    assert "'timeouts'" in note.message and "'next_observations'" in note.message


def test_our_own_names_in_hdf5(tmp_path: Path):
    columns = arrays() | {"episode": EPISODE, "step": STEP}
    check(load(save(tmp_path / "log.h5", **columns)), knows_final=False)
