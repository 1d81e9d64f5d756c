"""Many seeds of one algorithm as one program, and a cell per algorithm."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from stitchrl import artifacts
from stitchrl.algorithms import find
from stitchrl.dataset import Dataset
from stitchrl.experience import Experience
from stitchrl.train import train

CELLS = Path(__file__).parents[1] / ".bench"


def make(name: str, dataset: Dataset, settings: Mapping[str, Any]) -> Any:
    """The algorithm of this name with those of the settings that it has."""
    cls = find(name, dataset.spec.action)
    fields = {field.name for field in dataclasses.fields(cls)}
    return cls(**{key: value for key, value in settings.items() if key in fields})


# Settings were mended on the seeds of the first key; the second shows others once.
KEYS = {"": 0, "_again": 1}


def states_of(algorithm: Any, dataset: Dataset, *, key: int, seeds: int, steps: int) -> Any:
    """What each seed has learned, with a leading axis."""
    experience = Experience.of(dataset)
    runs = jax.jit(jax.vmap(lambda key: train(algorithm, experience, key, steps)[0]))
    return jax.device_get(runs(jax.random.split(jax.random.key(key), seeds)))


def cell(bench: str, name: str, work: Callable[[], Any]) -> Any:
    """What this unit of work found, from the last run if it got that far."""
    path = CELLS / bench / f"{name}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        artifacts.save_json(path, work())
    return json.loads(path.read_text())
