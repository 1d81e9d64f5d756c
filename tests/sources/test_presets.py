"""Conventions of others: small files of each, and the real thing where it is at hand."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sources.coded_log import EPISODE, LAST, SIZE, STEP, arrays, check, columns, observation
from sources.test_tables import write_csv, write_parquet

from stitchrl.dataset import Bounds, Choices
from stitchrl.sources import guess, load, read_mapping
from stitchrl.sources.mapping import mapping_of
from stitchrl.validation import errors, validate


def test_minerva(tmp_path: Path):
    table = {"episode": [f"{episode}.0" for episode in EPISODE]}
    table |= {f"observation:{i}": observation(EPISODE, STEP)[:, i] for i in range(2)}
    table |= {"action:0": arrays()["action"], "reward": arrays()["reward"]}
    path = write_csv(tmp_path / "log.csv", table)
    dataset = load(path, mapping_of({"preset": "minerva", "action": "action:0"}))
    np.testing.assert_array_equal(dataset.terminated, LAST)
    np.testing.assert_array_equal(dataset.episode, EPISODE)
    np.testing.assert_array_equal(dataset.action, arrays()["action"])
    np.testing.assert_array_equal(dataset.observation, observation(EPISODE, STEP))
    codes = [finding.code for finding in validate(load(path, "minerva"))]
    assert "LOOKS_DISCRETE" in codes


def test_rllib(tmp_path: Path):
    given = arrays()
    table = {
        "eps_id": [f"{episode:x}" for episode in EPISODE],
        "t": STEP,
        "obs": given["observation"].tolist(),
        "new_obs": observation(EPISODE, STEP + 1).tolist(),
        "actions": given["action"],
        "rewards": given["reward"],
        "terminateds": given["terminated"],
        "truncateds": given["truncated"],
        "action_logp": np.log(0.25 + STEP / 10),
    }
    dataset = load(write_parquet(tmp_path / "log.parquet", table), "rllib")
    np.testing.assert_allclose(dataset.propensity, 0.25 + STEP / 10)
    check(replace(dataset, propensity=None), knows_final=True)


def bandit() -> dict[str, list]:
    """Ten rounds in the names of Open Bandit."""
    return {
        "": list(range(SIZE)),
        "timestamp": [f"2019-11-24 00:01:0{row}.5+00:00" for row in range(SIZE)],
        "item_id": [7, 3, 3, 12, 7, 3, 12, 12, 3, 7],
        "position": [1, 2, 3, 1, 2, 3, 1, 2, 3, 1],
        "click": [0, 1, 0, 0, 0, 0, 0, 1, 0, 0],
        "propensity_score": [(row + 1) / 20 for row in range(SIZE)],
        "user_feature_0": ["cef3", "2d03", "cef3", "81ce", *["cef3"] * 6],
        "user-item_affinity_0": [row / 8 for row in range(SIZE)],
    }


def test_open_bandit(tmp_path: Path):
    table = bandit()
    dataset = load(write_csv(tmp_path / "log.csv", table), "open_bandit")
    assert (dataset.episodes, dataset.horizon) == (SIZE, 1)
    assert dataset.terminated.all() and not dataset.truncated.any()
    assert dataset.actions == Choices(("3", "7", "12"))
    assert dataset.action.tolist() == [1, 0, 0, 2, 1, 0, 2, 2, 0, 1]
    np.testing.assert_array_equal(dataset.reward, table["click"])
    np.testing.assert_array_equal(dataset.propensity, table["propensity_score"])
    names = ("position", *(f"user_feature_0={value}" for value in ("2d03", "81ce", "cef3")))
    assert dataset.feature_names == (*names, "user-item_affinity_0")
    assert dataset.observation[3].tolist() == [1, 0, 1, 0, 3 / 8]
    assert dataset.time is not None and np.diff(dataset.time).tolist() == [1.0] * 9
    assert dataset.time[0] == 1574553660.5
    assert errors(validate(dataset)) == ()


def test_plain_names_of_amounts(tmp_path: Path):
    table = columns(with_final=True)
    names = {"stay": "episode", "bloc": "step", "x": "observation.x", "y": "observation.y"}
    names |= {"pay": "reward", "dead": "terminated", "cut": "truncated", "p": "propensity"}
    table["act"] = [None if a is None else len(a) / 8 for a in table["act"]]
    table = {names.get(n, "action.dose"): values for n, values in table.items()}
    dataset = load(write_parquet(tmp_path / "log.parquet", table))
    assert dataset.actions == Bounds(("dose",), (0.375,), (0.5,))
    np.testing.assert_array_equal(dataset.final_observation[1], [1001, -1001.5])


CAMPAIGNS = {
    # Weighted clicks of the uniform policy, effective sample size, mean weight.
    "men": (34, 0.00319, 656, 0.943),
    "women": (46, None, 2, None),
}


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_real_open_bandit_logs(campaign: str, tmp_path: Path):
    if not (root := os.environ.get("STITCHRL_OPEN_BANDIT")):
        pytest.skip("set STITCHRL_OPEN_BANDIT to the folder 'obd' of the Open Bandit data")
    path = Path(root) / "bts" / campaign / f"{campaign}.csv"
    items, clicks, effective, mean = CAMPAIGNS[campaign]
    dataset = load(path, "open_bandit")
    assert (dataset.size, dataset.episodes) == (10_000, 10_000)
    assert dataset.actions.labels == tuple(map(str, range(items)))
    assert errors(validate(dataset)) == ()
    weight = 1 / items / dataset.propensity
    size = weight.sum() ** 2 / (weight**2).sum()
    assert round(size) == effective
    if clicks is not None:
        assert (weight * dataset.reward).sum() / weight.sum() == pytest.approx(
            clicks, abs=5e-6
        )
        assert weight.mean() == pytest.approx(mean, abs=5e-4)
    proposal = tmp_path / "map.toml"
    proposal.write_text(guess(path).toml)
    assert load(path, read_mapping(proposal)).content_hash() == dataset.content_hash()
