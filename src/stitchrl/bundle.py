"""A policy that can be handed over: acts without the log, says what was certified."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stitchrl.artifacts import (
    ArtifactError,
    arrays_to_bytes,
    bytes_to_arrays,
    bytes_to_json,
    json_to_bytes,
    load_directory,
    save_directory,
)
from stitchrl.candidates import Act, Candidate
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.policies import action_probabilities
from stitchrl.reuse import NOTHING
from stitchrl.spaces import Masked
from stitchrl.structure import from_plain, to_plain
from stitchrl.value_iteration import TabularPolicy

FORMAT = 1
DESCRIPTION, WEIGHTS = "policy.json", "weights.safetensors"
USED = "used_episodes"


@dataclass(frozen=True, eq=False)
class Decision:
    """What a policy decided for one observation."""

    action: Any  # A label, or numbers in the log's units; None: act as before.
    probability: float | None  # Of this action; None for continuous actions.
    # Of a joint action: the label of each choice by its name.
    parts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Bundle:
    """An exported policy: weights, scaling, action space, what was certified.

    `share` < 1 is a mixture: at each decision it defers to the present behavior with
    probability 1 - share.
    """

    name: str
    policy: Any  # A `Normalized` network policy, a `TabularPolicy`, or "uniform".
    act_by: Act
    share: float
    feature_names: tuple[str, ...]
    actions: Choices | Bounds
    uses_valid_actions: bool
    reading: dict[str, Any]  # How observations are read from a table.
    certified: dict[str, Any]  # The verdict and its numbers, as in the report.
    # Fingerprints of the episodes by which it was learned and chosen: see `reuse`.
    used: np.ndarray = field(default_factory=lambda: NOTHING)

    def act(
        self,
        observation: Any,
        *,
        valid_actions: Any = None,
        state_id: int | None = None,
        seed: int | None = None,
    ) -> Decision:
        """Decide for one observation: numbers in the order of `feature_names`.

        A policy by state needs `state_id` instead. Randomness comes from the operating
        system unless `seed` is given. Raises `ValueError` naming what is missing or wrong.
        """
        rng = np.random.default_rng(seed)
        if self.share < 1 and rng.random() >= self.share:
            return Decision(None, 1 - self.share)
        if isinstance(self.actions, Bounds):
            return Decision(self._continuous(self._checked(observation), rng), None)
        p = self.probabilities(observation, valid_actions=valid_actions, state_id=state_id)
        action = int(rng.choice(len(p), p=p))
        probability = float(self.share * p[action])
        label, parts = self.actions.labels[action], self.actions.told(action)
        return Decision(label, probability, parts)

    def probabilities(
        self, observation: Any, *, valid_actions: Any = None, state_id: int | None = None
    ) -> np.ndarray:
        """float64 (count,): of each discrete action when it does not defer."""
        assert isinstance(self.actions, Choices)
        count = self.actions.count
        if isinstance(self.policy, TabularPolicy):
            return self._of_state(state_id)
        seen: Any = None if self.policy == "uniform" else self._checked(observation)
        valid = self._valid(valid_actions)
        if self.policy == "uniform":
            p = np.ones(count) if valid is None else valid.astype(np.float64)
        else:
            if valid is not None:
                seen = Masked(seen, valid)
            p = np.asarray(_probabilities(self.policy, seen, count), np.float64)
        return p / p.sum()

    def _of_state(self, state_id: int | None) -> np.ndarray:
        states = len(self.policy.probabilities)
        if state_id is None or not 0 <= state_id < states:
            raise ValueError(
                f"'{self.name}' acts by state: give state_id, a number from 0 to "
                f"{states - 1}; came {state_id}."
            )
        return self.policy.probabilities[state_id]

    def _checked(self, observation: Any) -> np.ndarray:
        values = np.asarray(observation, np.float32)
        if values.shape != (len(self.feature_names),):
            raise ValueError(
                f"An observation of '{self.name}' has {len(self.feature_names)} numbers "
                f"({', '.join(self.feature_names[:5])}, …), but this has shape "
                f"{values.shape}."
            )
        if np.isinf(values).any():
            column = self.feature_names[int(np.isinf(values).argmax())]
            raise ValueError(
                f"'{column}' is infinite. Give a finite number, or NaN if not measured."
            )
        return values

    def _valid(self, valid_actions: Any) -> np.ndarray | None:
        if not self.uses_valid_actions:
            return None
        assert isinstance(self.actions, Choices)
        valid = np.asarray(valid_actions, bool) if valid_actions is not None else None
        if valid is None or valid.shape != (self.actions.count,) or not valid.any():
            raise ValueError(
                f"'{self.name}' was learned with valid actions: give valid_actions, "
                f"{self.actions.count} booleans of which one at least is true."
            )
        return valid

    def _continuous(self, observation: np.ndarray, rng: np.random.Generator) -> list[float]:
        assert isinstance(self.actions, Bounds)
        if self.act_by == "mode":
            action = self.policy.mode(observation)
        else:
            key = jax.random.key(int(rng.integers(2**31)))
            action = self.policy.sample(observation, key)
        return self.actions.from_unit(np.asarray(action, np.float64)).tolist()


_probabilities = jax.jit(action_probabilities, static_argnums=2)


def bundle_of(
    candidate: Candidate,
    dataset: Dataset,
    *,
    share: float,
    reading: dict[str, Any],
    certified: dict[str, Any],
    used: np.ndarray = NOTHING,
) -> Bundle:
    """The exported form of exactly what was certified."""
    return Bundle(
        name=candidate.name,
        policy=candidate.policy,
        act_by=candidate.act,
        share=share,
        feature_names=dataset.feature_names,
        actions=dataset.actions,
        uses_valid_actions=dataset.valid_actions is not None,
        reading=reading,
        certified=certified,
        used=used,
    )


def save(path: str | Path, bundle: Bundle) -> None:
    """Write a bundle as a directory, whole or not at all."""
    arrays: dict[str, np.ndarray] = {}
    if isinstance(bundle.policy, TabularPolicy):
        kind, structure = "tabular", None
        arrays = {
            "probabilities": bundle.policy.probabilities,
            "values": bundle.policy.values,
        }
    elif bundle.policy == "uniform":
        kind, structure = "uniform", None
    else:
        kind, structure = "network", to_plain(bundle.policy, arrays)
    arrays[USED] = bundle.used
    actions = bundle.actions
    description = {
        "format": FORMAT,
        "name": bundle.name,
        "kind": kind,
        "structure": structure,
        "act": bundle.act_by,
        "share": bundle.share,
        "feature_names": list(bundle.feature_names),
        "actions": _said(actions)
        if isinstance(actions, Choices)
        else {
            "names": list(actions.names),
            "low": list(actions.low),
            "high": list(actions.high),
        },
        "valid_actions": bundle.uses_valid_actions,
        "reading": bundle.reading,
        "certified": bundle.certified,
    }
    files = {DESCRIPTION: json_to_bytes(description), WEIGHTS: arrays_to_bytes(arrays)}
    save_directory(path, files)


def _said(actions: Choices) -> dict[str, Any]:
    plain = {"labels": list(actions.labels)}
    if not actions.parts:
        return plain
    return plain | {"names": list(actions.names), "parts": [*map(list, actions.parts)]}


def _choices(said: dict[str, Any]) -> Choices:
    names, parts = tuple(said.get("names", ())), said.get("parts", ())
    return Choices(tuple(said["labels"]), names, tuple(map(tuple, parts)))


def load(path: str | Path) -> Bundle:
    """Read a bundle back, every byte verified.

    Raises `ArtifactError` if it was changed, cut short, or written by a newer version.
    """
    files = load_directory(path)
    if DESCRIPTION not in files or WEIGHTS not in files:
        raise ArtifactError(
            f"'{path}' is not a policy bundle: it lacks '{DESCRIPTION}' or '{WEIGHTS}'. "
            "Give the directory 'policy' of a finished run."
        )
    said = bytes_to_json(files[DESCRIPTION], source=f"{path}/{DESCRIPTION}")
    if said.get("format") != FORMAT:
        raise ArtifactError(
            f"'{path}' has bundle format {said.get('format')}, but this version of "
            f"stitchrl reads {FORMAT}. Install the version that wrote it, or export again."
        )
    arrays = bytes_to_arrays(files[WEIGHTS], source=f"{path}/{WEIGHTS}")
    used = arrays.pop(USED, NOTHING)
    if said["kind"] == "tabular":
        policy: Any = TabularPolicy(arrays["probabilities"], arrays["values"])
    elif said["kind"] == "uniform":
        policy = "uniform"
    else:
        policy = from_plain(said["structure"], arrays)
    space = said["actions"]
    actions = (
        _choices(space)
        if "labels" in space
        else Bounds(tuple(space["names"]), tuple(space["low"]), tuple(space["high"]))
    )
    return Bundle(
        name=said["name"],
        policy=policy,
        act_by=said["act"],
        share=said["share"],
        feature_names=tuple(said["feature_names"]),
        actions=actions,
        uses_valid_actions=said["valid_actions"],
        reading=said["reading"],
        certified=said["certified"],
        used=used,
    )
