"""Exact values for a report, where the process that made the log is known."""

from collections.abc import Callable, Mapping

import numpy as np

from stitchrl.candidates import state_probabilities
from stitchrl.job.results import Results, Truth
from stitchrl.problems import icu_sepsis


def icu_sepsis_truth(results: Results) -> Truth:
    """The exact value of every policy of the demo, by linear solve."""
    icu = icu_sepsis.load()
    clinicians = np.asarray(icu.clinicians, np.float64)
    discount = results.discount
    values = {"behavior": icu.mdp.value(clinicians, discount)}
    observations = np.asarray(icu.features, np.float32)
    for candidate in results.candidates:
        policy = state_probabilities(candidate, observations, clinicians.shape[1])
        values[candidate.name] = icu.mdp.value(policy, discount)
        for request in results.requests:
            if request.candidate is candidate and request.share < 1:
                mixed = (1 - request.share) * clinicians + request.share * policy
                values[request.name] = icu.mdp.value(mixed, discount)
    _, q = icu.mdp.optimal(discount)
    optimum = float(icu.mdp.start @ q.max(axis=1))
    return Truth(
        values={name: float(value) for name, value in values.items()},
        optimum=optimum,
        method="linear solve of the known process (ICU-Sepsis)",
        units="standard deviations from the mean, of amounts on a scale of logarithms",
    )


TRUTHS: Mapping[str, Callable[[Results], Truth]] = {"icu_sepsis": icu_sepsis_truth}
