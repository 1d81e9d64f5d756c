"""Members trained on a Ray cluster of two nodes, one of which dies."""

import builtins
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from repository import bench

from stitchrl import cluster, devices
from stitchrl.checkpoint import saved_steps
from stitchrl.cluster import ClusterError, divided, fit_on_cluster
from stitchrl.cluster_task import Trained, shipped, train_members, unpacked
from stitchrl.experience import Experience
from stitchrl.fit import Progress
from stitchrl.normalizer import Normalizer
from stitchrl.plan import Plan, members
from stitchrl.probing import make_probe
from stitchrl.splits import split
from stitchrl.testing import small_log


def test_a_killed_node_loses_nothing_and_changes_nothing():
    (outcome,) = bench("cluster").prove(1, ["bc"])  # Which compiles in no time.
    assert outcome.is_equal
    assert outcome.lost == 0 and outcome.kept >= 1
    assert outcome.left >= 4 and outcome.rerun >= 1  # Killed in the middle of the work.


def arguments(directory: Path, **grids) -> dict:
    parts = split(small_log("discrete"), seed=0)
    normalizer = Normalizer.fit(parts.train)
    plan = Plan(log="small", algorithms=grids, updates=4, chunk=4, seeds=3)
    return {
        "plans": members(plan.resolved(parts.train.spec), parts.train.spec),
        "experience": Experience.of(parts.train, normalizer),
        "probe": make_probe(parts.selection, normalizer, seed=0, size=64),
        "updates": 4,
        "chunk": 4,
        "directory": directory,
    }


def test_members_are_divided_so_that_all_machines_have_work(tmp_path):
    grids = {"bc": {"hidden": [[8], [16]], "learning_rate": [1e-3, 1e-4]}}
    plans = arguments(tmp_path, **grids)["plans"]  # Two programs of six members.

    for slots, least in ((1, 1), (2, 2), (3, 2), (4, 1), (100, 2), (100, 1)):
        tasks = divided(plans, slots, least)
        assert sorted(one.number for task in tasks for one in task) == list(range(12))
        for task in tasks:  # One program each.
            assert len({one.algorithm.hidden for one in task}) == 1
            assert len(task) >= least
    assert [len(task) for task in divided(plans, 3, 1)] == [3, 3, 3, 3]
    assert [len(task) for task in divided(plans, 100, 1)] == [1] * 12
    assert [len(task) for task in divided(plans, 1, 1)] == [6, 6]


def test_a_log_arrives_as_it_was_sent(tmp_path):
    given = arguments(tmp_path, bc={"hidden": [[8]]})
    sent = shipped(given["experience"], given["probe"])
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(sent))
    experience, probe = unpacked(sent)
    keyless = given["probe"]._replace(key=None), probe._replace(key=None)
    for one, other in zip(
        jax.tree.leaves((given["experience"], keyless[0])),
        jax.tree.leaves((experience, keyless[1])),
        strict=True,
    ):
        assert other.dtype == one.dtype
        assert isinstance(other, jax.Array) == isinstance(one, jax.Array)
        np.testing.assert_array_equal(one, other)
    assert jax.tree.structure(experience) == jax.tree.structure(given["experience"])
    assert jnp.array_equal(given["probe"].key, probe.key)


def test_another_version_on_a_machine_is_refused_before_training(tmp_path):
    given = arguments(tmp_path, bc={"hidden": [[8]]})
    other = devices.versions() | {"jax": "0.0.1"}
    with pytest.raises(RuntimeError, match=r"other versions .*'0\.0\.1'.*Install the same"):
        train_members(
            given["plans"],
            shipped(given["experience"], given["probe"]),
            updates=4,
            chunk=4,
            cpus=1,
            precision=None,
            versions=other,
            report=lambda progress: None,
            say=lambda sentence: None,
        )


def test_without_ray_or_without_a_cluster_there_is_a_way_out(tmp_path, monkeypatch):
    given = arguments(tmp_path, bc={"hidden": [[8]]})
    with pytest.raises(
        ClusterError, match=r"no Ray cluster at '127\.0\.0\.1:1'.*ray start"
    ):
        fit_on_cluster(**given, address="127.0.0.1:1")
    found = builtins.__import__

    def without_ray(name, *more):
        if name == "ray":
            raise ImportError(name)
        return found(name, *more)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(ClusterError, match=r"pip install 'stitchrl\[ray\]'"):
        fit_on_cluster(**given, address="auto")


class FakeRay:
    """Nodes as Ray tells of them."""

    def __init__(self, *nodes: dict[str, float]):
        self.resources = nodes

    def nodes(self) -> list[dict]:
        gone = {"Alive": False, "Resources": {"CPU": 1.0}}
        return [gone, *({"Alive": True, "Resources": one} for one in self.resources)]


@pytest.mark.parametrize(
    ("nodes", "share"),
    [
        (({"CPU": 2.0}, {"CPU": 2.0}), (2, 0, 2)),
        (({"CPU": 8.0}, {"CPU": 3.0}, {"memory": 1.0}), (3, 0, 3)),
        (({"CPU": 16.0, "GPU": 4.0}, {"CPU": 8.0}), (4, 1, 4)),
        (({"GPU": 1.0},), (0, 1, 1)),  # Ray tells no CPUs where there are none.
    ],
)
def test_a_task_takes_a_whole_machine_or_one_gpu(nodes, share):
    assert cluster._share_of_machine(FakeRay(*nodes)) == share


def test_machines_without_cpus_are_refused():
    with pytest.raises(ClusterError, match="offers a CPU"):
        cluster._share_of_machine(FakeRay({"memory": 1.0}))


def progress(share: float, rate: float) -> Progress:
    return Progress("bc", 0, 0, share, rate, 0.0, 0)


def test_tasks_progress_is_that_of_the_run(tmp_path):
    plans = arguments(tmp_path, bc={"hidden": [[8]]})["plans"]
    told: list[Progress] = []
    view = cluster._View([plans[:1], plans[1:]], 100, told.append)
    view.show({})
    assert told == []  # There is nothing to tell yet.
    view.show({1: progress(0.75, 10.0)})
    assert (told[-1].share, told[-1].step, told[-1].updates_per_second) == (0.5, 50, 10.0)
    view.finished.add(1)
    view.show({0: progress(0.1, 5.0), 1: progress(0.75, 10.0)})
    assert told[-1].share == pytest.approx((2 + 0.1) / 3)
    assert told[-1].updates_per_second == 5.0
    view.show({0: progress(0.1, 5.0), 1: progress(0.75, 10.0)})
    assert len(told) == 2


class TaskError(Exception):
    """What Ray raises where a task failed."""

    cause = RuntimeError("no space left on that machine")


class Calls:
    """A function or an actor as Ray hands it out; calls are numbered, and nothing else."""

    def __init__(self):
        self.made = 0

    def remote(self, *inputs):
        del inputs
        self.made += 1
        return self.made - 1


class FailingRay(FakeRay):
    """Ray, but nothing computes: the first task fails, others are still under way."""

    class exceptions:
        RayError = TaskError

    def __init__(self):
        super().__init__({"CPU": 1.0}, {"CPU": 1.0})
        self.canceled: list[int] = []
        self.over: dict[int, list[Trained]] = {}  # What tasks that went well send back.
        self.is_connected = True

    def get_runtime_context(self):
        return self

    def get_node_id(self) -> str:
        return "here"

    def remote(self, **share):
        del share
        return lambda what: Calls()

    def put(self, log):
        return log

    def wait(self, references, timeout):
        return references[:1], references[1:]

    def get(self, reference, timeout=None):
        if reference in self.over:
            return self.over[reference]
        raise TaskError

    def cancel(self, reference, force):
        self.canceled.append(reference)

    def shutdown(self):
        self.is_connected = False


def test_a_task_that_fails_ends_the_others_and_says_why(tmp_path, monkeypatch):
    ray = FailingRay()
    monkeypatch.setattr(cluster, "_connect", lambda address: (ray, True))
    given = arguments(tmp_path, bc={"hidden": [[8]]})  # Two tasks, on two machines.
    with pytest.raises(
        ClusterError, match="RuntimeError: no space left .* kept in"
    ) as said:
        fit_on_cluster(**given, address="auto")
    assert str(tmp_path) in str(said.value)
    assert ray.canceled == [1] and not ray.is_connected
    assert not [*tmp_path.iterdir()]


def test_what_is_over_when_another_task_fails_is_kept(tmp_path, monkeypatch):
    ray = FailingRay()
    ray.over[1] = [Trained(4, {"weights": b"trained"}, b"{}")]
    monkeypatch.setattr(cluster, "_connect", lambda address: (ray, True))
    with pytest.raises(ClusterError, match="no space left"):
        fit_on_cluster(**arguments(tmp_path, bc={"hidden": [[8]]}), address="auto")
    (kept,) = tmp_path.iterdir()
    assert kept.name == "002" and saved_steps(kept / "checkpoint") == [4]


def test_it_is_said_that_half_trained_members_begin_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_connect", lambda address: (FailingRay(), True))
    (tmp_path / "001" / "checkpoint" / "000000000002").mkdir(parents=True)
    said: list[str] = []
    given = arguments(tmp_path, bc={"hidden": [[8]]}) | {"say": said.append}
    with pytest.raises(ClusterError):
        fit_on_cluster(**given, address="auto")
    assert "Half trained here, and begun anew on the cluster: 1" in said


def test_a_cluster_without_machines_for_a_task_is_given_up(tmp_path, monkeypatch):
    class Losing(FailingRay):
        def wait(self, references, timeout):
            self.resources = ({"memory": 1.0},)
            return [], references

    monkeypatch.setattr(cluster, "_connect", lambda address: (Losing(), True))
    with pytest.raises(ClusterError, match="No machine is left .* 1 CPUs and 0 GPUs"):
        fit_on_cluster(**arguments(tmp_path, bc={"hidden": [[8]]}), address="auto")
