"""The columns of a log: every value encodes its own episode and step."""

from dataclasses import fields, replace

import numpy as np
import pytest

from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.spaces import Continuous, Discrete, Spec

LENGTHS = np.array([3, 1, 4, 2])
EPISODE = np.repeat(np.arange(4), LENGTHS)
STEP = np.concatenate([np.arange(n) for n in LENGTHS])
SIZE = len(EPISODE)
ENDS = np.isin(np.arange(SIZE), np.cumsum(LENGTHS) - 1)
CODE = 100.0 * (EPISODE + 1) + STEP  # 100, 101, 102, 200, 300, ...
FINAL = 100.0 * (np.arange(4) + 1) + LENGTHS  # What comes after: 103, 201, 304, 402.
IS_TERMINAL = np.array([True, False, False, True])
ALL = {
    "time": CODE + 0.5,
    "propensity": 1 / CODE,
    "valid_actions": np.ones((SIZE, 3), bool),
    "final_valid_actions": np.ones((4, 3), bool),
    "state_id": CODE.astype(int),
    "final_state_id": np.where(IS_TERMINAL, -1, FINAL).astype(int),
    "state_count": 500,
    "rewards": {"cost": CODE + 0.25},
    "reward_bounds": (0.0, 1000.0),
    "return_bounds": (0.0, 5000.0),
    "horizon": 4,
    "may_be_missing": ("b",),
    "row": np.arange(SIZE) + 7,
    "group": np.array(["q", "p", "q", "r"])[EPISODE],
    "source": np.array(["n", "m", "n", "n"])[EPISODE],
    "weight": CODE / 7,
    "notes": (Finding("X", Severity.NOTE, "Seen.", "Nothing to do."),),
}


def create(**changed) -> Dataset:
    final = np.where(IS_TERMINAL, np.nan, FINAL)
    columns = {
        "observation": np.stack([CODE, -CODE], axis=1),
        "action": EPISODE % 3,
        "reward": CODE / 1000,
        "terminated": ENDS & IS_TERMINAL[EPISODE],
        "truncated": ENDS & ~IS_TERMINAL[EPISODE],
        "final_observation": np.stack([final, -final], axis=1),
        "feature_names": ("a", "b"),
        "actions": Choices(("x", "y", "z")),
        "episode": np.array(["e4", "e2", "e9", "e1"])[EPISODE],
    }
    return Dataset.create(**(columns | changed))


def test_episodes_and_their_rows():
    log = create()
    assert (log.size, log.episodes, log.groups) == (10, 4, 4)
    assert log.episode.tolist() == EPISODE.tolist()  # In order of appearance, not sorted.
    assert log.episode_id.tolist() == ["e4", "e2", "e9", "e1"]
    assert log.first_row.tolist() == [0, 3, 4, 8] and log.last_row.tolist() == [2, 3, 7, 9]
    assert log.lengths.tolist() == LENGTHS.tolist()
    assert log.episode_end.tolist() == ENDS.tolist()
    assert log.step.tolist() == log.step_in_episode.tolist() == STEP.tolist()


def test_without_episodes_every_end_flag_closes_one():
    assert create(episode=None).episode.tolist() == EPISODE.tolist()
    open_end = create(episode=None, truncated=np.zeros(SIZE, bool), final_observation=None)
    assert open_end.episode.tolist() == [0] * 3 + [1] * 7


def test_steps_are_as_logged_but_counted_from_zero_in_each_episode():
    log = create(step=STEP + 5)
    assert log.step.tolist() == (STEP + 5).tolist()
    assert log.step_in_episode.tolist() == STEP.tolist()
    assert log.returns(0.5) == pytest.approx(create().returns(0.5))


def test_next_observations_stay_in_their_episode():
    after = create().next_observation
    expected = np.where(ENDS & IS_TERMINAL[EPISODE], np.nan, CODE + 1)
    np.testing.assert_array_equal(after[:, 0], expected)
    np.testing.assert_array_equal(after[:, 1], -expected)
    assert create().has_next.all()
    unknown = create(final_observation=None)
    assert unknown.has_next.tolist() == (~ENDS | IS_TERMINAL[EPISODE]).tolist()


def test_a_partly_missing_next_observation_is_one():
    holes = create().observation.copy()
    holes[1, 1] = np.nan
    assert create(observation=holes).has_next.all()


def test_next_state_ids():
    after = create(**ALL).next_state_id
    terminal = ENDS & IS_TERMINAL[EPISODE]
    assert after.tolist() == np.where(terminal, -1, CODE + 1).astype(int).tolist()


def test_returns_discount_from_the_first_row_of_each_episode():
    rewards = CODE / 1000
    for discount in (1.0, 0.9, 0.0):
        expected = [
            sum(discount**t * r for t, r in enumerate(rewards[EPISODE == e]))
            for e in range(4)
        ]
        np.testing.assert_allclose(create().returns(discount), expected, rtol=1e-14)


def test_groups_are_named_and_numbered():
    log = create(**ALL)
    assert log.groups == 3 and log.group_id.tolist() == ["p", "q", "r"]
    assert log.episode_group.tolist() == [1, 0, 1, 2]
    assert create().group_id.tolist() == ["e4", "e2", "e9", "e1"]


@pytest.mark.parametrize("chosen", [[1, 2], np.array([False, True, True, False])])
def test_taking_episodes_takes_all_of_them_and_nothing_else(chosen):
    log = create(**ALL)
    part = log.take_episodes(np.asarray(chosen))
    rows = np.isin(EPISODE, [1, 2])
    assert part.size == 5 and part.episodes == 2
    assert part.episode.tolist() == [0, 1, 1, 1, 1]
    assert part.episode_id.tolist() == ["e2", "e9"]
    for name in ("observation", "action", "reward", "terminated", "truncated", "step"):
        np.testing.assert_array_equal(getattr(part, name), getattr(log, name)[rows])
    for name in ("time", "propensity", "valid_actions", "state_id", "row"):
        np.testing.assert_array_equal(getattr(part, name), getattr(log, name)[rows])
    np.testing.assert_array_equal(part.rewards["cost"], log.rewards["cost"][rows])
    np.testing.assert_array_equal(part.final_observation, log.final_observation[1:3])
    np.testing.assert_array_equal(part.final_state_id, log.final_state_id[1:3])
    np.testing.assert_array_equal(part.final_valid_actions, log.final_valid_actions[1:3])
    assert part.group.tolist() == [0, 1, 1, 1, 1] and part.group_id.tolist() == ["p", "q"]
    np.testing.assert_array_equal(part.next_observation, log.next_observation[rows])
    assert (part.state_count, part.horizon, part.may_be_missing) == (500, 4, ("b",))
    assert part.row.tolist() == [10, 11, 12, 13, 14]


def test_taking_episodes_leaves_the_whole_as_it_was():
    log = create(**ALL)
    before = log.content_hash()
    log.take_episodes(np.array([0]))
    assert log.content_hash() == before


def changed_values() -> list[str]:
    skipped = ("notes", "row")
    return [entry.name for entry in fields(Dataset) if entry.name not in skipped]


@pytest.mark.parametrize("name", changed_values())
def test_the_hash_changes_with_every_value(name: str):
    log = create(**ALL)
    value = getattr(log, name)
    if isinstance(value, np.ndarray):
        other = value.copy()
        index = (-1,) * other.ndim
        if other.dtype == bool:
            other[index] = ~other[index]
        else:
            other[index] = "other" if other.dtype.kind == "U" else 77
    elif name == "rewards":
        other = {"cost": value["cost"] + (np.arange(SIZE) == 3)}
    else:
        other = {
            "feature_names": ("a", "c"),
            "actions": Choices(("x", "y", "w")),
            "state_count": 501,
            "reward_bounds": (0.0, 1001.0),
            "return_bounds": None,
            "horizon": 5,
            "may_be_missing": (),
        }[name]
    assert replace(log, **{name: other}).content_hash() != log.content_hash()


def test_the_hash_is_that_of_the_content_only():
    log = create(**ALL)
    assert create(**ALL).content_hash() == log.content_hash()
    elsewhere = replace(log, notes=(), row=log.row + 1)
    assert elsewhere.content_hash() == log.content_hash()
    assert len(log.content_hash()) == 64
    renamed = replace(log, rewards={"price": log.rewards["cost"]})
    assert renamed.content_hash() != log.content_hash()


def test_bounds_scale_to_the_unit_box_and_back():
    bounds = Bounds(names=("dose", "rate"), low=(0.0, -2.0), high=(10.0, 2.0))
    raw = np.array([[0.0, -2.0], [10.0, 2.0], [5.0, 1.0]])
    np.testing.assert_allclose(bounds.to_unit(raw), [[-1, -1], [1, 1], [0, 0.5]])
    np.testing.assert_allclose(bounds.from_unit(bounds.to_unit(raw)), raw)


def test_the_spec_says_what_networks_need():
    assert create().spec == Spec(2, Discrete(3))
    bounds = Bounds(names=("dose",), low=(0.0,), high=(1.0,))
    continuous = create(actions=bounds, action=CODE / 1000)
    assert continuous.spec == Spec(2, Continuous(1))
    assert continuous.action.shape == (SIZE, 1)  # A single column may come as a vector.
    assert create(observation=CODE, final_observation=FINAL).observation.shape == (SIZE, 1)


def broken(code: str, **changed) -> str:
    with pytest.raises(DataError) as caught:
        create(**changed)
    (finding,) = caught.value.findings
    assert finding.code == code and finding.severity == Severity.ERROR
    return str(caught.value)


@pytest.mark.parametrize(
    "name, value",
    [
        ("reward", CODE[:-1]),
        ("action", EPISODE[:-2]),
        ("terminated", ENDS[1:]),
        ("episode", np.arange(3)),
        ("group", np.arange(3)),
        ("step", np.arange(3)),
        ("propensity", CODE[:-1]),
        ("state_id", np.arange(4)),
        ("valid_actions", np.ones((4, 3), bool)),
    ],
)
def test_columns_of_another_length_are_named(name: str, value: np.ndarray):
    message = broken("LENGTHS", **{name: value})
    assert f"'{name}' has {len(value)}" in message and "'observation' has 10" in message
    assert "final_observation" in message  # The way out.


def test_further_rewards_are_named_as_in_the_log():
    message = broken("LENGTHS", rewards={"cost": CODE[:-1]})
    assert "'reward.cost' has 9" in message


def test_final_observations_need_a_row_for_every_episode():
    message = broken("LENGTHS", final_observation=np.zeros((3, 2)))
    assert "'final_observation' must have shape (4, 2), but has (3, 2)" in message
    assert "one row per episode" in message


def test_actions_need_a_column_for_every_bound():
    bounds = Bounds(names=("dose", "rate"), low=(0.0, 0.0), high=(1.0, 1.0))
    message = broken("LENGTHS", actions=bounds, action=np.zeros(SIZE))
    assert "'action' must have shape (10, 2), but has (10, 1)" in message


def test_a_log_without_rows():
    message = broken(
        "EMPTY",
        observation=np.zeros((0, 2)),
        action=[],
        reward=[],
        terminated=[],
        truncated=[],
        episode=None,
        final_observation=None,
    )
    assert "The log has no rows" in message and "filter in the query" in message


def test_an_interrupted_episode_is_shown_with_its_rows():
    episode = np.array(["a"] * 3 + ["b"] + ["a"] * 6)
    with pytest.raises(DataError, match="episode 'a' starts again at row 4") as caught:
        create(episode=episode, final_observation=None)
    (finding,) = caught.value.findings
    assert finding.code == "EPISODE_SPLIT" and finding.count == 6
    assert finding.rows == (4, 5, 6, 7, 8)
    assert "(6 rows: 4, 5, 6, 7, 8, …)" in str(finding)
    assert "Sort the log by episode and step" in finding.remedy


def test_unknown_columns_are_refused():
    with pytest.raises(TypeError, match="color"):
        create(color=CODE)


def test_discrete_actions_are_not_rounded():
    given = {
        "observation": np.zeros((2, 1)),
        "reward": np.zeros(2),
        "terminated": np.ones(2, bool),
        "truncated": np.zeros(2, bool),
        "actions": Choices(("a", "b")),
    }
    with pytest.raises(DataError, match="row 1 has 1.7"):
        Dataset.create(action=[0.0, 1.7], **given)
    with pytest.raises(DataError, match="row 0 has nan"):
        Dataset.create(action=[np.nan, 1.0], **given)
    with pytest.raises(DataError, match="whole numbers"):
        Dataset.create(action=np.array([2**33, 1]), **given)
    with pytest.raises(DataError, match="row 0 has a"):
        Dataset.create(action=["a", "b"], **given)
    with pytest.raises(DataError, match="'action' must have shape"):
        Dataset.create(action=[[0], [1]], **given)
    assert Dataset.create(action=[0.0, 1.0], **given).action.tolist() == [0, 1]


def test_a_row_of_missing_features_is_still_what_follows():
    log = Dataset.create(
        observation=np.array([[1.0], [np.nan], [2.0]]),
        action=np.zeros(3),
        reward=np.zeros(3),
        terminated=np.array([False, False, False]),
        truncated=np.array([False, False, True]),
        actions=Choices(("a",)),
        may_be_missing=("x0",),
    )
    assert log.has_next.tolist() == [True, True, False]
