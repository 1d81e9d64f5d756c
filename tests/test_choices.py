"""Joint actions are numbered by their parts, and told by them."""

import numpy as np
import pytest

from stitchrl.choices import Choices

JOINT = Choices.joint(("fluids", "pressor"), (("0", "1", "2"), ("no", "yes")))


def test_every_combination_is_an_action_and_the_last_part_varies_fastest():
    assert JOINT.labels == (
        "fluids 0 | pressor no", "fluids 0 | pressor yes",
        "fluids 1 | pressor no", "fluids 1 | pressor yes",
        "fluids 2 | pressor no", "fluids 2 | pressor yes",
    )  # fmt: skip
    assert JOINT.count == 6 and JOINT.sizes == (3, 2)
    parts = JOINT.split(np.arange(6))
    assert parts.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]]
    np.testing.assert_array_equal(JOINT.combined(parts), np.arange(6))
    assert JOINT.combined(parts).dtype == np.int32
    assert JOINT.told(5) == {"fluids": "2", "pressor": "yes"}


def test_plain_choices_are_one_part_without_a_name():
    plain = Choices(("a", "b"))
    assert plain.sizes == (2,) and plain.told(1) == {} and plain.parts == ()
    assert plain.split(np.array([1, 0])).tolist() == [[1], [0]]
    # What hashes of logs are made from has not changed.
    assert repr(plain) == "Choices(labels=('a', 'b'))"


def test_combinations_that_read_alike_are_refused():
    with pytest.raises(ValueError, match="must differ"):
        Choices.joint(("a",), (("x", "x"),))
    with pytest.raises(ValueError, match="must differ"):
        Choices.joint(("a", "a 1 | a"), (("1 | a 1", "1"), ("1", "1 | a 1")))
