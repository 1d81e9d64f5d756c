"""Every data set of the zoo, by name."""

import difflib
import functools
from collections.abc import Callable, Mapping
from functools import partial

from stitchrl.zoo import hopper, hopper_logs, icu_sepsis, ogbench, pointmaze
from stitchrl.zoo.entry import ByRollout, Entry, Scale, successes
from stitchrl.zoo.mazes import LARGE, MEDIUM, UMAZE, Maze

FARAMA = "PointMaze of gymnasium-robotics (MIT), MuJoCo (Apache-2.0)"
HOPPER = "Hopper-v4 of gymnasium (MIT), MuJoCo (Apache-2.0)"
OGBENCH = "Point of OGBench (MIT), MuJoCo (Apache-2.0); recorded anew, not OGBench's files"
MIMIC = "ICU-Sepsis (MIT), estimated from MIMIC-III"


@functools.cache
def _maze(maze: Maze) -> pointmaze.PointMaze:
    return pointmaze.PointMaze(maze)


_hopper = functools.cache(hopper.Hopper)


@functools.cache
def _ogpoint() -> ogbench.OGPoint:
    return ogbench.OGPoint(ogbench.MEDIUM)


def _pointmaze(
    name: str, maze: Maze, *, rows: int, zero: float, hundred: float, sha256: str
) -> Entry:
    return Entry(
        name=f"pointmaze-{name}",
        recipe=1,
        rows=rows,
        features=4,
        actions="2 continuous",
        about="A ball pushed through a maze on unknown errands; to stay at one place, "
        "ways must be joined.",
        source=FARAMA,
        needs=pointmaze.NEEDS,
        scale=Scale(
            unit=f"steps of {pointmaze.MAX_STEPS:,} in the region",
            zero=zero,
            hundred=hundred,
            zero_is="random actions",
            hundred_is="a waypoint controller",
        ),
        sha256=sha256,
        build=partial(pointmaze.collect, maze, rows),
        truth=ByRollout(partial(_maze, maze), pointmaze.MAX_STEPS),
    )


def _hopper_log(name: str, about: str, build: Callable, sha256: str) -> Entry:
    zero, hundred = hopper.REFERENCE
    return Entry(
        name=f"hopper-{name}-zoo-v0",
        recipe=1,
        rows=hopper_logs.SIZE,
        features=11,
        actions="3 continuous",
        about=about,
        source=HOPPER,
        needs=hopper.NEEDS,
        scale=Scale(
            unit=f"return in {hopper.MAX_STEPS:,} steps",
            zero=zero,
            hundred=hundred,
            zero_is="D4RL's random policy",
            hundred_is="D4RL's expert",
        ),
        sha256=sha256,
        build=build,
        truth=ByRollout(_hopper, hopper.MAX_STEPS),
    )


def _ogbench(name: str, about: str, course: ogbench.Course, sha256: str) -> Entry:
    return Entry(
        name=f"ogbench-pointmaze-medium-{name}",
        recipe=1,
        rows=ogbench.SIZE,
        features=2,
        actions="2 continuous",
        about=about,
        source=OGBENCH,
        needs=ogbench.NEEDS,
        scale=Scale(
            unit=f"share of episodes that reach the goal in {ogbench.MAX_STEPS:,} steps",
            zero=0.0,
            hundred=1.0,
            zero_is="never there",
            hundred_is="always there",
        ),
        sha256=sha256,
        build=partial(ogbench.collect, course),
        truth=ByRollout(_ogpoint, ogbench.MAX_STEPS, successes),
    )


# References: means of 1,000 episodes, standard errors below: benchmarks/zoo_references.py.
_ALL = (
    _pointmaze(
        "umaze",
        UMAZE,
        rows=100_000,
        zero=111.3,
        hundred=913.6,
        sha256="29eca0d5884e313743aea40ee091376a35050b21427b95336887243050268160",
    ),
    _pointmaze(
        "medium",
        MEDIUM,
        rows=200_000,
        zero=31.2,
        hundred=822.3,
        sha256="c35a244f1c2c8f77564c0ec8ecb44015e26f9a49f7262bb39bf20c511b6797ea",
    ),
    _pointmaze(
        "large",
        LARGE,
        rows=400_000,
        zero=9.1,
        hundred=759.6,
        sha256="4e98693bedb5c09d5b1302dbf59d5d1455d97dc23908215e1ba65036cf1a50fe",
    ),
    _hopper_log(
        "random",
        "A leg that moves by chance, and falls.",
        hopper_logs.of_chance,
        "5a3a893aff4ed36936845eceefdc99089c818008d6042c7fa2e5287f208b3e89",
    ),
    _hopper_log(
        "medium",
        "A leg that falls after a third of an expert's return; densities are logged.",
        partial(hopper_logs.of_rungs, (2,), 0.1),
        "fee4e8bcbec8bf379aa6732315d7671a643e5b0e03465740e673a18b7d4f6ee9",
    ),
    _hopper_log(
        "replay",
        "Legs from first steps to mastery, all with much noise; densities are logged.",
        partial(hopper_logs.of_rungs, (0, 1, 2, 3, 4, 5), 0.2),
        "c856f50706338c4f9054f7658cb1477b85ee67a9dc3799e23dfca99c191a64e9",
    ),
    _hopper_log(
        "expert",
        "A leg that hops well, with little noise; densities are logged.",
        partial(hopper_logs.of_rungs, (5,), 0.03),
        "ede8e2285104f9d0fe9026c61fb45560ac1e64abd706fb4b642610214838a712",
    ),
    _ogbench(
        "navigate",
        "Long walks from goal to goal; the task is one of the places on the way.",
        ogbench.NAVIGATE,
        "7cec065d46440a6336d7a18644ae38ed821110d76ce1a28fa95199aaeb485984",
    ),
    _ogbench(
        "stitch",
        "Short walks of at most four cells; the task is four times as long.",
        ogbench.STITCH,
        "35467d9588341efbd7bee304ae1019ab352020a29b4ae986bb03a6b80b783daa",
    ),
    Entry(
        name="icu-sepsis",
        recipe=1,
        rows=138_175,
        features=47,
        actions="25 discrete",
        about="Patients with sepsis, simulated from a process with known dynamics, treated "
        "as clinicians do.",
        source=MIMIC,
        needs=(),
        scale=Scale(
            unit="probability of survival",
            zero=0.7818448902556911,
            hundred=0.8751416996099324,
            zero_is="clinicians",
            hundred_is="the best policy",
        ),
        sha256="b92b87577d475d846a69f950c06ae4caaa211d510c96828e3960406d250c9009",
        build=icu_sepsis.simulate,
        truth=icu_sepsis.BySolving(),
    ),
)
ENTRIES: Mapping[str, Entry] = {entry.name: entry for entry in _ALL}


def find(name: str) -> Entry:
    """The data set of this name. Raises `ValueError` naming those nearest to it."""
    if name not in ENTRIES:
        near = difflib.get_close_matches(name, ENTRIES, n=3) or ENTRIES
        raise ValueError(
            f"There is no '{name}' in the zoo. Did you mean {', '.join(near)}? "
            "'stitchrl zoo list' shows all."
        )
    return ENTRIES[name]
