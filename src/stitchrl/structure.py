"""Policies as plain data and arrays, and back: names from a fixed list, never code."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl import networks, normalizer, policies, proposals
from stitchrl.artifacts import ArtifactError
from stitchrl.tree import assemble

CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        networks.Linear,
        networks.Readout,
        networks.LayerNorm,
        networks.MLP,
        networks.Critic,
        networks.ActionTable,
        networks.Critics,
        normalizer.Normalizer,
        policies.Gaussian,
        policies.SquashedGaussian,
        policies.Categorical,
        policies.Greedy,
        policies.GreedyAmong,
        policies.BestOfDraws,
        policies.BestOfChoices,
        policies.WithoutRare,
        policies.Deterministic,
        policies.Normalized,
        proposals.Decoder,
        proposals.Perturbation,
        proposals.BestProposal,
    )
}


def to_plain(value: Any, arrays: dict[str, np.ndarray], place: str = "policy") -> Any:
    """The structure of `value` as JSON; its numbers go to `arrays`, by place.

    Raises `TypeError` for a class that is not in `CLASSES`.
    """
    name = type(value).__name__
    if CLASSES.get(name) is type(value):
        fields = {
            field.name: to_plain(
                getattr(value, field.name), arrays, f"{place}.{field.name}"
            )
            for field in dataclasses.fields(value)
        }
        return {"class": name, "fields": fields}
    if isinstance(value, tuple):
        parts = enumerate(value)
        return {"parts": [to_plain(part, arrays, f"{place}.{i}") for i, part in parts]}
    if type(value) is int:
        return {"count": value}
    if isinstance(value, (float, np.ndarray, np.generic, jax.Array)):
        arrays[place] = np.asarray(value, np.float32)
        return {"array": place}
    raise TypeError(
        f"'{place}' is a {name}, which cannot be exported. Add the class to CLASSES in "
        "structure.py if it is part of a policy."
    )


def from_plain(plain: Any, arrays: dict[str, np.ndarray], place: str = "policy") -> Any:
    """Undo `to_plain`. Raises `ArtifactError` for anything it does not know."""
    match plain:
        case {"array": str(key)} if key in arrays:
            return jnp.asarray(arrays[key])
        case {"count": int(count)}:
            return count
        case {"parts": list(parts)}:
            return tuple(
                from_plain(part, arrays, f"{place}.{i}") for i, part in enumerate(parts)
            )
        case {"class": str(name), "fields": dict(fields)} if name in CLASSES:
            cls = CLASSES[name]
            known = {field.name for field in dataclasses.fields(cls)}
            if known == fields.keys():
                values = {
                    key: from_plain(part, arrays, f"{place}.{key}")
                    for key, part in fields.items()
                }
                return assemble(cls, values)
    raise ArtifactError(
        f"'{place}' of this bundle is not a part of a policy that this version of stitchrl "
        "knows. It was edited, or written by another version: export it again."
    )
