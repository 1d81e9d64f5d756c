"""Published settings: every one of ours fits a class, and a plan takes what it is told."""

import pytest

from stitchrl.algorithms import ALGORITHMS
from stitchrl.grids import typed_grid
from stitchrl.plan import Plan, members
from stitchrl.presets import chosen, families, presets_of
from stitchrl.rewards import parsed
from stitchrl.spaces import Continuous, Discrete, Spec

CONTINUOUS, DISCRETE = Spec(3, Continuous(2)), Spec(3, Discrete(4))
EVERY = [
    pytest.param(name, family, id=f"{name} {family}")
    for name in ALGORITHMS
    for family in presets_of(name)
]


@pytest.mark.parametrize("name, family", EVERY)
def test_every_preset_fits_a_class_and_names_its_source(name: str, family: str):
    preset = presets_of(name)[family]
    assert preset.source and parsed(preset.reward)
    grid = {key: [value] for key, value in preset.hyperparameters.items()}
    errors = []
    for cls in ALGORITHMS[name].values():
        try:
            typed_grid(name, grid, cls)
        except ValueError as error:
            errors.append(error)
    assert len(errors) < len(ALGORITHMS[name].values()), errors


def test_there_are_presets_of_the_known_families():
    assert {"locomotion", "antmaze", "maze2d", "adroit", "kitchen"} <= set(families())
    assert presets_of("bc") == {}


def plan(**changes) -> Plan:
    return Plan(**({"log": "log.parquet", "seeds": 1} | changes))


def test_a_plan_takes_hyper_parameters_rewards_and_scaling():
    resolved = plan(algorithms={"iql": {}}, preset="antmaze").resolved(CONTINUOUS)
    assert (resolved.reward, resolved.normalize) == ("shift=-1", False)
    (member,) = members(resolved, CONTINUOUS)
    assert member.algorithm.expectile == 0.9
    assert member.algorithm.inverse_temperature == 10.0
    assert resolved.resolved(CONTINUOUS) == resolved  # As a resumed run does.


def test_what_is_asked_for_wins():
    grids = {"iql": {"expectile": [0.8, 0.85]}, "bc": {}}
    asked = plan(algorithms=grids, preset="antmaze", reward="raw", normalize=True)
    resolved = asked.resolved(CONTINUOUS)
    assert (resolved.reward, resolved.normalize) == ("raw", True)
    found = [m.algorithm for m in members(resolved, CONTINUOUS) if m.name == "iql"]
    assert [one.expectile for one in found] == [0.8, 0.85]
    assert {one.inverse_temperature for one in found} == {10.0}


def test_a_preset_for_other_actions_is_named():
    said = "Preset 'antmaze' of 'cql' is for other actions than this log's: it sets"
    with pytest.raises(ValueError, match=said):
        plan(algorithms={"cql": {}}, preset="antmaze").resolved(DISCRETE)


def test_without_a_preset_rewards_are_raw_and_observations_scaled():
    resolved = plan(algorithms={"iql": {}}).resolved(CONTINUOUS)
    assert (resolved.reward, resolved.normalize) == ("raw", True)


def test_presets_that_want_other_rewards_do_not_share_a_run():
    both = plan(algorithms={"iql": {}, "cql": {}}, preset="antmaze")
    with pytest.raises(ValueError, match=r"'reward' differ: iql shift=-1, cql scale=10"):
        both.resolved(CONTINUOUS)
    assert both.model_copy(update={"reward": "raw"}).resolved(CONTINUOUS).reward == "raw"


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no preset 'antmase'. Did you mean 'antmaze'"):
        plan(algorithms={"iql": {}}, preset="antmase").resolved(CONTINUOUS)
    with pytest.raises(ValueError, match="None of bc has a preset 'antmaze'"):
        chosen("antmaze", ["bc"])
