"""What a plan resolves to: members, grids, and errors that name the way out."""

from dataclasses import fields

import pytest
from pydantic import ValidationError

from stitchrl.algorithms import ALGORITHMS, USUAL
from stitchrl.grids import typed_grid
from stitchrl.limits import LIMITS
from stitchrl.plan import MemberPlan, Plan, members
from stitchrl.spaces import Continuous, Discrete, Spec

DISCRETE, CONTINUOUS = Spec(3, Discrete(4)), Spec(3, Continuous(2))


def plan(**changes) -> Plan:
    return Plan(log="log.parquet", **changes)


def resolved(spec: Spec, **changes) -> list[MemberPlan]:
    return members(plan(**changes).resolved(spec), spec)


@pytest.mark.parametrize("spec", [DISCRETE, CONTINUOUS])
def test_without_a_wish_the_usual_algorithms_are_named(spec):
    usual = USUAL[type(spec.action)]
    assert all(type(spec.action) in ALGORITHMS[name] for name in usual)
    assert plan().resolved(spec).algorithms == {name: {} for name in usual}


def test_no_algorithms_is_a_wish_too():
    assert plan(algorithms={}).resolved(DISCRETE).algorithms == {}


def test_members_are_every_combination_and_seed_in_a_fixed_order():
    grid = {"iql": {"expectile": [0.7, 0.9], "inverse_temperature": [2.0]}, "bc": {}}
    found = resolved(DISCRETE, algorithms=grid, seeds=2, seed=5)
    assert [(one.number, one.label, one.seed) for one in found] == [
        (0, "iql (expectile 0.7)", 5),
        (1, "iql (expectile 0.7)", 6),
        (2, "iql (expectile 0.9)", 5),
        (3, "iql (expectile 0.9)", 6),
        (4, "bc", 5),
        (5, "bc", 6),
    ]
    assert [one.algorithm.expectile for one in found[:4]] == [0.7, 0.7, 0.9, 0.9]
    assert all(one.algorithm.inverse_temperature == 2.0 for one in found[:4])


def test_schedules_last_as_long_as_the_run_unless_said_otherwise():
    short = resolved(CONTINUOUS, algorithms={"iql": {}}, updates=4_000)
    assert short[0].algorithm.total_updates == 4_000
    grid = {"iql": {"total_updates": [9_000]}}
    said = resolved(CONTINUOUS, algorithms=grid, updates=4_000)
    assert said[0].algorithm.total_updates == 9_000


def test_cql_leaves_cloning_after_the_same_part_of_a_shorter_run():
    (short,) = resolved(CONTINUOUS, algorithms={"cql": {}}, seeds=1, updates=30_000)
    assert short.algorithm.cloning_updates == pytest.approx(400)
    (long,) = resolved(CONTINUOUS, algorithms={"cql": {}}, seeds=1, updates=6_000_000)
    assert long.algorithm.cloning_updates == 40_000
    grid = {"cql": {"cloning_updates": [7]}}
    assert resolved(CONTINUOUS, algorithms=grid, seeds=1)[0].algorithm.cloning_updates == 7


def test_whole_numbers_become_floats_where_a_float_is_meant():
    (one,) = resolved(DISCRETE, algorithms={"iql": {"max_weight": [1]}}, seeds=1)
    assert type(one.algorithm.max_weight) is float


def test_sizes_of_layers_become_static_tuples():
    found = resolved(DISCRETE, algorithms={"iql": {"hidden": [[32, 16], 64]}}, seeds=1)
    assert [one.algorithm.hidden for one in found] == [(32, 16), (64,)]


def test_words_become_static_choices():
    grid = {"brac": {"divergence": ["forward_kl", "reverse_kl"]}}
    found = resolved(DISCRETE, algorithms=grid, seeds=1)
    assert [one.algorithm.divergence for one in found] == ["forward_kl", "reverse_kl"]
    again = Plan.model_validate_json(plan(algorithms=grid).model_dump_json())
    assert again.algorithms == grid


def test_a_policy_can_be_drawn_in_two_ways():
    found = resolved(CONTINUOUS, algorithms={"iql": {"extraction": ["awr", "ac_bc"]}})
    assert [one.algorithm.extraction for one in found] == ["awr"] * 2 + ["ac_bc"] * 2
    grids = {"iql": {"extraction": ["ac_bc"]}}
    again = Plan.model_validate_json(plan(algorithms=grids).model_dump_json())
    assert again.algorithms == grids


def test_words_tell_members_apart():
    found = resolved(DISCRETE, algorithms={"crr": {"weights": ["exp", "binary"]}}, seeds=1)
    assert [one.algorithm.weights for one in found] == ["exp", "binary"]
    assert [one.label for one in found] == ["crr (weights exp)", "crr (weights binary)"]


def test_every_default_is_possible_and_every_limit_is_of_some_field():
    every = [cls for kinds in ALGORITHMS.values() for cls in kinds.values()]
    names = {field.name for cls in every for field in fields(cls)}
    assert set(LIMITS) <= names
    for cls in every:
        given = {field.name: field.default for field in fields(cls)}
        sizes = {key: list(value) for key, value in given.items() if key.endswith("hidden")}
        grid = {key: [value] for key, value in (given | sizes).items()}
        assert typed_grid(cls.__name__, grid, cls) == grid


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"updates": 2_500, "chunk": 1_000},
            "2,500 updates must be a multiple of its chunk of 1,000",
        ),
        ({"algorithms": {"iqll": {}}}, "Did you mean 'iql'"),
        (
            {"algorithms": {"iql": {"expectil": [0.7]}}},
            "'iql' has no hyper-parameter 'expectil'. Did you mean 'expectile'?",
        ),
        (
            {"algorithms": {"iql": {"expectile": [True]}}},
            "'iql.expectile' is a number, but got True",
        ),
        ({"algorithms": {"td3": {}}}, "continuous"),
        (
            {"algorithms": {"iql": {"expectile": [0.7, 2]}}},
            "'iql.expectile' must be above 0 and below 1, but got 2.",
        ),
        (
            {"algorithms": {"iql": {"discount": [1.5]}}},
            "'iql.discount' must be above 0 and at most 1, but got 1.5.",
        ),
        (
            {"algorithms": {"bc": {"learning_rate": [-1.0]}}},
            "'bc.learning_rate' must be above 0, but got -1.0.",
        ),
        (
            {"algorithms": {"bc": {"batch_size": [0]}}},
            "'bc.batch_size' must be 1 or more, but got 0.",
        ),
        (
            {"algorithms": {"bc": {"hidden": [[64, 0]]}}},
            "'bc.hidden' must be 1 or more, but got [64, 0].",
        ),
        (
            {"algorithms": {"iql": {"inverse_temperature": [float("inf")]}}},
            "'iql.inverse_temperature' must be 0 or more, but got inf.",
        ),
        (
            {"algorithms": {"iql": {"expectile": ["high"]}}},
            "'iql.expectile' is a number, but got 'high'.",
        ),
        (
            {"algorithms": {"brac": {"form": ["dual"]}}},
            "'brac.form' must be 'penalty' or 'constraint', but got 'dual'.",
        ),
        (
            {"algorithms": {"iql": {"extraction": ["awr", "acbc"]}}},
            "'iql.extraction' must be 'awr' or 'ac_bc', but got 'acbc'.",
        ),
        (
            {"algorithms": {"iql": {"extraction": [1]}}},
            "'iql.extraction' must be 'awr' or 'ac_bc', but got 1.",
        ),
        (
            {"algorithms": {"crr": {"baseline": ["median"]}}},
            "'crr.baseline' must be 'mean' or 'max', but got 'median'.",
        ),
        (
            {"algorithms": {"crr": {"action_samples": ["many"]}}},
            "'crr.action_samples' must be <class 'int'>, but got 'many'.",
        ),
    ],
)
def test_what_cannot_be_planned_is_refused_with_the_way_out(changes, said):
    with pytest.raises(ValueError) as caught:
        plan(**changes).resolved(DISCRETE)
    assert said in str(caught.value)


def test_a_field_that_no_plan_has_is_refused():
    with pytest.raises(ValidationError, match="expectile"):
        plan(expectile=0.7)
