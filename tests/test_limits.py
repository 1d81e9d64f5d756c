"""Numbers beyond the limit of their name are refused with the reason; arrays pass."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms import ALGORITHMS
from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.filtered_bc import FilteredBC
from stitchrl.algorithms.iql import IQL
from stitchrl.limits import LIMITS, REASONS, impossible, require_possible
from stitchrl.tree import with_values


@pytest.mark.parametrize(
    "cls, field, value, said",
    [
        (IQL, "expectile", 1.0, "must be above 0 and below 1, but got 1.0. 1 stands for"),
        (IQL, "expectile", 0.0, "one lucky outcome would set it"),
        (IQL, "inverse_temperature", -1.0, "would prefer the worst actions"),
        (FilteredBC, "best_share", 0.0, "0 keeps nothing to imitate"),
        (FilteredBC, "best_share", 1.01, "1 is every episode"),
        (IQL, "discount", 1.5, "grow without bound"),
        (IQL, "discount", float("nan"), "got nan"),
        (BC, "learning_rate", -1e-3, "losses are climbed"),
        (BC, "batch_size", 0, "must be 1 or more, but got 0. A batch without rows"),
        (BC, "hidden", (64, 0), "A layer without units passes nothing on"),
    ],
)
def test_an_algorithm_with_a_number_beyond_its_limit_cannot_be_made(
    cls: type, field: str, value: float, said: str
):
    with pytest.raises(ValueError) as caught:
        cls(**{field: value})
    assert str(caught.value).startswith(f"{cls.__name__}.{field} must be ")
    assert said in str(caught.value)
    good = cls()
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(good, **{field: value})


def test_numbers_of_arrays_and_tracers_are_not_looked_at():
    def rate(value: jax.Array) -> jax.Array:
        algorithm = with_values(IQL(), expectile=value)
        require_possible(algorithm, ["expectile", "learning_rate"])
        return 2 * algorithm.expectile

    assert jax.jit(jax.vmap(rate))(jnp.array([0.5, 2.0])).tolist() == [1.0, 4.0]
    with pytest.raises(ValueError, match="IQL.expectile must be"):
        require_possible(with_values(IQL(), expectile=np.float32(2)), ["expectile"])
    doubled = jax.tree.map(lambda leaf: 2 * leaf, IQL(expectile=0.7))
    assert doubled.expectile == 1.4


def test_every_limit_says_why_and_every_default_is_within_it():
    assert set(REASONS) <= set(LIMITS)
    unexplained = set(LIMITS) - set(REASONS)
    assert unexplained <= {
        "weight_learning_rate", "target_noise", "target_noise_clip", "cloning_updates",
    }  # fmt: skip
    for kinds in ALGORITHMS.values():
        for cls in kinds.values():
            cls()  # Would raise.


def test_other_names_must_only_be_finite():
    assert impossible("anything", -3.0) is None
    assert impossible("anything", float("inf")) == "must be a finite number, but got inf."
