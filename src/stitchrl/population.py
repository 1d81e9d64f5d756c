"""Several runs as one compiled program: seeds and float hyper-parameters together.

On the CPU, members are dealt to host devices and run one after another on each: measured
faster than `vmap` there. On an accelerator they run at once.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Key

from stitchrl.algorithms.base import Prepares, Trainable
from stitchrl.experience import Experience, is_elsewhere, padded
from stitchrl.learner import Metrics
from stitchrl.programs import make_room
from stitchrl.train import Run, advance, prepare, start


class Members(NamedTuple):
    """Runs that share one program: every leaf has a leading `member` axis."""

    algorithms: Any
    runs: Run
    active: Bool[Array, "member"]  # False: stopped, its state stays as it is.


def stack(trees: Sequence[Any]) -> Any:
    """One tree whose leaves have a leading axis, from trees that differ in numbers only.

    Raises `ValueError` if they need different programs (static fields or classes differ).
    """
    if len({jax.tree.structure(tree) for tree in trees}) > 1:
        raise ValueError(
            "Only runs that differ in float hyper-parameters and seeds can be one program; "
            "these differ in a class or in an int, bool or tuple. Train them in groups."
        )
    return jax.tree.map(_stack, *trees)


def _stack(*leaves: Any) -> Any:
    """Arrays of the CPU as NumPy does it: JAX would compile a program for every shape."""
    if jax.default_backend() == "cpu" and all(map(_is_plain, leaves)):
        return np.stack(leaves)
    return jnp.stack([*map(jnp.asarray, leaves)])


def _is_plain(leaf: Any) -> bool:
    """Not a key, and not a number: JAX alone knows that those promote weakly."""
    return isinstance(leaf, jax.Array) and not (_is_key(leaf) or leaf.weak_type)


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def member(tree: Any, index: int) -> Any:
    """The tree of one member. Of arrays spread over devices, call `gathered` first."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def gathered(tree: Any) -> Any:
    """The tree as NumPy arrays on the host.

    Taking a part of an array that lies on several devices is a program in which they wait
    for each other; several of those in flight on the CPU can wait for ever.
    """
    return jax.device_get(tree)


def by_program(algorithms: Sequence[Any]) -> list[list[int]]:
    """Indices of algorithms that can share a program and the data it reads.

    In order of first appearance. Data are shared where all numbers agree that `prepare`
    reads (`prepared_by`).
    """
    groups: dict[Any, list[int]] = {}
    for index, algorithm in enumerate(algorithms):
        read = [getattr(algorithm, name) for name in getattr(algorithm, "prepared_by", ())]
        leaves, structure = jax.tree.flatten(algorithm)
        key = structure, *map(np.shape, leaves), *map(float, read)
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def drawn_from(algorithm: Trainable, experience: Experience) -> Any:
    """What `sample` reads, as one of few sizes where the algorithm prepares nothing.

    What an algorithm prepares itself may be sorted, or sums: only it could pad that.
    """
    if is_elsewhere(experience):
        return prepare(algorithm, experience)
    if isinstance(algorithm, Prepares):
        return everywhere(prepare(algorithm, experience))
    return everywhere(padded(experience))


def everywhere(tree: Any) -> Any:
    """The same on every device, once: else each call would copy it to all but the first.

    Devices that are CPUs read one buffer, of which there is one copy.
    """
    sharding = jax.sharding.NamedSharding(_mesh(), jax.P())

    def put(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.sharding == sharding:
            return leaf
        on_cpu = jax.default_backend() == "cpu"
        seen = np.asarray(leaf) if on_cpu and not _is_key(leaf) else leaf
        return jax.device_put(seen, sharding)

    return jax.tree.map(put, tree)


def start_members(
    algorithms: Sequence[Trainable],
    experience: Experience,
    keys: Sequence[Key[Array, ""]],
) -> Members:
    """Runs before their first update, padded to a multiple of the devices.

    Padding repeats the first member and is inactive.
    """
    count = len(algorithms)
    padding = -count % len(devices())
    order = [*range(count), *[0] * padding]
    runs = [start(algorithms[i], experience, keys[i]) for i in order]
    active = jnp.arange(len(order)) < count
    return spread(Members(stack([algorithms[i] for i in order]), stack(runs), active))


def spread(members: Any) -> Any:
    """Lay members out over the devices, as `advance_members` leaves them.

    Otherwise its second call would compile again.
    """
    sharding = jax.sharding.NamedSharding(_mesh(), jax.P("member"))
    return jax.device_put(members, sharding)


def advance_members(
    members: Members, data: Any, steps: int
) -> tuple[Members, Metrics, Bool[Array, "member"]]:
    """Take `steps` more updates in every active member.

    A member whose state or metrics are no longer finite keeps the state from before and
    becomes inactive. Returns the members, their mean metrics over these updates, and which
    of them took the steps and stayed finite.
    """
    return _advance_members(members, everywhere(data), steps, _mesh(), _parallel())


@partial(jax.jit, static_argnames=("steps", "mesh", "parallel"))
def _advance_members(members, data, steps, mesh, parallel):
    def one(member: Members, data: Any):
        return guarded(member, lambda run: advance(member.algorithms, data, run, steps))

    return _spread(one, mesh, parallel)(members, data)


def guarded(
    member: Members, advance: Callable[[Run], tuple[Run, Metrics]]
) -> tuple[Members, Metrics, Bool[Array, ""]]:
    """One member after `advance`, if it is active and then still finite: else as it was."""

    @jax.jit  # Traced once, though asked twice.
    def go(run: Run):
        after, metrics = advance(run)
        is_finite = all_finite((after.state, metrics))
        kept = jax.tree.map(partial(jnp.where, is_finite), unkeyed(after), unkeyed(run))
        return rekeyed(kept, run), metrics, is_finite

    def rest(run: Run):
        shapes = jax.eval_shape(go, run)[1]
        none = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), shapes)
        return run, none, jnp.array(False)

    run, metrics, went = jax.lax.cond(member.active, go, rest, member.runs)
    return Members(member.algorithms, run, went), metrics, went


def compile_advance(members: Members, data: Any, steps: int) -> Callable[..., Any]:
    """`advance_members` for these shapes, compiled now: call it with members and data."""
    return _advance_members.lower(members, data, steps, _mesh(), _parallel()).compile()


def train_population(
    algorithms: Sequence[Trainable],
    experience: Experience,
    keys: Sequence[Key[Array, ""]],
    steps: int,
) -> Any:
    """Train all of them for `steps` updates; their final states, with a `member` axis.

    For members that need no probing, guarding or saving. Members must share a program.
    Raises `ValueError` if columns are not on the device.
    """
    if is_elsewhere(experience):
        raise ValueError(
            "These columns are not on the device, so their rows must be gathered on the "
            "host while others are learned from: use `stitchrl.stream.Stream`, or `fit`."
        )
    make_room()
    members = start_members(algorithms, experience, keys)
    data = drawn_from(algorithms[0], experience)
    members, _, _ = advance_members(members, data, steps)
    return jax.tree.map(lambda leaf: leaf[: len(algorithms)], gathered(members.runs.state))


def for_each_member(function: Callable[[Any, Any], Any], tree: Any, shared: Any) -> Any:
    """`function(member, shared)` of every member's tree, spread over the devices.

    `function` must be one object, not a new lambda each time: it is compiled once.
    """
    return _for_each_member(tree, everywhere(shared), function, _mesh(), _parallel())


def compile_for_each(function: Callable[[Any, Any], Any], tree: Any, shared: Any):
    """`for_each_member` for these shapes, compiled now: call it with tree and shared."""
    lowered = _for_each_member.lower(tree, shared, function, _mesh(), _parallel())
    return lowered.compile()


@partial(jax.jit, static_argnames=("function", "mesh", "parallel"))
def _for_each_member(tree, shared, function, mesh, parallel):
    return _spread(function, mesh, parallel)(tree, shared)


def _spread(function: Callable[[Any, Any], Any], mesh: Any, parallel: str) -> Callable:
    by_member = jax.P("member")

    def local(tree: Any, shared: Any) -> Any:
        if parallel == "at once":
            return jax.vmap(function, in_axes=(0, None))(tree, shared)
        return jax.lax.map(lambda member: function(member, shared), tree)

    specs = {"in_specs": (by_member, jax.P()), "out_specs": by_member}
    return jax.shard_map(local, mesh=mesh, check_vma=False, **specs)


def devices() -> list[Any]:
    """Where members run: every device of the default backend."""
    return jax.devices()


def _mesh() -> jax.sharding.Mesh:
    return jax.sharding.Mesh(np.asarray(devices()), ("member",))


def _parallel() -> str:
    return "in turn" if jax.default_backend() == "cpu" else "at once"


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether no floating-point leaf holds a NaN or an infinity."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.isfinite(leaf).all() for leaf in leaves]))


def unkeyed(run: Run) -> Run:
    """The run with its key as plain integers, which can be selected and saved."""
    return run._replace(key=jax.random.key_data(run.key))


def rekeyed(run: Run, like: Run) -> Run:
    """Undo `unkeyed`; the kind of key is that of `like`."""
    implementation = jax.random.key_impl(like.key)
    return run._replace(key=jax.random.wrap_key_data(run.key, impl=implementation))
