"""What the zoo promises about its data sets, where no simulator is needed."""

import re
import tomllib
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from repository import ROOT

from stitchrl import sources, zoo
from stitchrl.problems import icu_sepsis
from stitchrl.rollout import Outcome
from stitchrl.tree import pytree
from stitchrl.value_iteration import TabularPolicy
from stitchrl.zoo import packages
from stitchrl.zoo.entry import ByRollout

SEPSIS = zoo.find("icu-sepsis")


def test_pins_are_those_of_the_extra():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = dict(pin.split("==") for pin in settings["optional-dependencies"]["zoo"])
    assert extra == packages.PINNED


@pytest.mark.parametrize("name", zoo.ENTRIES)
def test_every_entry_is_complete(name):
    entry = zoo.ENTRIES[name]
    assert entry.name == name and not re.search(r"d4rl", name)
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert set(entry.needs) <= packages.PINNED.keys()
    assert entry.scale.hundred > entry.scale.zero
    assert entry.scale.score(entry.scale.zero) == 0
    assert entry.scale.score(entry.scale.hundred) == pytest.approx(100)


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(ValueError, match="Did you mean .*pointmaze-medium.*zoo list"):
        zoo.find("pointmaze_medium")


def test_missing_packages_are_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(packages, "found_version", lambda package: None)
    wanting = zoo.find("pointmaze-large")
    for attempt in (wanting.make, lambda: wanting.score(None)):
        with pytest.raises(RuntimeError, match=r"mujoco 4.0.0.*'stitchrl\[zoo\]'"):
            attempt()


def test_another_log_than_promised_is_refused_naming_versions(monkeypatch):
    versions = {"mujoco": "3.3.0", "numpy": "2.4.6"}
    monkeypatch.setattr(packages, "found_version", versions.get)
    few = icu_sepsis.load().simulate(50, seed=0)
    entry = replace(SEPSIS, needs=("mujoco",), build=lambda: few)
    with pytest.raises(RuntimeError) as caught:
        entry.make()
    said = str(caught.value)
    assert "mujoco 3.3.0 (wanted 4.0.0)" in said and "Nothing was written" in said
    assert SEPSIS.sha256[:12] in said and few.content_hash()[:12] in said


def test_sepsis_is_made_as_promised_and_survives_parquet(tmp_path):
    log = SEPSIS.make()
    assert (log.size, log.episodes) == (SEPSIS.rows, 15_000)
    SEPSIS.require_alike(log)
    sources.write_table(log, tmp_path / "log.parquet")
    assert sources.load(tmp_path / "log.parquet").content_hash() == SEPSIS.sha256


@pytree
class Fixed:
    """Looks up what to do by the features of a state."""

    known: jnp.ndarray
    logits: jnp.ndarray

    def row(self, observation):
        return self.logits[abs(self.known - observation[None]).sum(axis=1).argmin()]

    def mode(self, observation):
        return self.row(observation).argmax()

    def log_prob(self, observation, action):
        return self.row(observation)[action]


def test_sepsis_scores_are_exact_for_both_ways_of_acting():
    icu = icu_sepsis.load()
    best, _ = icu.mdp.optimal(1.0)
    known = jnp.asarray(icu.features, jnp.float32)
    with np.errstate(divide="ignore"):
        as_clinicians = Fixed(known, jnp.log(jnp.asarray(icu.clinicians, jnp.float32)))
    assert SEPSIS.score(as_clinicians, act="sample").score == pytest.approx(0, abs=1e-3)
    greedy = np.eye(25)[icu.clinicians.argmax(axis=1)]
    of_mode = SEPSIS.score(as_clinicians, act="mode")
    assert of_mode.value.mean == pytest.approx(icu.mdp.value(greedy, 1.0), abs=1e-9)
    assert of_mode.standard_error == 0 and of_mode.value.steps == 0
    optimal = Fixed(known, jnp.asarray(best, jnp.float32))
    assert SEPSIS.score(optimal).score == pytest.approx(100)


class Coins:
    """One step; reward 3 or 5, half of the time each."""

    def reset(self, episodes, rng):
        self.reward = rng.choice([3.0, 5.0], size=episodes)
        return np.zeros((episodes, 1), np.float32)

    def step(self, playing, action):
        seen = np.zeros((len(playing), 1), np.float32)
        return Outcome(seen, self.reward[playing], np.ones(len(playing), bool))


@pytree
class Idle:
    action: jnp.ndarray

    def mode(self, observation):
        return self.action


def test_scores_by_rollout_come_with_their_standard_error():
    scale = zoo.Scale("coins", zero=2.0, hundred=4.0, zero_is="none", hundred_is="all")
    entry = replace(SEPSIS, truth=ByRollout(Coins, max_steps=9), scale=scale)
    found = entry.score(Idle(jnp.zeros(1)), episodes=400)
    assert found.value.episodes == found.value.steps == 400
    assert found.score == pytest.approx(50 * (found.value.mean - 2))
    assert abs(found.value.mean - 4) < 4 * found.value.standard_error
    # One coin deviates by 1 from its mean, 50 points of the scale.
    assert found.standard_error == pytest.approx(50 / 20, rel=0.02)


def test_trials_of_patients_average_what_is_exact():
    """One patient each: 0 or 1, as often as the linear solve says, with steps counted."""
    icu = icu_sepsis.load()
    by_state = TabularPolicy(icu.clinicians, np.zeros(len(icu.clinicians)))
    tried = [SEPSIS.trial(by_state, act="sample", seed=seed) for seed in range(400)]
    assert {trial.mean for trial in tried} == {0.0, 1.0}
    survived = np.mean([trial.mean for trial in tried])
    assert survived == pytest.approx(icu.mdp.value(icu.clinicians, 1.0), abs=0.07)
    assert all(trial.episodes == 1 and trial.steps >= 1 for trial in tried)
    assert SEPSIS.trial(by_state, act="sample", seed=3) == pytest.approx(
        tried[3], nan_ok=True
    )
