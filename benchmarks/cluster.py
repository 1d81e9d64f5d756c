"""Kill a node of a Ray cluster in mid-sweep: nothing finished is lost, all else is rerun.

    python benchmarks/cluster.py [--trials 5]

Six programs of two members each train on two nodes of this machine, as tasks of one CPU.
Two small ones come first, then two large, then two small; when both nodes have been at a
large one for a second, the second node is killed. The sweep must end by itself; its
weights and metrics must equal those of the same sweep without a cluster, bit for bit; and
weights of members that were finished by then must not have been written again. Writes
results/cluster.json.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".bench" / "cluster"
UPDATES, CHUNK, TRIALS = 10_000, 1_000, 5
BATCH = {"batch_size": [64]}
GRIDS = {  # In the order in which Ray begins them.
    "bc": BATCH | {"hidden": [[8], [16], [160, 160], [192, 192]]},
    "iql": BATCH | {"hidden": [[8], [8, 8]]},
}
BEGUN = len(GRIDS["bc"]["hidden"])  # The last two of these take a node some seconds each.
SECONDS_INTO = 1.0  # After both have begun, the second node is killed.


class Outcome(NamedTuple):
    """Of one trial."""

    is_equal: bool  # Weights and metrics, to those without a cluster.
    kept: int  # Members finished before the kill, and untouched by it.
    lost: int  # Of those, members written again: none should be.
    left: int  # Members not finished at the kill.
    rerun: int  # Tasks seen to begin a second time.
    seconds: float


def work(directory: Path, address: str, algorithms: list[str]) -> None:
    """Train the sweep in `directory`, on the cluster at `address` if there is one."""
    import small_run

    from stitchrl import devices

    devices.prepare(host_devices=devices.thread_count())
    small_run.train(
        directory,
        {name: GRIDS[name] for name in algorithms},
        updates=UPDATES,
        chunk=CHUNK,
        address=address,
        say=lambda sentence: print(sentence, flush=True),
    )


def start(
    directory: Path, algorithms: Sequence[str], address: str = ""
) -> subprocess.Popen[str]:
    shutil.rmtree(directory, ignore_errors=True)
    command = [sys.executable, __file__, "--work", str(directory), "--address", address]
    command += ["--algorithms", *algorithms]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What it says, as it says it."""
    assert process.stdout is not None
    while line := process.stdout.readline():
        yield line


def files(directory: Path) -> dict[str, bytes]:
    """Final weights and metrics, by name."""
    names = f"checkpoint/{UPDATES:012d}/weights.safetensors", "metrics.jsonl"
    places = [path for name in names for path in sorted(directory.glob(f"*/{name}"))]
    return {str(path.relative_to(directory)): path.read_bytes() for path in places}


def written(directory: Path) -> dict[str, int]:
    """When the weights of finished members were written, in ns."""
    places = directory.glob(f"*/checkpoint/{UPDATES:012d}/weights.safetensors")
    return {str(path): path.stat().st_mtime_ns for path in places}


@contextmanager
def nodes() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Two nodes: their address and their process."""
    command = [sys.executable, str(Path(__file__).with_name("cluster_nodes.py"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes) as process:
        yield next(lines(process)).strip(), process
        assert process.stdin is not None
        process.stdin.close()


def kill_second(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("kill\n")
    process.stdin.flush()
    assert next(lines(process)) == "killed\n"


def trial(number: int, expected: dict[str, bytes], algorithms: Sequence[str]) -> Outcome:
    """One sweep, whose second node is killed while both are at work."""
    directory, started = WORK / f"killed-{number}", time.monotonic()
    at_kill: dict[str, int] | None = None
    said: list[str] = []
    with nodes() as (address, cluster), start(directory, algorithms, address) as driver:
        for line in lines(driver):
            said.append(line)
            begun = sum("begin on" in one for one in said)
            back = sum("came back" in one for one in said)
            under_way = begun - back
            if at_kill is None and begun >= BEGUN and under_way == 2:  # One on each node.
                time.sleep(SECONDS_INTO)
                at_kill = written(directory)
                kill_second(cluster)
    assert driver.returncode == 0, f"trial {number} failed: {''.join(said)}"
    assert at_kill is not None, f"trial {number}: never were two large ones under way"
    assert at_kill, f"trial {number}: nothing was finished when the node was killed"
    after = written(directory)
    kept = sum(after[name] == moment for name, moment in at_kill.items())
    begins = [line for line in said if "begin on" in line]
    programs = len(expected) // 4  # Weights and metrics of two members.
    return Outcome(
        files(directory) == expected,
        kept,
        len(at_kill) - kept,
        len(after) - len(at_kill),
        len(begins) - programs,
        time.monotonic() - started,
    )


def prove(trials: int, algorithms: Sequence[str] = tuple(GRIDS)) -> list[Outcome]:
    """The sweep without a cluster, then as many with a killed node."""
    whole = WORK / "whole"
    with start(whole, algorithms) as local:
        assert local.wait() == 0, "the sweep without a cluster failed"
    expected = files(whole)
    assert expected and len(expected) % 4 == 0, sorted(expected)
    outcome = []
    for number in range(trials):
        one = trial(number, expected, algorithms)
        outcome.append(one)
        print(f"trial {number}: {one}", flush=True)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="train in this directory, and end")
    parser.add_argument("--address", default="")
    parser.add_argument("--algorithms", nargs="+", default=[*GRIDS])
    parser.add_argument("--trials", type=int, default=TRIALS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.address, arguments.algorithms)
        return
    outcome = prove(arguments.trials, arguments.algorithms)
    from record import row, save

    n = len(outcome)
    passed = sum(one.is_equal and not one.lost and one.rerun > 0 for one in outcome)
    counts = {
        "finished_members_kept": ([one.kept for one in outcome], "members"),
        "members_left": ([one.left for one in outcome], "members"),
        "tasks_rerun": ([one.rerun for one in outcome], "tasks"),
    }
    seconds = [one.seconds for one in outcome]
    rows = [
        row("survived_with_the_same_weights", passed, unit="sweeps", n=n),
        *(
            row(name, sum(each), unit=unit, n=n, low=min(each), high=max(each))
            for name, (each, unit) in counts.items()
        ),
        row("seconds", sum(seconds) / n, unit="s", n=n,
            low=min(seconds), high=max(seconds)),
    ]  # fmt: skip
    save("cluster", rows, command="make bench-cluster")
    sys.exit(0 if passed == n else 1)


if __name__ == "__main__":
    main()
