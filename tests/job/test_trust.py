"""How far the report says that estimates may be relied on."""

from dataclasses import replace

import pytest

from stitchrl.job.reporting.trust import weighted_trust
from stitchrl.ope.evidence import Evidence
from stitchrl.report.schema import Trust
from tests.test_verdict import GOOD


@pytest.mark.parametrize(
    ("changed", "trust"),
    [
        ({}, Trust.GOOD),
        ({"tail_shape": 0.69}, Trust.GOOD),
        ({"tail_shape": float("nan")}, Trust.GOOD),
        ({"effective_size": 51.0}, Trust.CAUTION),
        ({"mean_weight": 0.79}, Trust.CAUTION),
        ({"tail_shape": 0.7}, Trust.POOR),
        ({"mean_weight": 3.0}, Trust.POOR),
        ({"effective_size": 3.0}, Trust.POOR),
        ({"effective_size": None}, Trust.POOR),
        ({"kl_bits": 13.1}, Trust.POOR),
        ({"groups": 20}, Trust.POOR),
    ],
)
def test_trust_in_weights(changed: dict, trust: Trust):
    evidence: Evidence = replace(GOOD, **changed)
    assert weighted_trust(evidence) == trust
