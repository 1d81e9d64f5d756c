"""Groups of a sweep on other machines: each group is one task of a Ray cluster.

A task trains one population with `fit`, as this machine would, and sends back what it saved.
Ray decides where tasks run, and runs one again whose machine was lost.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import jax
import numpy as np

from stitchrl import artifacts, devices
from stitchrl.checkpoint import saved_steps
from stitchrl.experience import Experience
from stitchrl.fit import Fitted, fit
from stitchrl.plan import MemberPlan
from stitchrl.population import by_program
from stitchrl.probing import Probe
from stitchrl.programs import make_room

CHECKPOINT, METRICS = "checkpoint", "metrics.jsonl"


class ClusterError(RuntimeError):
    """Ray is not there, cannot be reached, or what runs on it does not fit."""


class _Trained(NamedTuple):
    """What a task sends back."""

    checkpoints: list[dict[str, bytes]]  # Files of each member's last one.
    steps: list[int]
    metrics: list[bytes]
    versions: dict[str, str]
    node: str
    seconds: float
    said: list[str]


def fit_on_cluster(
    plans: Sequence[MemberPlan],
    experience: Experience,
    probe: Probe,
    *,
    address: str,
    updates: int,
    chunk: int,
    directory: Path,
    report: Callable[[Any], None] = lambda progress: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Fitted]:
    """`fit`, with every group that shares a program trained on the cluster at `address`.

    A group takes all CPUs of a machine (those of the smallest), or one GPU where machines
    have some. What it saved is written to `directory` as soon as it is finished, and never
    trained again; a group whose machine is lost begins anew on another one. Interrupted and
    called again, with or without a cluster, only what is not there yet is trained. Raises
    `ClusterError` if the cluster cannot be used.
    """
    groups = [[plans[i] for i in g] for g in by_program([p.algorithm for p in plans])]
    waiting = [group for group in groups if not _is_finished(group, directory, updates)]
    if waiting:
        _train_all(waiting, experience, probe, address, updates, chunk, directory, say)
    return fit(
        plans, experience, probe, updates=updates, chunk=chunk, directory=directory,
        report=report, say=say,
    )  # fmt: skip


def _is_finished(group: list[MemberPlan], directory: Path, updates: int) -> bool:
    places = [directory / f"{plan.number:03d}" / CHECKPOINT for plan in group]
    return all(saved_steps(place)[-1:] == [updates] for place in places)


def _train_all(groups, experience, probe, address, updates, chunk, directory, say) -> None:
    ray = _connect(address)
    try:
        resources = _share_of_machine(ray)
        task = ray.remote(max_retries=-1, **resources)(_train)
        # One copy for all tasks; plain arrays, so that a task sets up JAX before it starts.
        data = ray.put((_to_host(experience), _to_host(probe)))
        cpus = int(resources["num_cpus"])
        under_way = {
            task.remote(group, data, updates, chunk, cpus): group for group in groups
        }
        say(f"Training {len(groups)} groups on the cluster at {address}")
        while under_way:
            (reference,), _ = ray.wait(list(under_way), num_returns=1)
            group = under_way.pop(reference)
            trained = ray.get(reference)
            _require_alike(trained)
            _save(group, trained, directory)
            for sentence in trained.said:
                say(sentence)
            name = ", ".join(dict.fromkeys(plan.label for plan in group))
            say(
                f"{len(group)} of {name} came back from {trained.node} after "
                f"{trained.seconds:.0f} s; {len(under_way)} groups left"
            )
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "--cluster needs Ray, which is not installed. Install it: pip install "
            "'stitchrl[ray]'"
        ) from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"There is no Ray cluster at '{address}' ({error}). Start one with 'ray start "
            "--head' on one machine and 'ray start --address=HOST:6379' on the others."
        ) from error
    return ray


def _share_of_machine(ray: Any) -> dict[str, float]:
    """What a task takes: a whole machine, the smallest of all; one GPU if there are any."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpus = [one for one in alive if one.get("GPU", 0) >= 1]
    if with_gpus:
        each = min(one.get("CPU", 1) // one["GPU"] for one in with_gpus)
        return {"num_cpus": max(1.0, each), "num_gpus": 1.0}
    cpus = [one["CPU"] for one in alive if one.get("CPU", 0) >= 1]
    if not cpus:
        raise ClusterError(
            "No machine of the cluster offers a CPU: ray start --num-cpus=N."
        )
    return {"num_cpus": min(cpus)}


def _require_alike(trained: _Trained) -> None:
    if trained.versions != devices.versions():
        raise ClusterError(
            f"Machine {trained.node} has {trained.versions}, this one {devices.versions()}. "
            "Install the same versions everywhere, or results cannot be compared."
        )


def _to_host(tree: Any) -> Any:
    """With NumPy arrays for those of JAX, and random keys as numbers."""
    if isinstance(tree, Probe):
        tree = tree._replace(key=jax.random.key_data(tree.key))
    return jax.tree.map(np.asarray, tree)


def _train(
    group: list[MemberPlan], data: Any, updates: int, chunk: int, cpus: int
) -> _Trained:
    """On a machine of the cluster: train one group, and read what was saved."""
    import ray

    if not devices._has_started():
        devices.prepare(host_devices=cpus)
    start, said = time.monotonic(), []
    experience, probe = jax.tree.map(np.array, data)  # The cluster's memory is read-only.
    experience = jax.device_put(experience)
    key = jax.random.wrap_key_data(probe.key)
    probe = jax.device_put(probe._replace(key=None))._replace(key=key)
    make_room()
    with TemporaryDirectory() as name:
        place = Path(name)
        fit(
            group, experience, probe, updates=updates, chunk=chunk, directory=place,
            say=said.append,
        )  # fmt: skip
        places = [place / f"{plan.number:03d}" for plan in group]
        steps = [saved_steps(one / CHECKPOINT)[-1] for one in places]
        folders = [one / CHECKPOINT / f"{step:012d}" for one, step in zip(places, steps)]
        return _Trained(
            checkpoints=[artifacts.load_directory(folder) for folder in folders],
            steps=steps,
            metrics=[(one / METRICS).read_bytes() for one in places],
            versions=devices.versions(),
            node=ray.util.get_node_ip_address(),
            seconds=time.monotonic() - start,
            said=said,
        )


def _save(group: list[MemberPlan], trained: _Trained, directory: Path) -> None:
    """Members' files, the metrics first: a checkpoint says that all is there."""
    for plan, files, step, metrics in zip(
        group, trained.checkpoints, trained.steps, trained.metrics
    ):
        place = directory / f"{plan.number:03d}"
        artifacts.save_file(place / METRICS, metrics)
        artifacts.save_directory(place / CHECKPOINT / f"{step:012d}", files)
