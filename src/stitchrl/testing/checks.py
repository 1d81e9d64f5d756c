"""The checks, one function each: an `AssertionError` with a sentence, or nothing."""

import io
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.algorithms.base import Algorithm
from stitchrl.checkpoint import restore_tree, tree_to_bytes
from stitchrl.experience import Transition
from stitchrl.population import rekeyed, unkeyed
from stitchrl.spaces import Continuous, Masked
from stitchrl.testing.subject import STEPS, Subject
from stitchrl.train import Run, probe
from stitchrl.tree import with_values

TOLERANCE = 1e-4  # Where the same sums are taken in another order.


def is_a_frozen_dataclass(subject: Subject) -> None:
    """Hyper-parameters are values: nothing may change them after the fact."""
    own = vars(type(subject.algorithm))  # A subclass is none by its parent's mark.
    parameters = own.get("__dataclass_params__")
    assert parameters is not None and parameters.frozen, (
        f"{subject.name} must be a frozen dataclass: mark it with "
        "`stitchrl.tree.hyperparameters`."
    )
    assert isinstance(subject.algorithm, Algorithm), (
        f"{subject.name} must have `actions`, `init`, `sample`, `update` and `policy`."
    )


def keeps_the_form_of_its_state(subject: Subject) -> None:
    """An update inside `lax.scan` may change numbers only."""
    algorithm, spec, key = subject.algorithm, subject.experience.spec, subject.key
    before = jax.eval_shape(lambda key: algorithm.init(key, spec), key)
    after, _ = jax.eval_shape(algorithm.update, before, subject.batch, key)
    assert jax.tree.structure(before) == jax.tree.structure(after), (
        f"{subject.name}.update returns another tree than `init` makes."
    )
    for (path, a), b in zip(_named_leaves(before), jax.tree.leaves(after), strict=True):
        forms = [(x.shape, x.dtype.name, x.weak_type) for x in (a, b)]
        assert forms[0] == forms[1], (
            f"{subject.name}.update changes {path} from (shape, dtype, weak_type) "
            f"{forms[0]} to {forms[1]}: make them alike in `init` and `update`."
        )


def gives_the_same_bits_for_the_same_key(subject: Subject) -> None:
    """All chance comes from the keys."""
    sentence = f"{subject.name}: the same key must give the same numbers, but"
    first, _ = subject.trained
    again, _ = subject.whole(subject.algorithm, subject.start(subject.key))
    _assert_close(unkeyed(first), unkeyed(again), sentence)
    one, other = (subject.act(subject.algorithm, first.state, subject.key) for _ in "12")
    _assert_close(one, other, sentence)
    # A number drawn while tracing stays the same until the program is traced again.
    programs = [
        jax.make_jaxpr(subject.algorithm.update)(first.state, subject.batch, subject.key)
        for _ in range(2)
    ]
    texts = [re.sub(r"0x[0-9a-f]+", "", str(program)) for program in programs]
    assert texts[0] == texts[1], (
        f"{sentence} `update` is another program each time it is traced: draw from `key`."
    )
    one, other = ([*map(_plain, program.consts)] for program in programs)
    _assert_close(one, other, f"{sentence} `update` holds a constant that was drawn:")


def _plain(x: Any) -> Any:
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(x) if is_key else x


def ignores_what_follows_a_termination(subject: Subject) -> None:
    """`next_observation` means nothing where `terminated` is true."""

    def with_ends(change: Callable[[Transition], Transition]) -> Any:
        """The batch with every transition terminated, and changed."""
        return jax.tree.map(
            lambda x: (
                change(x._replace(terminated=jnp.ones_like(x.terminated)))
                if isinstance(x, Transition)
                else x
            ),
            subject.batch,
            is_leaf=lambda x: isinstance(x, Transition),
        )

    def far(batch: Transition) -> Transition:
        return batch._replace(
            next_observation=jax.tree.map(
                lambda x: x + 10 if jnp.issubdtype(x.dtype, jnp.floating) else x,
                batch.next_observation,
            )
        )

    here, there = _updates(subject, with_ends(lambda batch: batch), with_ends(far))
    sentence = f"{subject.name} must not look at next_observation after a termination, but"
    _assert_close(here, there, sentence)


def _updates(subject: Subject, *batches: Any) -> list[Any]:
    """One update with each of these batches, all else equal."""
    state = subject.trained[0].state
    return subject.many([(subject.algorithm, state, b, subject.key) for b in batches])


def maps_over_seeds(subject: Subject) -> None:
    """`vmap` over keys is a loop over keys."""
    members = [(subject.algorithm, run) for run in (subject.first, subject.other)]
    sentence = f"{subject.name}: two seeds under `vmap` must be two single runs, but"
    _assert_mapped(subject, members, sentence)


def maps_over_every_float(subject: Subject) -> None:
    """`vmap` over all float hyper-parameters at once is a loop over them."""
    _require_traced_floats(subject)
    members = [(a, subject.first) for a in (subject.changed, subject.algorithm)]
    sentence = f"{subject.name}: a sweep under `vmap` must be single runs, but"
    _assert_mapped(subject, members, sentence)


def _assert_mapped(subject: Subject, members: list[Any], sentence: str) -> None:
    alone = [subject.whole(algorithm, run)[0].state for algorithm, run in members]
    for step in range(STEPS):
        updated = subject.many([subject.inputs(a, run, step) for a, run in members])
        members = [(a, r._replace(state=s)) for (a, r), (s, _) in zip(members, updated)]
    _assert_close([run.state for _, run in members], alone, sentence, TOLERANCE)


def compiles_once_for_all_floats(subject: Subject) -> None:
    """Another float is another input of the same program."""
    _require_traced_floats(subject)
    subject.whole(subject.algorithm, subject.first)
    before = subject.traces
    subject.whole(subject.changed, subject.first)
    assert subject.traces == before, (
        f"{subject.name} compiles again when a float changes: annotate the field `float`."
    )


def _require_traced_floats(subject: Subject) -> None:
    trees = {jax.tree.structure(a) for a in (subject.algorithm, subject.changed)}
    assert len(trees) == 1, (
        f"{subject.name}: a float belongs to the program instead of to its inputs, so that "
        "changing it compiles again. Annotate the field `float`."
    )


def keeps_targets_at_rate_zero(subject: Subject) -> None:
    """Slow copies move by `target_rate` and by nothing else."""
    if not hasattr(subject.algorithm, "target_rate"):
        return
    still = with_values(subject.algorithm, target_rate=0.0)
    first = subject.first
    targets = [name for name in first.state._fields if name.startswith("target_")]
    assert targets, f"{subject.name} has a target_rate, but its state has no `target_...`."
    after, _ = subject.whole(still, first)
    for name in targets:
        _assert_close(
            getattr(after.state, name),
            getattr(first.state, name),
            f"{subject.name}: at target_rate 0, {name} must stay where it is, but",
        )


def acts_within_its_space(subject: Subject) -> None:
    """Actions lie in [-1, 1], or are one of those there are and that are allowed here."""
    for run in (subject.first, subject.trained[0]):
        for way, acts in subject.act(subject.algorithm, run.state, subject.key).items():
            _require_possible(subject, way, np.asarray(acts))


def _require_possible(subject: Subject, way: str, acts: np.ndarray) -> None:
    place, size = f"{subject.name}: `{way}` of its policy", subject.experience.size
    space = subject.experience.spec.action
    if isinstance(space, Continuous):
        assert acts.shape == (size, space.size), f"{place} has shape {acts.shape[1:]}."
        assert (np.abs(acts) <= 1).all(), f"{place} leaves [-1, 1]: {np.abs(acts).max()}."
        return
    assert acts.shape == (size,), f"{place} must be one number, not {acts.shape[1:]}."
    assert np.issubdtype(acts.dtype, np.integer), f"{place} must be a whole number."
    assert ((acts >= 0) & (acts < space.count)).all(), f"{place} is not an action."
    if isinstance(subject.observation, Masked):
        allowed = np.asarray(subject.observation.allowed)
        forbidden = ~allowed[np.arange(size), acts]
        assert not forbidden.any(), f"{place} is forbidden in {forbidden.sum()} rows."


def runs_in_chunks_as_in_one_piece(subject: Subject) -> None:
    """How often a run is handed out for logging changes not one bit of it."""
    run = subject.half(subject.half(subject.first))
    sentence = f"{subject.name}: chunks must be equal to one run, bit for bit, but"
    _assert_close(unkeyed(run), unkeyed(subject.trained[0]), sentence)


def resumes_from_saved_bytes(subject: Subject) -> None:
    """A run that was written down and read again goes on as if nothing had happened."""
    run = subject.half(subject.first)
    sentence = f"{subject.name}: a resumed run must be equal bit for bit, but"
    for read in (
        _through_plain_arrays(run, subject.other),
        restore_tree(tree_to_bytes(run), subject.other),
    ):
        resumed = subject.half(read)
        _assert_close(unkeyed(resumed), unkeyed(subject.trained[0]), sentence)


def _through_plain_arrays(run: Run, like: Run) -> Run:
    file = io.BytesIO()
    np.savez(file, *map(np.asarray, jax.tree.leaves(unkeyed(run))))
    file.seek(0)
    with np.load(file) as saved:
        leaves = [jnp.asarray(saved[name]) for name in saved.files]
    return rekeyed(jax.tree.unflatten(jax.tree.structure(unkeyed(like)), leaves), like)


def does_not_mind_the_order_of_a_batch(subject: Subject) -> None:
    """A batch is a set, unless its rows get noise of their own (`is_stochastic`)."""
    if getattr(subject.algorithm, "is_stochastic", False):
        return
    turned = jax.tree.map(lambda column: column[::-1], subject.batch)
    sentence = (
        f"{subject.name}: the order of a batch must not matter (declare "
        "`is_stochastic: ClassVar = True` if each row draws noise of its own), but"
    )
    one, other = _updates(subject, subject.batch, turned)
    _assert_close(one, other, sentence, TOLERANCE)


def reports_finite_numbers(subject: Subject) -> None:
    """Metrics are finite scalars, of the same names in training and on held-out data."""
    run, metrics = subject.trained
    inputs = (subject.algorithm, run.state, subject.batch, subject.key)
    once = jax.eval_shape(lambda algorithm, *rest: algorithm.update(*rest), *inputs)[1]
    held_out = jax.eval_shape(probe, *inputs)
    assert metrics and set(metrics) == set(once) == set(held_out), (
        f"{subject.name} must report the same metrics always, at least one: it reports "
        f"{sorted(metrics)} in training and {sorted(held_out)} on held-out data."
    )
    for name, value in once.items():
        assert value.shape == () and jnp.issubdtype(value.dtype, jnp.floating), (
            f"{subject.name}: metric '{name}' must be one float, not {value}."
        )
    wrong = [name for name, value in metrics.items() if not np.isfinite(value)]
    wrong += [
        path for path, leaf in _named_leaves(run.state) if not np.isfinite(leaf).all()
    ]
    assert not wrong, f"{subject.name}: not finite after {STEPS} updates: {wrong}."


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


def _assert_close(left: Any, right: Any, sentence: str, tolerance: float = 0.0) -> None:
    """Trees must agree; the message names the leaf that differs most."""
    worst, largest = "", 0.0
    for (path, a), b in zip(_named_leaves(left), jax.tree.leaves(right), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        gap = np.nan_to_num(np.abs(a - b) / (1 + np.abs(b)), nan=np.inf).max(initial=0.0)
        worst, largest = (path, gap) if gap > largest else (worst, largest)
    assert largest <= tolerance, f"{sentence} {worst} differs by {largest:.1e}."


CHECKS: tuple[Callable[[Subject], None], ...] = (
    is_a_frozen_dataclass,
    keeps_the_form_of_its_state,
    gives_the_same_bits_for_the_same_key,
    ignores_what_follows_a_termination,
    maps_over_seeds,
    maps_over_every_float,
    compiles_once_for_all_floats,
    keeps_targets_at_rate_zero,
    acts_within_its_space,
    runs_in_chunks_as_in_one_piece,
    resumes_from_saved_bytes,
    does_not_mind_the_order_of_a_batch,
    reports_finite_numbers,
)
# Which actions are allowed changes no more than what networks read and policies choose.
MASKED_CHECKS = (
    keeps_the_form_of_its_state,
    ignores_what_follows_a_termination,
    acts_within_its_space,
    reports_finite_numbers,
)
