"""A policy has run: a bandit whose best arm was promised to pay nine times in ten."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from stitchrl import artifacts
from stitchrl.artifacts import ArtifactError
from stitchrl.dataset import Dataset
from stitchrl.findings import DataError
from stitchrl.job.promises import GUARANTEED, named, promises_of, read_promises
from stitchrl.job.realized import _of_spread, read, realize_job
from stitchrl.job.run import run_job
from stitchrl.ope.realized import Kept
from stitchrl.plan import Plan
from stitchrl.problems.exact import Bandit
from stitchrl.report.format import Values
from stitchrl.sources import write_table

BEST = (0.0, 0.0, 1.0)


def played(arms, *, seed: int, size=300, success=(0.2, 0.5, 0.9)) -> Dataset:
    return Bandit(behavior=arms, success=success).log(size, seed=seed)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A log of 3,000 rounds, and the run that recommends its best arm."""
    place = tmp_path_factory.mktemp("realized")
    dataset = Bandit().log(3000, seed=0)
    write_table(dataset, place / "log.parquet")
    plan = Plan(
        log=str(place / "log.parquet"),
        algorithms={},
        group_name="rounds",
        policies=("uniform",),
    )
    run_job(plan, dataset, place / "run")
    return place


@pytest.fixture
def run(place, tmp_path):
    """The finished run, to be changed."""
    return shutil.copytree(place / "run", tmp_path / "run")


def written(dataset: Dataset, path):
    write_table(dataset, path)
    return path


def refused(run, path, **choices) -> str:
    with pytest.raises((DataError, ArtifactError, ValueError)) as caught:
        realize_job(run, path, **choices)
    assert not (run / "realized.json").exists()
    return str(caught.value)


def test_a_promise_that_held(run, tmp_path):
    found = realize_job(run, written(played(BEST, seed=5), tmp_path / "new.parquet"))
    assert found.policy == read_promises(run).decide.recommended == "value_iteration"
    assert (found.episodes, found.groups, found.decisions) == (300, 300, 300)
    assert {one.estimator for one in found.promises} >= {GUARANTEED, "WIS", "FQE", "DR"}
    assert {one.kept for one in found.promises} == {Kept.HELD}
    first = found.promises[0]
    assert abs(first.promised.value - 0.9) < 0.06 and abs(first.realized.value - 0.9) < 0.06
    assert first.gap.value == pytest.approx(first.realized.value - first.promised.value)
    assert first.gap.level == pytest.approx(2 * first.promised.level - 1)
    assert found.followed is not None and found.followed.agreement == 1.0
    assert found.spread is not None and found.spread.fits
    assert "does not contradict the prediction" in found.sentence
    assert "300 rounds realized" in found.sentence and "the promise held" in found.sentence
    assert not any("did not make" in note for note in found.notes)


def test_a_spread_that_could_not_have_been_contradicted_is_not_praised(run, tmp_path):
    log = written(played(BEST, seed=5, size=31), tmp_path / "few.parquet")
    found = realize_job(run, log)
    assert found.spread is not None and found.spread.fits
    vague = found.spread.model_copy(update={"allowed": 0.7})
    assert "cannot be compared" in _of_spread(vague, Values(read_promises(run)))


def test_the_world_has_changed(run, tmp_path):
    """The best arm pays six times in ten now."""
    dataset = played(BEST, seed=5, success=(0.2, 0.5, 0.6))
    found = realize_job(run, written(dataset, tmp_path / "new.parquet"))
    kept = {one.estimator: one.kept for one in found.promises}
    assert kept.pop(GUARANTEED) is Kept.HELD  # It promised .65 to .97.
    assert set(kept.values()) == {Kept.FELL_SHORT}
    assert "11 fell short, 1 held" in found.sentence
    assert found.spread is not None and not found.spread.fits
    assert "it fell short, by −0." in found.sentence
    assert "spread otherwise than predicted" in found.sentence


def test_another_hand_made_the_log(run, tmp_path):
    dataset = played((0.1, 0.1, 0.8), seed=5)
    found = realize_job(run, written(dataset, tmp_path / "new.parquet"))
    assert found.followed is not None and not found.followed.is_plausible
    assert found.followed.agreement == pytest.approx((dataset.action == 2).mean())
    assert "This policy did not make this log" in found.notes[0]
    assert "of the decisions the logged propensity is not its own" in found.notes[0]
    assert found.followed.foreign == 1.0


def test_other_policies_are_assumed_to_have_made_it(run, tmp_path):
    dataset = played((0.5, 0.3, 0.2), seed=5)
    path = written(dataset, tmp_path / "new.parquet")
    found = realize_job(run, path, policy="behavior")
    assert [one.estimator for one in found.promises] == ["data"]
    assert found.promises[0].kept is Kept.HELD and found.followed is None
    assert "That this policy made the log is assumed" in found.notes[0]
    assert found.spread is None


def test_a_log_that_shows_one_action_only_is_read_by_names(run, tmp_path):
    """The arm is the third of the run, and the first of a log without labels."""
    reward = played(BEST, seed=8, size=100).reward
    path = tmp_path / "new.csv"
    rows = [f"{i},1,0,arm 2,{paid},1,0" for i, paid in enumerate(reward)]
    names = "episode,observation.constant,state_id,action,reward,terminated,truncated"
    path.write_text("\n".join([names, *rows]))
    found = realize_job(run, path)
    assert found.followed is not None and found.followed.agreement == 1.0


def test_few_episodes_have_numbers_and_no_intervals(run, tmp_path):
    found = realize_job(run, written(played(BEST, seed=5, size=29), tmp_path / "n.parquet"))
    assert {one.kept for one in found.promises} == {Kept.TOO_FEW}
    assert all(one.realized.low is None and one.gap.low is None for one in found.promises)
    assert any("no interval holds with fewer than 30" in note for note in found.notes)


def test_each_log_is_kept_once(run, tmp_path):
    first = written(played(BEST, seed=5), tmp_path / "first.parquet")
    second = written(played(BEST, seed=6), tmp_path / "second.parquet")
    for path, date in ((first, "one"), (second, "two"), (first, "three")):
        realize_job(run, path, date=date)
    assert [one.date for one in read(run).entries] == ["two", "three"]
    realize_job(run, first, policy="behavior")
    assert len(read(run).entries) == 3
    assert "realized.json" not in artifacts.verify(run)


def test_a_changed_or_interrupted_record_is_refused(run, tmp_path):
    path = written(played(BEST, seed=5), tmp_path / "new.parquet")
    realize_job(run, path)
    record = run / "realized.json"
    record.write_text(record.read_text().replace("held", "exceeded"))
    with pytest.raises(ArtifactError, match="realized.json"):
        realize_job(run, path)


def test_an_unsealed_record_is_not_lost_silently(run, tmp_path):
    (run / "realized.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is not sealed.* Move it away"):
        realize_job(run, written(played(BEST, seed=5), tmp_path / "new.parquet"))


def test_the_log_of_the_run_proves_nothing(place, run, tmp_path):
    assert "About 3,000 of the 3,000 episodes" in refused(run, place / "log.parquet")
    part = Bandit().log(3000, seed=0).take_episodes(np.arange(2900, 3000))
    said = refused(run, written(part, tmp_path / "part.parquet"))
    assert "REUSE" in said and "About 100 of the 100 episodes" in said


def test_without_the_log_of_the_run_its_fingerprints_are_compared(place, run, tmp_path):
    """The exported policy remembers what it was learned and chosen by."""
    kept = (place / "log.parquet").rename(tmp_path / "elsewhere.parquet")
    try:
        found = realize_job(run, written(played(BEST, seed=5), tmp_path / "new.parquet"))
        assert "is no longer there: compared was this one with the episodes that" in str(
            found.notes
        )
        part = Bandit().log(3000, seed=0).take_episodes(np.arange(200))
        with pytest.raises(DataError, match="REUSE"):
            realize_job(run, written(part, tmp_path / "part.parquet"))
    finally:
        kept.rename(place / "log.parquet")


def test_cut_episodes_are_no_whole_returns(run, tmp_path):
    """Of the run, whose horizon is 1, none can be cut before; without one none may be."""
    dataset = played(BEST, seed=5)
    is_cut = np.arange(300) < 7
    dataset = replace(dataset, truncated=is_cut, terminated=~is_cut)
    path = written(dataset, tmp_path / "new.parquet")
    assert realize_job(run, path).horizon == 1
    artifacts.save_sealed(run, {"report.json": _without_horizon(run)})
    with pytest.raises(DataError, match="7 of 300 episodes were cut off") as caught:
        realize_job(run, path)
    assert caught.value.findings[0].code == "HORIZON"


def _without_horizon(run) -> bytes:
    report = read_promises(run)
    estimand = report.estimand.model_copy(update={"horizon": None})
    return report.model_copy(update={"estimand": estimand}).model_dump_json().encode()


def test_unknown_policies_and_unfinished_runs(run, tmp_path):
    path = written(played(BEST, seed=5), tmp_path / "new.parquet")
    said = refused(run, path, policy="value_iteratoin")
    assert "Did you mean 'value_iteration'? There are: 'behavior', " in said
    assert "is not a run directory" in refused(tmp_path, path)
    begun = tmp_path / "begun"
    artifacts.save_sealed(begun, {"plan.json": (run / "plan.json").read_bytes()})
    assert "has no verdict yet" in refused(begun, path)


def test_without_a_recommendation_the_best_is_meant(run):
    report = read_promises(run)
    decide = report.decide.model_copy(update={"recommended": None, "best": "uniform"})
    report = report.model_copy(update={"decide": decide})
    assert named(report, None) == "uniform"
    assert GUARANTEED not in {one.name for one in promises_of(report, "behavior")}
    decide = decide.model_copy(update={"best": None})
    with pytest.raises(ValueError, match="neither recommends a policy nor names"):
        named(report.model_copy(update={"decide": decide}), None)
