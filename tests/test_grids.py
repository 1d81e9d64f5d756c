"""Grids: every point of them, points drawn of them, and how they are written."""

import numpy as np
import pytest

from stitchrl.algorithms import find
from stitchrl.grids import Range, parse_option, points, typed_grid
from stitchrl.plan import Plan, members
from stitchrl.population import by_program
from stitchrl.spaces import Discrete, Spec

SPEC = Spec(3, Discrete(4))
IQL = {"expectile": [Range(low=0.6, high=0.95)]}


def resolved(grids, **changes):
    plan = Plan(log="log.parquet", algorithms=grids, **changes)
    return members(plan.resolved(SPEC), SPEC)


def test_the_last_field_of_a_grid_varies_fastest():
    found = points("it", {"a": [1, 2], "b": [3, 4]}, draws=None, seed=0)
    assert [tuple(point.values()) for point in found] == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert points("it", {}, draws=None, seed=0) == [{}]


def test_draws_of_a_range_are_spread_evenly():
    grid = {"x": [Range(low=2.0, high=4.0)], "y": [Range(low=0.01, high=100.0, log=True)]}
    found = points("it", grid, draws=4_000, seed=0)
    x, y = np.array([[point["x"], point["y"]] for point in found]).T
    assert len(found) == 4_000 and x.min() >= 2 and x.max() <= 4
    shares = np.histogram(x, bins=4, range=(2, 4))[0] / 4_000
    np.testing.assert_allclose(shares, 0.25, atol=0.03)
    decades = np.histogram(np.log10(y), bins=4, range=(-2, 2))[0] / 4_000
    np.testing.assert_allclose(decades, 0.25, atol=0.03)
    assert all(value == round(value, 3) for value in x)


def test_draws_of_a_narrow_range_are_not_rounded_away():
    grid = {"discount": [Range(low=0.9991, high=0.9999)]}
    found = [point["discount"] for point in points("it", grid, draws=16, seed=0)]
    assert len(set(found)) == 16 and np.std(found) > 1e-4
    assert all(len(str(value)) <= 9 for value in found)


def test_draws_are_decided_by_name_and_seed():
    found = [
        points(n, IQL, draws=3, seed=s) for n, s in (("a", 0), ("a", 0), ("a", 1), ("b", 0))
    ]
    assert found[0] == found[1]
    assert found[0] != found[2] and found[0] != found[3]
    assert points("a", IQL, draws=5, seed=0)[:3] == found[0]  # More are added.


def test_points_of_lists_are_drawn_once_each():
    grid = {"a": [1, 2, 3], "b": [4, 5]}
    found = points("it", grid, draws=4, seed=0)
    assert len({tuple(point.values()) for point in found}) == 4
    assert len(points("it", grid, draws=6, seed=0)) == 6
    assert points("it", grid, draws=9, seed=0) == points("it", grid, draws=None, seed=0)


def test_members_of_a_random_search_share_a_program_and_are_told_apart():
    found = resolved({"iql": IQL | {"hidden": [[8, 8]]}}, draws=4, seeds=2)
    assert len(found) == 8 and len({one.label for one in found}) == 4
    assert all(0.6 <= one.algorithm.expectile <= 0.95 for one in found)
    assert all(one.varied == ("expectile",) for one in found)
    assert by_program([one.algorithm for one in found]) == [[*range(8)]]


def test_a_range_survives_being_saved():
    plan = Plan(log="log.parquet", algorithms={"iql": IQL}, draws=2)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    written = {"expectile": [{"low": 0.6, "high": 0.95}]}
    assert Plan(log="log.parquet", algorithms={"iql": written}, draws=2) == plan


@pytest.mark.parametrize(
    "grid, said",
    [
        ({"expectile": [Range(low=0.6, high=0.95)]}, "--draws 16"),
        ({"batch_size": [Range(low=8, high=64)]}, "List the values to try"),
        ({"expectile": [Range(low=0.5, high=1.5)]}, "above 0 and below 1, but got 1.5"),
    ],
)
def test_ranges_that_cannot_be_are_refused(grid, said):
    draws = None if "--draws" in said else 4
    with pytest.raises(ValueError, match=said):
        resolved({"iql": grid}, draws=draws)


@pytest.mark.parametrize("low, high, log", [(2.0, 1.0, False), (0.0, 1.0, True)])
def test_ranges_rise_and_factors_are_positive(low, high, log):
    with pytest.raises(ValueError, match="a range"):
        Range(low=low, high=high, log=log)


@pytest.mark.parametrize(
    "text, said",
    [
        ("iql.expectile=.9...6", "a range must rise, but goes from 0.9 to 0.6"),
        ("iql.expectile=.6..inf", "Input should be a finite number"),
        ("iql.expectile=0..1:log", "must begin above 0, not at 0.0"),
    ],
)
def test_an_option_says_what_is_wrong_with_its_range(text: str, said: str):
    with pytest.raises(ValueError) as caught:
        parse_option(text)
    assert said in str(caught.value) and f"option '{text}'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_typed_grid_keeps_ranges():
    grid = {"expectile": [Range(low=0.6, high=0.95), 1 / 2]}
    assert typed_grid("iql", grid, find("iql", SPEC.action)) == grid


@pytest.mark.parametrize(
    "text, read",
    [
        ("iql.expectile=.7,.9", ("iql", "expectile", [0.7, 0.9])),
        ("iql.hidden=64x64", ("iql", "hidden", [[64, 64]])),
        ("cql.batch_size=256", ("cql", "batch_size", [256])),
        ("iql.extraction=awr, ac_bc", ("iql", "extraction", ["awr", "ac_bc"])),
        ("cql.form=entropy,uniform", ("cql", "form", ["entropy", "uniform"])),
        ("cql.lagrange=TRUE", ("cql", "lagrange", [True])),
        ("brac.form=constraint", ("brac", "form", ["constraint"])),
        ("crr.weights=exp,binary", ("crr", "weights", ["exp", "binary"])),
        ("iql.expectile=.6...95", ("iql", "expectile", [Range(low=0.6, high=0.95)])),
        (
            "iql.learning_rate=1e-4..1e-2:log",
            ("iql", "learning_rate", [Range(low=1e-4, high=1e-2, log=True)]),
        ),
    ],
)
def test_options_are_read(text, read):
    assert parse_option(text) == read


@pytest.mark.parametrize("text", ["iql", "iql.expectile", "expectile=.7", "iql.expectile="])
def test_options_of_another_form_are_refused(text):
    with pytest.raises(ValueError, match="must look like iql.expectile=.7,.9"):
        parse_option(text)


def test_a_value_of_no_known_form_is_refused():
    with pytest.raises(ValueError, match="'64x' in option 'iql.hidden=64x'"):
        parse_option("iql.hidden=64x")


@pytest.mark.parametrize(
    "text", ["iql.expectile=a..b", "iql.expectile=.6..", "x.y=1..2:ln"]
)
def test_a_range_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="is not a range: write .6..0.95"):
        parse_option(text)
