"""Labels, histograms, groups of states: pure functions, by hand."""

import numpy as np
import pytest

from stitchrl.algorithms.iql import IQL
from stitchrl.dataset import Choices, Dataset
from stitchrl.job.reporting.groups import quantile_groups, state_groups, variance_between
from stitchrl.job.reporting.labels import (
    for_people,
    lower_first,
    member_label,
    mixture_label,
    typeset,
)
from stitchrl.job.reporting.numbers import (
    Amounts,
    estimate,
    histogram,
    probability_histogram,
)
from stitchrl.ope.base import Interval, Label
from stitchrl.plan import MemberPlan


def test_labels_show_only_what_tells_members_apart():
    options = {"expectile": 0.9, "hidden": [64, 32], "batch_size": 32}
    member = MemberPlan(0, "iql", IQL(), 0, options)
    assert member_label(member) == "IQL"
    told = member._replace(varied=("expectile", "hidden", "batch_size"))
    assert member_label(told) == "IQL (expectile 0.9, hidden 64 x 32, batch size 32)"
    assert member_label(member._replace(name="mine")) == "mine"


def test_mixtures_name_both_parts():
    text = mixture_label("IQL", 0.3, "Clinicians").replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert text == "30 % IQL, 70 % clinicians"
    assert lower_first("Discrete BCQ") == "discrete BCQ"
    assert lower_first("ICU staff") == "ICU staff"


def test_names_become_labels_where_they_stand_alone():
    labels = {"bc": "Behavior cloning", "bc at 10%": "A tenth", "bcq": "Discrete BCQ"}
    text = "bc at 10% beats bc, bcq and abc; bc (50)."
    said = "A tenth beats Behavior cloning, Discrete BCQ and abc; Behavior cloning (50)."
    assert for_people(text, labels) == said
    assert for_people("bc. bc", {"bc": "this one"}) == "This one. This one"


def test_sentences_are_typeset():
    narrow = "\N{NARROW NO-BREAK SPACE}"
    assert typeset("-0.5 to -3%, x-3, --a .9") == f"−0.5 to −3{narrow}%, x-3, --a .9"


def test_few_values_get_a_bin_each():
    found = histogram(np.array([0.0, 1.0, 1.0, 4.0]))
    assert found is not None
    assert found.edges == (-0.5, 0.5, 2.5, 5.5)
    assert (found.counts, found.n, found.mean) == ((1, 2, 1), 4, 1.5)
    assert found.values == (0.0, 1.0, 4.0)
    alone = histogram(np.full(3, 7.0))
    assert alone is not None and (alone.edges, alone.counts) == ((6.5, 7.5), (3,))


def test_whole_numbers_get_whole_edges_and_all_are_counted():
    values = np.arange(100)
    found = histogram(values)
    assert found is not None and sum(found.counts) == 100
    assert found.edges[0] == 0 and found.edges[1] == 3 and found.counts[0] == 3
    drawn = np.random.default_rng(0).normal(size=1000)
    spread = histogram(drawn)
    assert spread is not None and sum(spread.counts) == 1000
    assert len(spread.counts) == 31
    assert spread.edges[0] == drawn.min() and spread.edges[-1] > drawn.max()


def test_what_is_not_finite_is_not_counted():
    found = histogram(np.array([1.0, np.nan, np.inf]))
    assert found is not None and (found.n, found.mean) == (1, 1.0)
    assert histogram(np.array([np.nan])) is None


def test_certain_actions_are_in_the_last_bin():
    found = probability_histogram(np.array([0.0, 0.05, 1.0, 1.0]))
    assert found.counts[0] == found.counts[1] == 1 and found.counts[-1] == 2


def test_estimates_are_finite_or_absent():
    interval = Interval(-1.0, 2.0, 0.9, Label.ASYMPTOTIC, "t")
    shown = estimate(0.5, interval, 30)
    assert shown is not None
    assert (shown.low, shown.high, shown.level, shown.n) == (-1.0, 2.0, 0.9, 30)
    few = estimate(0.5, interval, 29)  # The refusal SINGLE says that no interval holds.
    assert few is not None and few.low is few.high is few.interval is None
    wide = Interval(-np.inf, np.inf, 0.9, Label.ASYMPTOTIC, "t")
    alone = estimate(0.5, wide)
    assert alone is not None and alone.low is alone.high is alone.interval is None
    assert estimate(float("nan")) is estimate(None) is None


def test_amounts_are_percentages_where_returns_are_zero_or_one():
    named = {"outcome": "Survival"}
    share = Amounts(np.array([0.0, 1.0]), 1.0, **named)
    plain = Amounts(np.array([0.0, 2.0]), 1.0, **named)
    narrow = "\N{NARROW NO-BREAK SPACE}"
    assert share.value(0.784) == f"78.4{narrow}%"
    assert share.gain(0.014) == "+1.4 percentage points"
    assert share.range(-0.004, 0.031) == "−0.4 to +3.1 percentage points"
    assert share.gain(0.0001) == "+0.01 percentage points"
    assert (plain.value(1.5), plain.gain(-0.25), plain.gain(3.0)) == ("1.5", "−0.25", "+3")
    assert not Amounts(np.array([0.0, 1.0]), 0.99, **named).is_share
    unnamed = Amounts(np.array([0.0, 1.0]), 1.0, outcome="Expected return")
    assert unnamed.gain(0.014) == "+0.014", "a return is no percentage"


def test_quantile_groups_keep_equal_values_together():
    assert quantile_groups(np.arange(8.0)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    flags = np.array([0.0] * 9 + [1.0])
    assert quantile_groups(flags).tolist() == [0] * 9 + [1]
    assert quantile_groups(np.array([np.nan, 1.0, np.nan])).tolist() == [4, 0, 4]


def test_variance_between_groups():
    groups, values = np.array([0, 0, 1, 1]), np.array([0.0, 0.2, 0.6, 0.8])
    assert variance_between(groups, values) == pytest.approx(0.09)
    assert variance_between(np.zeros(4, int), values) == 0


def log(observation: np.ndarray, **declared) -> Dataset:
    size = len(observation)
    return Dataset.create(
        observation=observation,
        action=np.zeros(size, int),
        actions=Choices(("a", "b")),
        reward=np.zeros(size),
        terminated=np.ones(size, bool),
        truncated=np.zeros(size, bool),
        **declared,
    )


def test_groups_follow_the_feature_along_which_the_policy_departs():
    age, sofa = np.tile([50.0, 60.0], 4), np.arange(8.0)
    names = ("age", "sofa_score")
    dataset = log(np.stack([age, sofa], axis=1), feature_names=names)
    departure = np.where(sofa > 5, 0.9, 0.1)
    found = state_groups(dataset, np.arange(8), departure)
    assert found.by == "sofa score"
    ranges = ["0 to 1", "2 to 3", "4 to 5", "6 to 7"]
    assert [group.name for group in found.groups] == [f"sofa score {r}" for r in ranges]
    assert found.groups[-1].rows.tolist() == [6, 7]


def test_missing_values_are_a_group_of_their_own():
    lactate = np.array([1.0, 1.0, np.nan, np.nan])
    dataset = log(lactate[:, None], feature_names=("lactate",))
    found = state_groups(dataset, np.arange(4), np.array([0.0, 0.0, 1.0, 1.0]))
    assert [g.name for g in found.groups] == ["lactate 1", "lactate not measured"]


def test_one_hot_logs_are_grouped_by_the_most_visited_states():
    state = np.array([2, 2, 2, 0, 0, 1])
    names = ("north", "south", "east")
    dataset = log(np.eye(3)[state], feature_names=names)
    found = state_groups(dataset, np.arange(6), np.zeros(6))
    assert found.by == "state"
    assert [group.name for group in found.groups] == ["east", "north", "south"]
    assert found.groups[0].rows.tolist() == [0, 1, 2]
    ids = {"state_id": state + 7, "final_state_id": np.full(6, -1), "state_count": 10}
    named = state_groups(log(np.eye(3)[state], **ids), np.arange(6), np.zeros(6))
    assert named.groups[0].name == "State 9"


def test_a_log_in_which_nothing_varies_is_one_group():
    found = state_groups(log(np.full((3, 2), 5.0)), np.arange(3), np.arange(3.0))
    assert [group.name for group in found.groups] == ["All decisions"]
    assert found.groups[0].rows.tolist() == [0, 1, 2]
