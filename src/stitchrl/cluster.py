"""A run's members trained on the machines of a Ray cluster.

Ray decides where tasks run, and runs one again whose machine was lost; a task is one
population program, and trains as `fit` does here. What comes back is saved at once.
"""

import logging
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stitchrl import devices
from stitchrl.checkpoint import saved_steps
from stitchrl.cluster_task import save_members, shipped, train_members
from stitchrl.experience import Experience, is_elsewhere
from stitchrl.fit import Fitted, Progress, fit
from stitchrl.member_files import MemberFiles
from stitchrl.plan import MemberPlan
from stitchrl.population import by_program
from stitchrl.probing import Probe

LOSSES = 20  # Of machines, under one task, before the task itself is suspected.
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_ANSWER = 5.0


class ClusterError(RuntimeError):
    """Ray is not there, cannot be reached, or what runs on it failed."""


def fit_on_cluster(
    plans: Sequence[MemberPlan],
    experience: Experience,
    probe: Probe,
    *,
    address: str,
    updates: int,
    chunk: int,
    directory: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Fitted]:
    """`fit`, with members trained on the Ray cluster at `address`; "auto": the one here.

    Members that share a program are divided among machines; a task takes all CPUs of a
    machine (as many as the smallest has), or one GPU where there are any. What a task
    trained is saved to `directory` as soon as it is over, and never trained again; a task
    whose machine is lost begins anew on another one. Interrupted and called again, with or
    without a cluster, members that are not finished are trained. Weights are those of
    `fit`, bit for bit, on CPUs of one kind. Raises `ClusterError` if the cluster cannot be
    used, and `ValueError` if columns are not on the device.
    """
    if is_elsewhere(experience):
        raise ValueError(
            "These columns are stored or mapped from files of this machine, which those of "
            "a cluster do not have. Train without the cluster, or read the log into memory."
        )
    waiting = [p for p in plans if not _files(p, directory).is_finished(updates)]
    half = sum(bool(saved_steps(_files(plan, directory).checkpoints)) for plan in waiting)
    if half:
        say(f"Half trained here, and begun anew on the cluster: {half}")
    if waiting:
        cluster = _Cluster(address)
        try:
            cluster.train(
                waiting, experience, probe, updates, chunk, directory, report, say
            )
        except cluster.ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            raise ClusterError(
                f"The cluster at {address} failed: {type(cause).__name__}: {cause} What is "
                f"finished is kept in '{directory}'. Mend this, and give the same command "
                "again."
            ) from error
        finally:
            cluster.leave()
    return fit(
        plans, experience, probe, updates=updates, chunk=chunk, directory=directory,
        report=report, say=say,
    )  # fmt: skip


def _files(plan: MemberPlan, directory: Path) -> MemberFiles:
    return MemberFiles.of(directory, plan.number)


def divided(plans: Sequence[MemberPlan], slots: int, least: int) -> list[list[MemberPlan]]:
    """Plans that share a program, cut into about equal tasks so that `slots` have work.

    None is cut that has no more than `least` members, which a machine trains at once.
    """
    share = max(least, -(-len(plans) // slots))
    tasks = []
    for indices in by_program([plan.algorithm for plan in plans]):
        pieces = np.array_split(indices, -(-len(indices) // share))
        tasks += [[plans[i] for i in piece] for piece in pieces]
    return tasks


class _Board:
    """Where tasks say how far they are: an actor, of which Ray keeps one."""

    def __init__(self):
        self.progress: dict[int, Progress] = {}
        self.sentences: list[str] = []

    def tell(self, task: int, what: Progress | str) -> None:
        if isinstance(what, str):
            self.sentences.append(what)
        else:
            self.progress[task] = what

    def read(self) -> tuple[dict[int, Progress], list[str]]:
        sentences, self.sentences = self.sentences, []
        return self.progress, sentences


class _Cluster:
    """A connection to Ray, and what a task takes of a machine there."""

    def __init__(self, address: str):
        self.address = address
        self.ray, self.is_ours = _connect(address)
        try:
            self.cpus, self.gpus, self.slots = _share_of_machine(self.ray)
        except ClusterError:
            self.leave()
            raise

    def _require_a_machine(self) -> None:
        """Raise `ClusterError` if no machine is left that could take a task."""
        alive = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(
            one.get("CPU", 0) >= self.cpus and one.get("GPU", 0) >= self.gpus
            for one in alive
        ):
            raise ClusterError(
                f"No machine is left on the cluster at {self.address} with "
                f"{self.cpus} CPUs and {self.gpus} GPUs for a task. What is finished is "
                "kept; start machines again, and give the same command once more."
            )

    def leave(self) -> None:
        """End what this process began there; tasks under way end with it."""
        if self.is_ours:
            self.ray.shutdown()

    def train(
        self, plans, experience, probe, updates, chunk, directory, report, say
    ) -> None:
        """Train plans and save each task's as they come."""
        ray = self.ray
        tasks = divided(plans, self.slots, 1 if self.gpus else self.cpus)
        # Here: without this process there is nobody to tell anything.
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        board = ray.remote(num_cpus=0, label_selector=here)(_Board).remote()
        share = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": LOSSES}
        run = ray.remote(**share)(_train)
        log = ray.put(shipped(experience, probe))  # One copy for all tasks of a machine.
        settings = {
            "updates": updates,
            "chunk": chunk,
            "cpus": self.cpus,
            "precision": devices.precision(),
            "versions": devices.versions(),
        }
        under_way = {
            run.remote(number, members, log, board, settings): number
            for number, members in enumerate(tasks)
        }
        say(
            f"Training {len(plans)} members as {len(tasks)} tasks on the cluster at "
            f"{self.address}, {self.slots} at a time"
        )
        view = _View(tasks, updates, report)
        try:
            while under_way:
                over, _ = ray.wait(list(under_way), timeout=SECONDS_BETWEEN_LOOKS)
                if not over:
                    self._require_a_machine()
                for reference in over:
                    number = under_way.pop(reference)
                    save_members(tasks[number], ray.get(reference), directory)
                    view.finished.add(number)
                progress, sentences = ray.get(board.read.remote())
                for sentence in sentences:
                    say(sentence)
                view.show(progress)
        finally:
            for reference in under_way:  # One failed, or somebody said stop.
                ray.cancel(reference, force=True)
            for reference, number in under_way.items():
                self._keep(reference, tasks[number], directory)

    def _keep(self, reference: Any, task: list[MemberPlan], directory: Path) -> None:
        """Save a task that is over already, if it is and went well."""
        try:
            save_members(task, self.ray.get(reference, timeout=0), directory)
        except self.ray.exceptions.RayError:
            return


class _View:
    """What tasks say, as one progress of the whole run."""

    def __init__(self, tasks, updates: int, report: Callable[[Progress], None]):
        self.tasks, self.updates, self.report = tasks, updates, report
        self.finished: set[int] = set()
        self.begun, self.shown = time.monotonic(), 0.0

    def show(self, told: dict[int, Progress]) -> None:
        """Report, if anything has changed."""
        shares = {number: one.share for number, one in told.items()}
        shares |= dict.fromkeys(self.finished, 1.0)
        total = sum(map(len, self.tasks))
        share = sum(len(self.tasks[i]) * part for i, part in shares.items()) / total
        if share in (0, self.shown):
            return
        self.shown = share
        seconds = time.monotonic() - self.begun
        working = [number for number in told if number not in self.finished]
        self.report(
            Progress(
                name=f"{len(self.finished)} of {len(self.tasks)} tasks finished",
                step=round(share * self.updates),
                until=self.updates,
                share=share,
                updates_per_second=sum(told[i].updates_per_second for i in working),
                seconds_left=seconds * (1 - share) / share,
                stopped=sum(one.stopped for one in told.values()),
            )
        )


def _train(number: int, plans, log, board, settings: dict[str, Any]) -> Any:
    """On a machine of the cluster."""

    def tell(what: Progress | str) -> None:
        board.tell.remote(number, what)

    return train_members(plans, log, report=tell, say=tell, **settings)


def _connect(address: str) -> tuple[Any, bool]:
    """Ray, connected; and whether it was not before."""
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "A cluster needs Ray, which is not installed. Install it: pip install "
            "'stitchrl[ray]'"
        ) from error
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address not in ("auto", here):
            raise ClusterError(
                f"This process is connected to the Ray cluster at '{here}', not to "
                f"'{address}'. Say 'auto', or call ray.shutdown() first."
            )
        return ray, False
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"There is no Ray cluster at '{address}': {error} Start one with 'ray start "
            "--head' on this machine and 'ray start --address=HOST:6379' on others; then "
            "say 'auto' here."
        ) from error
    return ray, True


def _knock(address: str) -> None:
    """Raise `OSError` if nobody answers there: Ray itself would try for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()


def _share_of_machine(ray: Any) -> tuple[int, int, int]:
    """CPUs and GPUs that one task takes, and how many tasks that lets run at a time."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpus = [one for one in alive if one.get("GPU", 0) >= 1]
    if with_gpus:
        # Ray leaves out CPUs where there are none; a task on a GPU then asks for none.
        cpus = min(int(one.get("CPU", 0) // one["GPU"]) for one in with_gpus)
        return cpus, 1, sum(int(one["GPU"]) for one in with_gpus)
    counts = [int(one["CPU"]) for one in alive if one.get("CPU", 0) >= 1]
    if not counts:
        raise ClusterError(
            "No machine of this cluster offers a CPU. Start them with: ray start "
            "--num-cpus=N"
        )
    return min(counts), 0, sum(count // min(counts) for count in counts)
