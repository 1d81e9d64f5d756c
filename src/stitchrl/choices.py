"""Discrete actions, of one choice or of several that are made together."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np


@dataclass(frozen=True)
class Choices:
    """Discrete actions: action `i` means `labels[i]`.

    Several choices made together are one joint action: every combination has a number (the
    last part varies fastest) and a label such as "fluids 2 | vasopressor 0".
    """

    labels: tuple[str, ...]
    names: tuple[str, ...] = field(default=(), repr=False)  # Of each part; () if plain.
    parts: tuple[tuple[str, ...], ...] = field(default=(), repr=False)  # Labels of each.

    @classmethod
    def joint(cls, names: tuple[str, ...], parts: tuple[tuple[str, ...], ...]) -> "Choices":
        """Every combination of the labels of these parts.

        Raises `ValueError` if two combinations would read alike.
        """
        labels = tuple(
            " | ".join(f"{name} {label}" for name, label in zip(names, one))
            for one in product(*parts)
        )
        if len(set(labels)) < len(labels):
            raise ValueError("Labels of parts must differ, and so must names of parts.")
        return cls(labels, names, parts)

    @property
    def count(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many labels each part has; one part if these are plain."""
        return tuple(map(len, self.parts)) or (self.count,)

    def split(self, action: np.ndarray) -> np.ndarray:
        """int64 (..., parts): the number of each part's label."""
        return np.stack(np.unravel_index(action, self.sizes), axis=-1)

    def combined(self, parts: np.ndarray) -> np.ndarray:
        """int32 (...): the joint actions of numbers (..., parts)."""
        columns = tuple(np.moveaxis(np.asarray(parts), -1, 0))
        return np.asarray(np.ravel_multi_index(columns, self.sizes), np.int32)

    def told(self, action: int) -> dict[str, str]:
        """Name and label of each part of one action; empty if these are plain."""
        numbers = self.split(np.asarray(action)) if self.parts else ()
        return {
            name: labels[number]
            for name, labels, number in zip(self.names, self.parts, numbers)
        }
