"""The policies that estimators are to rank: 25, of known values."""

import numpy as np
import pytest

from stitchrl.problems import icu_policies


def test_there_are_25_with_the_values_that_are_known():
    policies, values = icu_policies.policies(), icu_policies.values()
    assert len(policies) == len(values) == 25
    by_name = dict(zip(policies, values))
    exact = {
        "behavior": 0.7815518281,
        "optimum, 10%": 0.789291,
        "optimum, 30%": 0.805558,
        "optimum, 50%": 0.823098354,
        "optimum, 100%": 0.8751416996,
        "chance": 0.7800709046,
        "most usual": 0.7868258431,
    }
    for name, value in exact.items():
        assert by_name[name] == pytest.approx(value, abs=1e-6), name
    assert max(by_name, key=by_name.__getitem__) == "optimum, 100%"
    assert min(by_name, key=by_name.__getitem__) == "worst, half"
    assert values.min() < 0.73 and np.unique(values.round(6)).size == 25


def test_they_are_policies():
    for name, policy in icu_policies.policies().items():
        np.testing.assert_allclose(policy.sum(axis=1), 1, err_msg=name)
        assert (policy >= 0).all()
