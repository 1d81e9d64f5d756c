"""What a log has of what algorithms need, and what is said where it lacks."""

import numpy as np
import pytest

from stitchrl.algorithms import ALGORITHMS
from stitchrl.dataset import Choices, Dataset
from stitchrl.needs import NEEDS, left_out, met_by, require_met, served
from stitchrl.plan import Plan
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.testing import small_log

DISCRETE = Spec(2, Discrete(4))


def log(reward, lengths, *, terminated: bool = False, final: bool = False) -> Dataset:
    """Episodes of these lengths that all end alike."""
    size = sum(lengths)
    ends = np.isin(np.arange(size), np.cumsum(lengths) - 1)
    return Dataset.create(
        observation=np.arange(float(size)),
        action=np.arange(size) % 2,
        reward=np.broadcast_to(np.asarray(reward, float), size),
        terminated=ends & terminated,
        truncated=ends & (not terminated),
        final_observation=np.ones(len(lengths)) if final else None,
        actions=Choices(("a", "b")),
    )


@pytest.mark.parametrize(
    "dataset, met",
    [
        (small_log("discrete"), {"rewards", "returns", "next_action"}),
        (log(0.0, [2, 2]), set()),  # Its two rows with a future are the last they know.
        (log(0.0, [3, 2]), {"next_action"}),
        # A cost of every step makes shorter episodes better, where episodes can end.
        (log(-1.0, [3, 2], terminated=True), {"rewards", "returns", "next_action"}),
        (log(-1.0, [3, 3], terminated=True), {"rewards", "next_action"}),
        (log(-1.0, [3, 3]), {"next_action"}),
        (log(-1.0, [3, 2]), {"returns", "next_action"}),
        (log([1.0, 0.0, 0.0, 1.0], [2, 2], final=True), {"rewards", "next_action"}),
        (log([1.0, 0.0], [1, 1], final=True), {"rewards", "returns"}),
        (
            log([1.0, 0.0], [1, 1], terminated=True),
            {"rewards", "returns", "next_action"},
        ),
    ],
)
def test_what_a_log_meets(dataset: Dataset, met: set[str]):
    assert met_by(dataset) == met <= set(NEEDS)


def test_a_need_that_is_not_met_is_named_with_the_algorithms_that_fit():
    require_met("filtered_bc", DISCRETE, {"returns"})
    with pytest.raises(ValueError) as caught:
        require_met("filtered_bc", DISCRETE, {"next_action"})
    said = str(caught.value)
    assert "'filtered_bc' cannot learn from this log. It needs episodes whose" in said
    assert "but every episode has the same return. Algorithms that fit: bc" in said
    assert "iql" not in said
    with pytest.raises(ValueError, match="by which one policy can be better"):
        require_met("iql", DISCRETE, set())
    able = served(ALGORITHMS, DISCRETE, {"rewards"})
    assert {"bc", "iql", "cql"} <= set(able) and "filtered_bc" not in able


@pytest.mark.parametrize("space", [Discrete(4), Continuous(2)])
def test_needs_are_known_and_nothing_is_left_out_where_all_are_met(space):
    for kinds in ALGORITHMS.values():
        for cls in kinds.values():
            assert set(getattr(cls, "needs", ())) <= set(NEEDS)
    fit = [name for name, kinds in ALGORITHMS.items() if type(space) in kinds]
    assert served(ALGORITHMS, Spec(2, space), NEEDS) == fit


def test_a_plan_leaves_out_what_nobody_asked_for_and_refuses_what_somebody_did():
    plan = Plan(log="log.csv")
    assert set(plan.resolved(DISCRETE, ()).algorithms) == {"bc"}
    asked = Plan(log="log.csv", algorithms={"bc": {}, "iql": {}})
    assert set(asked.resolved(DISCRETE).algorithms) == {"bc", "iql"}
    with pytest.raises(ValueError, match="'iql' cannot learn from this log"):
        asked.resolved(DISCRETE, {"returns"})


def test_usual_algorithms_that_are_left_out_are_named():
    assert left_out(DISCRETE, {"rewards", "returns"}) == []
    (note,) = left_out(DISCRETE, {"rewards"})
    assert note.code == "LEFT_OUT" and note.severity == "note"
    assert "'filtered_bc'" in note.message and "the same return" in note.message
