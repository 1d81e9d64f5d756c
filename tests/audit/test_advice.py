"""Each rule, on an audit that calls for it."""

from dataclasses import replace

import numpy as np
import pytest

from stitchrl.algorithms import ALGORITHMS
from stitchrl.audit import Audit, audit
from stitchrl.audit.advice import About, Situation, advise
from stitchrl.audit.behavior import Behavior, Change
from stitchrl.audit.coverage import Coverage
from stitchrl.audit.map import Map
from stitchrl.audit.returns import Returns
from stitchrl.audit.stitching import Stitching
from stitchrl.dataset import Choices
from stitchrl.problems.exact import Bandit
from stitchrl.problems.stitching import log as stitching_log

STEADY = Change(p=0.5, at=100, before=0.5, after=0.5)
PLAIN = Audit(
    decisions=10_000,
    episodes=1_000,
    groups=1_000,
    discount=1.0,
    are_clusters=False,
    has_propensities=True,
    returns=Returns(
        mean=0.5,
        half_width=0.02,
        quantiles=(0.1, 0.3, 0.5, 0.7, 0.9),
        smallest=0.0,
        largest=1.0,
        zero_share=0.0,
        rewarded_share=0.5,
        bimodality=0.4,
        expert_episodes=0.3,
        expert_rows=0.3,
        cut_share=0.0,
    ),
    coverage=Coverage(50, 40.0, 0.1, 4, 0.8, 0.6, 1.5, 0.1),
    stitching=Stitching(0.1, 0.05, None, (0.02, 0.01, 0.0), 0.0, 10_000),
    behavior=Behavior(0.5, 2.0, 1, (1.0,), True, STEADY, STEADY),
    map=Map((), (), places=0, visits_share=0.0),
)

UNKNOWN = Situation()


def codes(found: Audit, situation: Situation = UNKNOWN, **kind) -> list[str]:
    kind = {"is_discrete": True, "is_tabular": False} | kind
    return [one.code for one in advise(found, situation, **kind)]


def changed(part: str, **fields) -> Audit:
    return replace(PLAIN, **{part: replace(getattr(PLAIN, part), **fields)})


def test_nothing_special():
    assert codes(PLAIN) == ["OFFLINE", "STAY_CLOSE"]


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (Situation(can_collect=True, is_dear=False, is_dangerous=False), "EXPERIMENT"),
        (Situation(can_collect=True, is_dear=True), "LEARN_THEN_PILOT"),
        (Situation(can_collect=True, is_dangerous=True, is_dear=False), "LEARN_THEN_PILOT"),
        (Situation(can_collect=False), "OFFLINE"),
        (Situation(has_simulator=True), "SIMULATE"),
    ],
)
def test_the_tool_depends_on_what_no_log_tells(situation, expected):
    assert codes(PLAIN, situation)[0] == expected


@pytest.mark.parametrize(
    ("part", "fields", "expected"),
    [
        ("returns", {"expert_episodes": 0.6}, "STAY_CLOSE"),
        ("returns", {"expert_episodes": 0.1, "bimodality": 0.7}, "FILTER"),
        ("returns", {"expert_episodes": 0.1, "expert_rows": 0.02}, "BALANCE"),
        ("returns", {"rewarded_share": 0.01}, "SPARSE"),
        ("stitching", {"stitchability": 0.3}, "STITCH"),
        ("stitching", {"gains": (0.1, 0.06, 0.05)}, "STITCH"),
        ("stitching", {"gains": (0.9, 0.06, 0.05)}, "LUCK"),
        ("behavior", {"ways": 2, "shares": (0.7, 0.3)}, "SEVERAL_WAYS"),
        ("behavior", {"acting": replace(STEADY, p=0.001)}, "CHANGED"),
        ("behavior", {"returns": replace(STEADY, p=0.001)}, "CHANGED"),
        ("coverage", {"places": 500, "busiest_share": 0.6}, "IMBALANCED"),
    ],
)
def test_rules(part, fields, expected):
    assert expected in codes(changed(part, **fields))


def test_imitation_is_for_experts_who_hardly_vary():
    settled = replace(
        changed("returns", expert_episodes=0.6),
        coverage=replace(PLAIN.coverage, entropy=0.5),
    )
    assert "IMITATE" in codes(settled)
    assert "IMITATE" not in codes(changed("returns", expert_episodes=0.6))


def test_facts_of_the_log():
    assert "FEW_GROUPS" in codes(replace(PLAIN, groups=149))
    assert "NO_PROPENSITIES" in codes(replace(PLAIN, has_propensities=False))
    assert "BANDIT" in codes(replace(PLAIN, episodes=10_000))
    assert "PLAN" in codes(PLAIN, is_tabular=True)


def test_equal_returns_end_it():
    assert codes(changed("returns", largest=0.0)) == ["NO_SIGNAL"]


def test_what_is_advised_exists_and_says_its_numbers():
    for found in (PLAIN, changed("stitching", stitchability=1.0)):
        for is_discrete in (True, False):
            given = advise(found, Situation(), is_discrete=is_discrete, is_tabular=False)
            for one in given:
                if one.about is About.ALGORITHM:
                    assert one.command is not None and one.numbers
                    names = one.command.rpartition(" ")[2].split(",")
                    assert set(names) <= set(ALGORITHMS)


def test_a_log_of_single_decisions():
    dataset = Bandit().log(400, seed=0)
    found = audit(dataset, discount=1.0)
    assert isinstance(dataset.actions, Choices)
    given = codes(found, is_tabular=True)
    assert "BANDIT" in given and "STITCH" not in given
    assert found.behavior.entropy == pytest.approx(1.485, abs=0.05)
    assert found.has_propensities and not found.are_clusters


def test_the_stitching_graph_is_to_be_stitched():
    dataset = stitching_log()
    found = audit(dataset, discount=1.0)
    assert found.stitching.stitchability == pytest.approx(20 / 50)  # 30 reach dead ends.
    assert found.stitching.gains[0] > 0.5
    assert "STITCH" in codes(found)
    assert np.isfinite(found.behavior.explained)
