"""From options and a plan file to a plan."""

import pytest

from stitchrl.algorithms import ALGORITHMS
from stitchrl.cli.planning import chunk_of, planned, policies_of
from stitchrl.spaces import Discrete

LOG = (
    "episode,step,age,sex,dose,outcome\n"
    "1,0,60,f,low,0\n1,1,61,f,high,1\n2,0,44,m,low,0\n2,1,45,m,low,1\n"
)
MAP = """
preset = "plain"
observation = ["age", "sex"]
action = "dose"
reward = "outcome"
terminated = "last_row"
categories = { sex = ["f", "m"] }
"""


@pytest.fixture
def log(tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    (tmp_path / "log.csv").write_text(LOG)
    return tmp_path / "log.csv"


def plan_of(log, *, file=None, algorithms=None, options=(), **flags):
    path = None
    if file is not None:
        path = log.parent / "plan.toml"
        path.write_text(file)
    mapping = str(log.parent / "map.toml")
    return planned(
        log, file=path, mapping=mapping, algorithms=algorithms, options=options, flags=flags
    )[0]


def test_the_mapping_is_kept_as_it_was_given(log):
    mapping = plan_of(log).mapping
    assert mapping["preset"] == "plain" and mapping["action"] == "dose"
    assert "step" not in mapping  # Which the preset adds again.


def test_the_path_of_a_log_is_absolute(log, monkeypatch):
    monkeypatch.chdir(log.parent)
    from pathlib import Path

    plan, _ = planned(Path("log.csv"), mapping="map.toml", flags={})
    assert plan.log == str(log)


def test_all_algorithms_that_fit_are_named(log):
    every = {name for name, kinds in ALGORITHMS.items() if Discrete in kinds}
    usual = {"bc", "filtered_bc", "iql", "cql", "bcq", "double_dqn"}
    assert set(plan_of(log).algorithms) == usual < every
    assert plan_of(log).tabular
    assert set(plan_of(log, algorithms="all").algorithms) == every
    none = plan_of(log, algorithms="none")
    assert none.algorithms == {} and not none.tabular
    some = plan_of(log, algorithms="iql, value_iteration")
    assert some.algorithms == {"iql": {}} and some.tabular
    assert not plan_of(log, algorithms="iql").tabular


def test_options_make_grids_of_the_right_types(log):
    options = ["iql.expectile=.7,.9", "all.hidden=64,32x32", "iql.inverse_temperature=3"]
    plan = plan_of(log, algorithms="bc,iql", options=options)
    assert plan.algorithms == {
        "bc": {"hidden": [[64], [32, 32]]},
        "iql": {
            "hidden": [[64], [32, 32]],
            "expectile": [0.7, 0.9],
            "inverse_temperature": [3.0],
        },
    }
    assert type(plan.algorithms["iql"]["inverse_temperature"][0]) is float


def test_one_algorithm_wins_over_all(log):
    options = ["bc.hidden=8", "all.hidden=16"]
    plan = plan_of(log, algorithms="bc,iql", options=options)
    assert plan.algorithms == {"bc": {"hidden": [[8]]}, "iql": {"hidden": [[16]]}}


FILE = """
updates = 100
seeds = 5
title = "A plan"

[algorithms.iql]
expectile = [0.7, 0.9]
hidden = [32, 32]
batch_size = 64
"""


def test_a_file_says_the_plan_and_options_win(log):
    plan = plan_of(log, file=FILE, seeds=2, title=None)
    assert (plan.title, plan.seeds, plan.updates, plan.chunk) == ("A plan", 2, 100, 5)
    grid = {"expectile": [0.7, 0.9], "hidden": [[32, 32]], "batch_size": [64]}
    assert plan.algorithms == {"iql": grid}
    changed = plan_of(log, file=FILE, algorithms="bc,iql", options=["iql.expectile=.8"])
    assert changed.algorithms == {"bc": {}, "iql": grid | {"expectile": [0.8]}}


@pytest.mark.parametrize(
    "file, said",
    [
        ("update = 3", "has the unknown entry 'update'. Did you mean 'updates'?"),
        ("updates = 'many'", "'updates' of the plan should be a valid integer"),
        ("updates = ", "is not valid TOML"),
        ("algorithms = ['iql']", "is a table for each algorithm: write [algorithms.iql]"),
        ("margin = -1", "'margin' of the plan should be greater than or equal to 0"),
    ],
)
def test_a_wrong_file_is_explained(log, file, said):
    with pytest.raises(ValueError) as caught:
        plan_of(log, file=file)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "updates, chunk",
    [(20_000, 1000), (8_000, 400), (400, 20), (40, 2), (3, 3), (2, 2), (7919, 7919)],
)
def test_chunks_divide_the_updates(updates, chunk):
    assert chunk_of(updates) == chunk
    assert updates % chunk == 0


def test_bundles_are_named_by_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy").mkdir()
    found = policies_of(["policy", "uniform"], True)
    assert found == (str(tmp_path / "policy"), "uniform", "column")
    assert policies_of(None, False) == ()
