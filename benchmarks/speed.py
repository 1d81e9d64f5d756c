"""Speed beside d3rlpy, eager PyTorch and what the machine can do: `make bench-speed`.

    python benchmarks/speed.py [--seconds 10] [--part NAME] [--fresh]

Each part is a process of its own, one at a time, and all parts run in each of 3 rounds, so
that the two sides of a ratio alternate and a drift of the machine cancels. What is kept in
.bench/speed is not measured again, unless the code, the versions, the machine or --seconds
have changed or --fresh is given. Writes results/speed.json; benchmarks/README.md explains.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import speed_figures
from record import save
from speed_task import ALGORITHMS, MEMBERS, MORE_MEMBERS, ROUNDS

from stitchrl import artifacts, devices

HERE = Path(__file__).parent
ROOT = HERE.parent
KEPT = ROOT / ".bench" / "speed"
WINDOWS = 6  # Of each part, in each round.
# Of the seconds that IQL takes.
SHARE = dict.fromkeys(ALGORITHMS, 0.5) | {"iql": 1.0, "cql": 1.0}
QUIET = 0.1  # Share of the CPUs that may be busy with something else.
CORES = devices.thread_count()
UNSET = (  # What would set threads or kernels from outside.
    "XLA_FLAGS OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS OPENBLAS_CORETYPE"
).split()


class Part(NamedTuple):
    """A process: what it is called, its program and arguments, and its environment."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = {}
    share: float | None = None  # Of --seconds; None: takes no such argument.


def sgemm_parts() -> list[Part]:
    """NumPy's library as it is, then with kernels for AVX-512 where it has them; XLA.

    OpenBLAS does not know every processor by name, and falls back to AVX2 on others.
    """
    kernels = {"numpy": {}}
    if "avx512bw" in cpu_facts().get("flags", "").split():
        kernels["numpy_avx512"] = {"OPENBLAS_CORETYPE": "SkylakeX"}
    parts = [
        Part(
            f"sgemm_{kernel}_{way}",
            ("speed_sgemm.py", "numpy", way),
            {**chosen, "OPENBLAS_NUM_THREADS": str(CORES if way == "threads" else 1)},
        )
        for kernel, chosen in kernels.items()
        for way in ("one", "threads", "cores")
    ]
    ways = ("one", "cores")
    return parts + [
        Part(f"sgemm_xla_{way}", ("speed_sgemm.py", "xla", way)) for way in ways
    ]


def training_part(program: str, algorithm: str, share: float, *more: object) -> Part:
    """Ours or the peer's: the default number of threads, nothing set from outside."""
    words = [algorithm, *map(str, more)]
    name = "_".join([*words, program]).replace("--", "")
    return Part(name, (f"speed_{program}.py", *words), share=share)


def all_parts() -> list[Part]:
    """In the order of a round."""
    parts = sgemm_parts()
    for algorithm in ALGORITHMS:
        parts += [
            training_part("stitchrl", algorithm, SHARE[algorithm], "--population", MEMBERS),
            training_part("d3rlpy", algorithm, SHARE[algorithm]),
            training_part("stitchrl", algorithm, SHARE[algorithm]),
            training_part("torch", algorithm, SHARE[algorithm]),
        ]
    more = training_part("stitchrl", "iql", SHARE["iql"], "--population", MORE_MEMBERS)
    return [*parts, more]


def run(part: Part, seconds: float) -> dict[str, Any]:
    """Start the part's process, wait for it, and read the line that it ends with."""
    program, *arguments = part.arguments
    command = [sys.executable, str(HERE / program), *arguments]
    if part.share is not None:
        command += ["--seconds", str(seconds * part.share), "--windows", str(WINDOWS)]
    inherited = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment = {**inherited, "JAX_PLATFORMS": "cpu", **part.environment}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(f"{part.name} failed:\n{finished.stdout}{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])


def busy_share(seconds: float = 0.5) -> float:
    """Share of all CPUs that other processes use, while this one waits."""

    def times() -> tuple[int, int]:
        first = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        values = [int(value) for value in first]
        return sum(values), values[3] + values[4]  # All; idle and waiting for disks.

    if not Path("/proc/stat").exists():
        return float("nan")
    total, idle = times()
    time.sleep(seconds)
    total_after, idle_after = times()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def quiet_share(seconds: float = 60.0) -> float:
    """The same, once it is small; after so many seconds, as it is."""
    until = time.perf_counter() + seconds
    while (busy := busy_share()) > QUIET and time.perf_counter() < until:
        pass
    return busy


def cpu_facts() -> dict[str, str]:
    """What Linux says of the first CPU; nothing elsewhere."""
    place = Path("/proc/cpuinfo")
    if not place.exists():
        return {}
    lines = place.read_text().split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def machine() -> str:
    """CPU model, cores, memory: the model name alone is the same for many."""
    facts = cpu_facts()
    model = facts.get("model name", platform.processor() or platform.machine())
    family = f" (family {facts['cpu family']})" if "cpu family" in facts else ""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{model}{family}, {CORES} cores, {memory:.0f} GiB, {platform.system()}"


def versions() -> dict[str, str]:
    """Of everything that is timed."""
    peers = {name: importlib.metadata.version(name) for name in ("d3rlpy", "torch")}
    return devices.versions() | peers


def settings(seconds: float) -> str:
    """A hash of what a kept result depends on."""
    digest = hashlib.sha256(json.dumps([seconds, machine(), versions()]).encode())
    for path in sorted([*HERE.glob("speed*.py"), *(ROOT / "src").rglob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kept(place: Path, expected: str) -> dict[str, Any] | None:
    """The result of a part if it was measured under the expected settings."""
    result = json.loads(place.read_text()) if place.exists() else {}
    return result if result.get("settings") == expected else None


def measure(parts: list[Part], *, seconds: float, expected: str, fresh: bool) -> None:
    """Measure what is not kept yet, round by round."""
    for number in range(ROUNDS):
        for part in parts:
            place = KEPT / f"{number}-{part.name}.json"
            if not fresh and kept(place, expected):
                continue
            busy, start = quiet_share(), time.perf_counter()
            result = run(part, seconds) | {"busy": busy, "settings": expected}
            artifacts.save_json(place, result)
            best = max(result["rates"])
            warning = f"  (others use {busy:.0%} of the CPUs)" if busy > QUIET else ""
            took = time.perf_counter() - start
            print(
                f"{number} {part.name:24s} {best:8.1f}  {took:4.0f} s{warning}", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a part's windows")
    parser.add_argument("--part", default="", help="only parts whose name has this in it")
    parser.add_argument("--fresh", action="store_true", help="measure again what is kept")
    options = parser.parse_args()
    start, parts = time.perf_counter(), all_parts()
    seconds, expected = options.seconds, settings(options.seconds)
    chosen = [part for part in parts if options.part in part.name]
    if not chosen:
        raise SystemExit(f"--part {options.part}: there is {[part.name for part in parts]}")
    measure(chosen, seconds=seconds, expected=expected, fresh=options.fresh)

    results = {}
    for part in parts:
        places = [KEPT / f"{number}-{part.name}.json" for number in range(ROUNDS)]
        rounds = [kept(place, expected) for place in places]
        if None in rounds:
            print(f"results/speed.json is not written: {part.name} is still to be run.")
            return
        results[part.name] = rounds
    is_usual = seconds == parser.get_default("seconds")
    command = "make bench-speed" + ("" if is_usual else f' ARGS="--seconds {seconds:g}"')
    rows = speed_figures.rows_of(results)
    library = speed_figures.fastest_sgemm(results)
    save("speed", rows, command=command, machine=machine(), versions=versions(),
         fastest_sgemm=library)  # fmt: skip
    for entry in rows:
        print("{figure:36s} {value:9.2f} {unit}  ({low:.2f} to {high:.2f})".format(**entry))
    print(f"The fastest sgemm: {library}. {time.perf_counter() - start:.0f} s in all.")


if __name__ == "__main__":
    main()
