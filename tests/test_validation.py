"""Each fault and suspicion is found where it was planted, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from stitchrl.dataset import MAX_ACTIONS, Bounds, Choices, Dataset
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.validation import errors, require_valid, validate

EPISODES, LENGTH = 150, 3
SIZE = EPISODES * LENGTH


def log(**changes) -> Dataset:
    """150 episodes of 3 steps, 2 features, 3 actions: nothing to complain about."""
    generator = np.random.default_rng(0)
    columns = {
        "observation": generator.normal(size=(SIZE, 2)),
        "action": generator.integers(0, 3, SIZE),
        "reward": generator.normal(size=SIZE),
        "terminated": np.arange(SIZE) % LENGTH == LENGTH - 1,
        "truncated": np.zeros(SIZE, bool),
        "actions": Choices(("wait", "low", "high")),
        "episode": np.arange(SIZE) // LENGTH,
    }
    return Dataset.create(**(columns | changes))


def continuous(**changes) -> Dataset:
    generator = np.random.default_rng(1)
    action = generator.uniform(-1, 1, (SIZE, 2))
    bounds = Bounds(("fluid", "pressor"), (-1.0, -1.0), (1.0, 1.0))
    return log(**({"action": action, "actions": bounds} | changes))


def at(row: int, value, column: np.ndarray) -> np.ndarray:
    changed = np.array(column, np.float64 if isinstance(value, float) else None)
    changed[row] = value
    return changed


def the(code: str, dataset: Dataset) -> Finding:
    found = [finding for finding in validate(dataset) if finding.code == code]
    assert len(found) == 1, [str(finding) for finding in validate(dataset)]
    return found[0]


@pytest.mark.parametrize("make", [log, continuous])
def test_a_good_log_has_no_findings(make):
    assert validate(make()) == ()
    assert require_valid(make()) == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["reward", "propensity", "reward.cost"])
def test_nonfinite_columns(column: str, value: float):
    values = at(7, value, np.full(SIZE, 0.5))
    if column == "reward.cost":
        dataset = log(rewards={"cost": values})
    else:
        dataset = log(**{column: values})
    finding = the("NONFINITE", dataset)
    assert finding.severity is Severity.ERROR
    assert (finding.count, finding.rows) == (1, (7,))
    assert f"'{column}' must be a finite number" in finding.message
    assert "1 of 450" in finding.message
    assert "remove their whole episodes" in finding.remedy


def test_weights_by_which_nothing_can_be_drawn():
    good = np.ones(SIZE)
    assert the("WEIGHT_NEGATIVE", log(weight=at(3, -1.0, good))).rows == (3,)
    assert the("NONFINITE", log(weight=at(3, np.nan, good))).rows == (3,)
    assert "could be learned from" in the("WEIGHT_ZERO", log(weight=0 * good)).message
    assert validate(log(weight=at(3, 0.0, good))) == ()


def test_one_source_tells_nothing_apart():
    finding = the("ONE_SOURCE", log(source=["north"] * SIZE))
    assert finding.severity is Severity.WARNING and "'north'" in finding.message
    assert validate(log(source=["north", "south", "east"] * EPISODES)) == ()


def test_nonfinite_action():
    dataset = continuous()
    action = dataset.action.copy()
    action[5, 1] = np.nan
    finding = the("NONFINITE", replace(dataset, action=action))
    assert finding.rows == (5,)
    assert "'action.pressor'" in finding.message


def test_nonfinite_observation_and_declared_missing():
    dataset = log(feature_names=("heart", "lactate"))
    observation = dataset.observation.copy()
    observation[[2, 9], 1] = np.nan
    dataset = replace(dataset, observation=observation)
    finding = the("NONFINITE", dataset)
    assert (finding.count, finding.rows) == (2, (2, 9))
    assert "'lactate'" in finding.message
    assert 'missing = "mean"' in finding.remedy
    assert errors(validate(replace(dataset, may_be_missing=("lactate",)))) == ()
    observation[2, 1] = np.inf
    infinite = replace(dataset, observation=observation, may_be_missing=("lactate",))
    assert the("NONFINITE", infinite).rows == (2,)


def test_nonfinite_final_observation():
    final = np.full((EPISODES, 2), np.nan)
    final[4] = [1.0, np.nan]
    finding = the("NONFINITE", log(final_observation=final, episode=names()))
    assert "'x1' after the last decision" in finding.message
    assert "first in 'stay 4'" in finding.message
    final[4] = [1.0, 2.0]
    assert errors(validate(log(final_observation=final))) == ()


def names() -> np.ndarray:
    return np.array([f"stay {row // LENGTH}" for row in range(SIZE)])


def test_action_out_of_the_declared_set():
    for value in (-1, 3):
        dataset = log()
        finding = the("ACTION_SET", log(action=at(11, value, dataset.action)))
        assert finding.rows == (11,)
        assert "among the 3 declared, numbered 0 to 2" in finding.message
        assert f"range from {'-1 to 2' if value < 0 else '0 to 3'}" in finding.message
        assert "action_labels" in finding.remedy


def test_action_outside_valid_actions_and_empty_sets():
    dataset = log(valid_actions=np.ones((SIZE, 3), bool))
    assert errors(validate(dataset)) == ()
    valid = np.ones((SIZE, 3), bool)
    valid[8, dataset.action[8]] = False
    finding = the("ACTION_NOT_VALID", log(valid_actions=valid))
    assert finding.rows == (8,)
    assert f"'{dataset.actions.labels[dataset.action[8]]}'" in finding.message
    assert "was possible" in finding.remedy
    valid[8] = False
    findings = validate(log(valid_actions=valid))
    assert [finding.code for finding in findings] == ["NO_VALID_ACTION"]
    assert findings[0].rows == (8,)


def test_valid_actions_of_the_wrong_width():
    finding = the("LENGTHS", log(valid_actions=np.ones((SIZE, 2), bool)))
    assert "(450, 3)" in finding.message and "(450, 2)" in finding.message


def test_too_many_actions():
    labels = tuple(map(str, range(MAX_ACTIONS + 1)))
    finding = the("TOO_MANY_ACTIONS", log(actions=Choices(labels)))
    assert "At most 10,000" in finding.message and "10,001" in finding.message
    assert "Group rare actions" in finding.remedy


def test_action_out_of_bounds():
    dataset = continuous()
    action = dataset.action.copy()
    action[3, 1] = 1.5
    finding = the("ACTION_BOUNDS", replace(dataset, action=action))
    assert finding.rows == (3,)
    assert "'pressor' must lie in [-1, 1]" in finding.message
    assert "1.5" in finding.message
    assert "action_low and action_high" in finding.remedy


def test_bounds_are_compared_as_the_numbers_stored():
    action = np.random.default_rng(0).choice([0.1, 0.2], (SIZE, 1))
    dataset = continuous(action=action, actions=Bounds(("dose",), (0.1,), (0.2,)))
    assert errors(validate(dataset)) == ()


def test_empty_bounds():
    dataset = continuous(actions=Bounds(("a", "b"), (-1.0, 1.0), (1.0, 1.0)))
    assert "'b' must have low < high" in the("ACTION_BOUNDS", dataset).message


def test_propensities():
    half = np.full(SIZE, 0.5)
    finding = the("PROPENSITY_NOT_POSITIVE", log(propensity=at(6, 0.0, half)))
    assert finding.rows == (6,) and "smallest is 0" in finding.message
    finding = the("PROPENSITY_ABOVE_ONE", log(propensity=at(6, 1.25, half)))
    assert finding.rows == (6,) and "largest is 1.25" in finding.message
    assert errors(validate(log(propensity=np.ones(SIZE)))) == ()


def test_densities_of_continuous_actions_may_exceed_one():
    assert validate(continuous(propensity=np.full(SIZE, 2.5))) == ()


def test_log_probabilities():
    findings = validate(log(propensity=np.log(np.linspace(0.1, 1, SIZE))))
    assert [finding.code for finding in findings] == ["PROPENSITY_LOG"]
    assert "look like log-probabilities" in findings[0].message
    assert "-2.30259 to 0" in findings[0].message
    assert 'propensity_is = "log_probability"' in findings[0].remedy


def test_steps_out_of_order_or_doubled():
    step = np.arange(SIZE) % LENGTH
    finding = the("STEP_ORDER", log(step=at(5, 0, step)))
    assert finding.rows == (5,) and "sort = true" in finding.remedy
    finding = the("STEP_DUPLICATE", log(step=at(5, 1, step)))
    assert finding.rows == (5,) and "Remove duplicates" in finding.remedy


def test_steps_may_skip_but_that_is_said():
    finding = the("STEP_GAP", log(step=at(5, 9, np.arange(SIZE) % LENGTH)))
    assert finding.severity is Severity.WARNING
    assert finding.rows == (5,)
    assert validate(log(step=4 * (np.arange(SIZE) % LENGTH))) == ()


def test_time_runs_backwards():
    time = np.arange(SIZE) % LENGTH * 10.0
    assert validate(log(time=time)) == ()
    assert the("TIME_ORDER", log(time=at(5, 3.0, time))).rows == (5,)


def test_group_changes_within_an_episode():
    group = np.arange(SIZE) // LENGTH
    finding = the("GROUP_SPLIT", log(group=at(5, 0, group)))
    assert finding.rows == (5,)


def test_no_end_flag_anywhere():
    finding = the("NO_END", log(terminated=np.zeros(SIZE, bool)))
    assert "no row of the log has either" in finding.message
    assert 'truncated = "last_row"' in finding.remedy


def test_end_in_the_middle_and_no_end():
    ends = log().terminated
    finding = the("END_INSIDE", log(terminated=at(4, True, ends)))
    assert finding.rows == (4,) and "but rows follow" in finding.message
    finding = the("EPISODE_OPEN", log(terminated=at(5, False, ends)))
    assert finding.rows == (5,) and "1 of 150 episodes" in finding.message


def test_declared_bounds():
    reward = at(10, 4.5, np.tile([0.0, 1.0, 0.5], EPISODES))
    finding = the("REWARD_BOUNDS", log(reward=reward, reward_bounds=(0.0, 1.0)))
    assert finding.rows == (10,)
    assert "declared [0, 1]" in finding.message and "0 to 4.5" in finding.message
    finding = the("RETURN_BOUNDS", log(reward=reward, return_bounds=(0.0, 2.0)))
    assert finding.rows == (9,)
    assert "1.5 to 5" in finding.message
    finding = the("HORIZON_EXCEEDED", log(horizon=2))
    assert finding.count == EPISODES and finding.rows[0] == 2
    assert "the longest has 3" in finding.message
    good = log(reward_bounds=(-9.0, 9.0), return_bounds=(-9.0, 9.0), horizon=3)
    assert validate(good) == ()


def test_both_ends_on_one_row():
    finding = the("BOTH_ENDS", log(truncated=at(5, True, np.zeros(SIZE, bool))))
    assert finding.severity is Severity.WARNING and finding.rows == (5,)


def test_rows_without_a_known_next_observation():
    ends = log().terminated
    terminated, truncated = at(5, False, ends), at(5, True, np.zeros(SIZE, bool))
    finding = the("NEXT_UNKNOWN", log(terminated=terminated, truncated=truncated))
    assert (finding.severity, finding.rows) == (Severity.WARNING, (5,))
    assert "1 of 450 rows" in finding.message
    final = np.full((EPISODES, 2), np.nan)
    final[1] = 3.0
    known = log(terminated=terminated, truncated=truncated, final_observation=final)
    assert validate(known) == ()


def test_reward_without_variance():
    finding = the("REWARD_CONSTANT", log(reward=np.full(SIZE, 2.5)))
    assert "'reward' is 2.5 in all 450 rows" in finding.message
    assert finding.severity is Severity.WARNING
    finding = the("REWARD_CONSTANT", log(rewards={"cost": np.zeros(SIZE)}))
    assert "'reward.cost' is 0" in finding.message


def test_one_episode_and_few_groups():
    one = log(episode=np.zeros(SIZE), terminated=np.arange(SIZE) == SIZE - 1)
    codes = {finding.code for finding in validate(one)}
    assert codes == {"ONE_EPISODE"}
    finding = the("FEW_GROUPS", log(group=np.arange(SIZE) // LENGTH % 100))
    assert "100 independent groups" in finding.message
    assert "on 20, and no interval holds with fewer than 30" in finding.message
    assert "about 50 more groups (150 in all)" in finding.remedy


def with_column(column: np.ndarray, dataset: Dataset) -> Dataset:
    wider = np.column_stack([dataset.observation, column]).astype(np.float32)
    final = np.full((dataset.episodes, wider.shape[1]), np.nan, np.float32)
    names = (*dataset.feature_names, "extra")
    return replace(dataset, observation=wider, final_observation=final, feature_names=names)


def test_constant_and_duplicate_columns():
    dataset = log()
    finding = the("CONSTANT", with_column(np.full(SIZE, 4.0), dataset))
    assert "1 observation columns have one value in all rows: 'extra'" in finding.message
    finding = the("DUPLICATE", with_column(dataset.observation[:, 1], dataset))
    assert "'extra' = 'x1'" in finding.message


def test_columns_that_repeat_action_or_reward():
    dataset = log()
    for leak in (dataset.action, 2.0 - dataset.action):
        finding = the("REPEATS_ACTION", with_column(leak, dataset))
        assert finding.severity is Severity.WARNING and "'extra'" in finding.message
        assert "not be known yet" in finding.message
    finding = the("REPEATS_REWARD", with_column(-3.7 * dataset.reward + 1, dataset))
    assert "'extra'" in finding.message
    dataset = continuous()
    leak = with_column(0.3 * dataset.action[:, 1] - 2, dataset)
    assert "'extra'" in the("REPEATS_ACTION", leak).message
    nearly = dataset.action[:, 1] + np.random.default_rng(2).normal(0, 1e-3, SIZE)
    assert validate(with_column(nearly, dataset)) == ()


def test_numeric_labels_are_recognized():
    dataset = log(actions=Choices(("0", "10", "500")))
    leak = np.array([0.0, 10.0, 500.0])[dataset.action]
    assert "'extra'" in the("REPEATS_ACTION", with_column(leak, dataset)).message


def test_a_rare_reward_is_found_among_many_rows():
    reward = np.zeros(12_000)
    reward[7] = 1.0
    dataset = Dataset.create(
        observation=np.column_stack([reward, np.random.default_rng(0).normal(size=12_000)]),
        action=np.arange(12_000) % 7 % 2,
        reward=reward,
        terminated=np.ones(12_000, bool),
        truncated=np.zeros(12_000, bool),
        actions=Choices(("a", "b")),
    )
    assert [finding.code for finding in validate(dataset)] == ["REPEATS_REWARD"]
    moved = replace(dataset, reward=np.roll(reward, 1))
    assert validate(moved) == ()


def test_choices_read_as_amounts():
    action = np.arange(SIZE)[:, None] % 7 % 5 - 2.0
    dataset = continuous(action=action, actions=Bounds(("level",), (-2.0,), (2.0,)))
    finding = the("LOOKS_DISCRETE", dataset)
    assert "only 5 values" in finding.message
    assert "without brackets" in finding.remedy


def test_notes_of_the_reader_come_along_and_errors_come_first():
    note = Finding("SORTED", Severity.NOTE, "3 rows were moved.", "")
    dataset = replace(log(reward=np.full(SIZE, np.nan)), notes=(note,))
    findings = validate(dataset)
    assert findings[-1] == note
    assert [finding.severity for finding in findings] == sorted(
        (finding.severity for finding in findings), key=list(Severity).index
    )
    assert errors(findings) == findings[:1]


def test_require_valid_raises_every_error():
    dataset = log(
        action=at(11, 7, log().action),
        reward=at(7, np.nan, log().reward),
        terminated=np.zeros(SIZE, bool),
    )
    with pytest.raises(DataError) as caught:
        require_valid(dataset)
    assert {finding.code for finding in caught.value.findings} == {
        "ACTION_SET",
        "NONFINITE",
        "NO_END",
    }
    assert "error ACTION_SET" in str(caught.value)
    assert "error NO_END" in str(caught.value)
