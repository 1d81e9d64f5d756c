"""Trees of arrays on disk, and the last two checkpoints of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl import artifacts, devices
from stitchrl.artifacts import ArtifactError

WEIGHTS = "weights.safetensors"
HEADER = "header.json"
KEPT = 2
SHOWN = 5


def tree_to_bytes(tree: Any) -> bytes:
    """Any JAX pytree of arrays, random keys and numbers; equal bytes for equal trees.

    Tensors are named by their path in the tree. Raises `ArtifactError` naming a leaf that
    is none of these.
    """
    arrays: dict[str, np.ndarray] = {}
    kinds: dict[str, str] = {}  # Of random keys: which generator they are for.
    for name, leaf in _named_leaves(tree):
        if _is_key(leaf):
            kinds[name] = str(jax.random.key_impl(leaf))
            leaf = jax.random.key_data(leaf)
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float):
            raise ArtifactError(
                f"Tensor '{name}' is of type {type(leaf).__name__}; only arrays, random "
                "keys and numbers can be saved. Make it a static field, or an array."
            )
        arrays[name] = np.asarray(leaf)
    return artifacts.arrays_to_bytes(arrays, notes=kinds)


def restore_tree(data: bytes, like: Any, *, source: str = WEIGHTS) -> Any:
    """The tree that was saved, bit for bit, in the shape of `like`.

    `like` is a tree of arrays, numbers or `jax.ShapeDtypeStruct`, as `jax.eval_shape`
    makes. NumPy arrays and numbers in it come back as such, all else as JAX arrays. Raises
    `ArtifactError` naming tensors that are missing, too many or of another shape or type.
    """
    arrays = artifacts.bytes_to_arrays(data, source=source)
    kinds = artifacts.bytes_to_notes(data, source=source)
    wanted = _named_leaves(like)
    missing = [name for name, _ in wanted if name not in arrays]
    extra = sorted(arrays.keys() - {name for name, _ in wanted})
    if missing or extra:
        raise ArtifactError(
            f"'{source}' holds another tree: missing are {missing[:SHOWN]}, too many are "
            f"{extra[:SHOWN]} ({len(missing)} and {len(extra)} in all). It was saved with "
            "other settings or another version; load it with those it was saved with."
        )
    leaves = [
        _restore(name, arrays[name], kinds.get(name), leaf, source) for name, leaf in wanted
    ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _restore(name: str, value: np.ndarray, kind: str | None, like: Any, source: str) -> Any:
    if kind is None:
        _require_alike(name, value, like, source)
        restored = _as_in(like, value)
        if isinstance(restored, jax.Array):  # Which has no 64 bits by default.
            _require_alike(name, restored, like, source)
        return restored
    try:
        keys = jax.random.wrap_key_data(jnp.asarray(value), impl=kind)
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"'{source}': tensor '{name}' is not a random key of kind '{kind}': {error}"
        ) from error
    _require_alike(name, keys, like, source)
    return keys


def _require_alike(name: str, value: Any, like: Any, source: str) -> None:
    shape = np.shape(like)
    dtype = like.dtype if hasattr(like, "dtype") else np.asarray(like).dtype
    if value.shape != shape or value.dtype != dtype:
        raise ArtifactError(
            f"'{source}': tensor '{name}' has shape {value.shape} and type {value.dtype}, "
            f"but shape {shape} and type {dtype} are expected. It was saved with other "
            "settings or for other data; load it with those it was saved with."
        )


def _as_in(like: Any, value: np.ndarray) -> Any:
    if isinstance(like, bool | int | float):
        return type(like)(value.item())
    if isinstance(like, np.ndarray | np.generic):
        return value
    if getattr(like, "weak_type", False) and value.ndim == 0:
        return jnp.asarray(value.item())  # As it was made: it takes the type of others.
    return jnp.asarray(value)


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


def _is_key(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


class Checkpoint(NamedTuple):
    """What was read back."""

    tree: Any
    step: int
    header: dict[str, Any]
    warning: str  # Empty, or why an older checkpoint than the newest is used.


def save_checkpoint(
    path: str | Path,
    tree: Any,
    *,
    step: int,
    chunk: int,
    header: Mapping[str, Any] | None = None,
) -> None:
    """Add the checkpoint of update `step`, and keep the one before it.

    Recorded beside it: `chunk` (updates between checkpoints of one program), what
    `devices.describe` says, and the plain data of `header`. Raises `ArtifactError` if it
    cannot be written; older checkpoints are then untouched.
    """
    path = Path(path)
    facts = {"step": step, "chunk": chunk, "devices": devices.describe(), **(header or {})}
    files = {WEIGHTS: tree_to_bytes(tree), HEADER: artifacts.json_to_bytes(facts)}
    artifacts.save_directory(checkpoint_at(path, step), files)
    steps = saved_steps(path)
    # Those past this step are of a future that was given up by resuming before it.
    kept = [other for other in steps if other <= step][-KEPT:]
    for other in set(steps) - set(kept):
        artifacts.remove_directory(checkpoint_at(path, other))


def load_checkpoint(path: str | Path, like: Any, *, until: int | None = None) -> Checkpoint:
    """The newest checkpoint that is whole; `warning` says what is wrong with a newer one.

    With `until`, the newest that is not past this update.
    Raises `ArtifactError` if there is none, and if its tensors are not those of `like`.
    """
    path = Path(path)
    problems: list[str] = []
    steps = [step for step in saved_steps(path) if until is None or step <= until]
    for step in reversed(steps):
        place = checkpoint_at(path, step)
        try:
            files = artifacts.load_directory(place)
        except ArtifactError as error:
            problems.append(str(error))
            continue
        header = artifacts.bytes_to_json(files[HEADER], source=str(place / HEADER))
        tree = restore_tree(files[WEIGHTS], like, source=str(place / WEIGHTS))
        warning = ""
        if problems:
            warning = (
                f"The newest checkpoint is damaged: {' '.join(problems)} Going on from the "
                f"one before, of step {step}; what came after it is trained again."
            )
        return Checkpoint(tree, step, header, warning)
    raise ArtifactError(
        f"There is no whole checkpoint in '{path}'. {' '.join(problems)} Start the run "
        "anew."
    )


def checkpoint_at(path: str | Path, step: int) -> Path:
    """Where `path` has the checkpoint of this step, if it has."""
    return Path(path) / f"{step:012d}"


def saved_steps(path: str | Path) -> list[int]:
    """Steps of the checkpoints that stand in `path`, whole or not; rising."""
    return sorted(int(name) for name in artifacts.standing(path) if name.isdecimal())
