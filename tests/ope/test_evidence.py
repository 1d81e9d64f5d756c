"""Which estimates a pilot is asked to have on its side."""

from dataclasses import replace

import pytest

from stitchrl.ope.base import Completions, Estimate, Family, Interval, Label, Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.dynamics import ModelValue
from stitchrl.ope.evidence import Evidence, Kind

BARE = Evidence(
    name="it",
    kind=Kind.POLICY,
    groups=200,
    behavior=Estimate("data", Family.DATA, 0.5, None, 200),
    bounds=ReturnBounds(0.0, 1.0, Source.DECLARED),
)
FULL = replace(BARE, wis=0.6, fqe=Completions(0.5, 0.7, 0.9))
MODEL = ModelValue(0.4, 0.0, 0.0, "networks", 0.5, unheard="")
KNOWN = Interval(0.7, 0.9, 0.95, Label.ASYMPTOTIC, "t")


def drl(interval):
    return (Estimate("DRL", Family.MARGINAL, 0.8, interval, 200),)


@pytest.mark.parametrize(
    "evidence, points",
    [
        (BARE, {}),
        (FULL, {"WIS": 0.6, "FQE": 0.7}),
        (replace(FULL, estimates=drl(KNOWN)), {"WIS": 0.6, "FQE": 0.7, "DRL": 0.8}),
        (replace(FULL, estimates=drl(None)), {"WIS": 0.6, "FQE": 0.7}),  # Thin.
        (replace(FULL, model=MODEL), {"WIS": 0.6, "FQE": 0.7, "MB": 0.4}),
        (replace(FULL, model=replace(MODEL, unheard="far")), {"WIS": 0.6, "FQE": 0.7}),
    ],
)
def test_families_that_know_enough_are_asked(evidence, points):
    assert evidence.points == points
