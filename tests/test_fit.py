"""Training that is killed, resumed or stopped by bad numbers."""

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from repository import bench

from stitchrl.experience import Experience
from stitchrl.fit import Progress, fit
from stitchrl.normalizer import Normalizer
from stitchrl.plan import Plan, members
from stitchrl.probing import make_probe
from stitchrl.splits import split
from stitchrl.testing import small_log

SMALL = {"hidden": [[16, 16]], "batch_size": [32]}


def train(
    directory: Path,
    *,
    updates: int = 8,
    report=lambda progress: None,
    say=lambda sentence: None,
    **grids,
):
    parts = split(small_log("discrete"), seed=0)
    normalizer = Normalizer.fit(parts.train)
    plan = Plan(log="small", algorithms=grids, updates=updates, chunk=4)
    return fit(
        members(plan.resolved(parts.train.spec), parts.train.spec),
        Experience.of(parts.train, normalizer),
        make_probe(parts.selection, normalizer, seed=0, size=64),
        updates=updates,
        chunk=4,
        directory=directory,
        report=report,
        say=say,
        seconds_between_saves=0.0,
    )


def test_killed_runs_end_like_an_uninterrupted_one():
    outcome = bench("resume").prove(3)
    assert [equal for equal, _ in outcome] == [True] * 3
    assert sum(kills for _, kills in outcome) >= 1


def test_a_member_with_bad_numbers_stops_and_the_others_go_on(tmp_path):
    told: list[Progress] = []
    rates = {"learning_rate": [3e-4, 1e6], **SMALL}
    fitted = train(tmp_path, iql=rates, report=told.append)
    healthy, broken = fitted[:2], fitted[2:]
    for one in healthy:
        assert one.stopped is None
        assert [record["step"] for record in one.records] == [4, 8]
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(one.state))
    for one in broken:
        assert one.stopped is not None and "update" in one.stopped
        assert "source rows" in one.stopped
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(one.state))
    assert told[-1].stopped == 2 and told[-1].step == 8
    again = train(tmp_path, iql=rates)
    assert [one.stopped for one in again] == [one.stopped for one in fitted]
    assert [one.records for one in again] == [one.records for one in fitted]


def test_probes_are_recorded_and_finished_runs_are_not_repeated(tmp_path, monkeypatch):
    times = []
    monkeypatch.setattr("stitchrl.fit.make_room", lambda: times.append("before"))
    first = train(tmp_path, bc=SMALL, iql=SMALL)
    assert len(times) == 2  # Programs.
    record = first[-1].records[-1]
    assert {"step", "train/critics/loss", "held_out/critics/loss"} <= record.keys()
    assert {"own_estimate", "q/logged", "q/policy"} <= record.keys()
    assert "own_estimate" not in first[0].records[-1]
    told: list[Progress] = []
    again = train(tmp_path, bc=SMALL, iql=SMALL, report=told.append)
    assert told == []
    for before, after in zip(first, again):
        assert before.records == after.records
        same = jax.tree.map(np.array_equal, before.state, after.state)
        assert all(jax.tree.leaves(same))


def test_a_damaged_checkpoint_is_replaced_by_the_one_before_it_and_said_so(tmp_path):
    whole = train(tmp_path / "whole", bc=SMALL)
    train(tmp_path / "damaged", bc=SMALL)
    weights = tmp_path / "damaged/000/checkpoint/000000000008/weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    said: list[str] = []
    again = train(tmp_path / "damaged", bc=SMALL, say=said.append)
    assert any("newest checkpoint is damaged" in warning for warning in said)
    assert [one.updates for one in again] == [4, 4]  # Both seeds go back together.
    for before, after in zip(whole, again):
        assert before.records == after.records
        same = jax.tree.map(np.array_equal, before.state, after.state)
        assert all(jax.tree.leaves(same))


def test_lost_metrics_are_said_and_the_last_are_measured_anew(tmp_path):
    whole = train(tmp_path, double_dqn=SMALL)
    for one in whole:
        (tmp_path / f"{one.plan.number:03d}/metrics.jsonl").unlink()
    said: list[str] = []
    again = train(tmp_path, double_dqn=SMALL, say=said.append)
    assert sum("metrics in between are lost" in warning for warning in said) == 2
    for before, after in zip(whole, again):
        (last,) = after.records
        assert last["step"] == 8
        assert last["own_estimate"] == before.records[-1]["own_estimate"]


def test_resuming_after_a_member_stopped_warns_of_nothing(tmp_path):
    rates = {"learning_rate": [3e-4, 1e6], **SMALL}
    train(tmp_path, bc=rates)
    said: list[str] = []
    train(tmp_path, updates=12, bc=rates, say=said.append)
    assert said == ["Compiling one program for 4 members of BC"]


def test_a_plan_whose_chunks_do_not_fit_is_refused():
    parts = split(small_log("discrete"), seed=0)
    with pytest.raises(ValueError, match="multiple of its chunk of 1,000"):
        Plan(log="small", updates=1_500).resolved(parts.train.spec)


def test_a_finished_member_is_kept_where_one_of_its_program_must_begin_anew(tmp_path):
    whole = train(tmp_path, bc=SMALL)
    weights = tmp_path / "000/checkpoint/000000000008/weights.safetensors"
    written = weights.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "001")
    again = train(tmp_path, bc=SMALL)
    assert weights.stat().st_mtime_ns == written
    assert [one.updates for one in again] == [0, 8]
    for before, after in zip(whole, again):
        assert before.records == after.records
        same = jax.tree.map(np.array_equal, before.state, after.state)
        assert all(jax.tree.leaves(same))


def test_where_all_have_stopped_nothing_is_left_to_train(tmp_path):
    fitted = train(tmp_path, iql={"learning_rate": [1e6], **SMALL})
    assert all(one.stopped for one in fitted)
    assert (tmp_path / "000/checkpoint/000000000008").is_dir()
    told: list[Progress] = []
    again = train(tmp_path, iql={"learning_rate": [1e6], **SMALL}, report=told.append)
    assert told == []
    assert [one.stopped for one in again] == [one.stopped for one in fitted]
    assert [one.records for one in again] == [one.records for one in fitted]
