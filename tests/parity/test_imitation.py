"""BC and filtered BC: two updates against the likelihood's gradient by hand."""

import numpy as np
import pytest
from parity.numpy_networks import (
    Adam,
    Descent,
    arrays,
    distance,
    log_likelihood,
    random_batch,
    started,
    updated,
    with_plain_steps,
)

from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.filtered_bc import FilteredBC

KINDS = ["continuous", "discrete", "masked"]


def reference(actor, batches, optimizer):
    """Minimize the mean negative log-likelihood of the logged actions."""
    for batch in batches:
        _, back = log_likelihood(actor, batch.s, batch.a, batch.allowed)
        actor = optimizer.step(actor, back(np.full(len(batch.s), -1 / len(batch.s))))
    return actor


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls", [BC, FilteredBC])
@pytest.mark.parametrize("optimizer", [Descent, Adam])
def test_two_updates(cls: type, kind: str, optimizer: type):
    is_plain = optimizer is Descent
    rate = 1.0 if is_plain else 1e-3
    algorithm = (with_plain_steps(cls) if is_plain else cls)(
        hidden=(8, 8), learning_rate=rate
    )
    first = started(algorithm, kind)
    batches = [random_batch(kind, seed) for seed in (1, 2)]
    last = updated(algorithm, first, kind, batches)[-1]
    expected = reference(arrays(first.actor.network), batches, optimizer(rate))
    start = first.actor.network if is_plain else None
    assert distance(last.actor.network, expected, start) < 1e-5
    backwards = reference(arrays(first.actor.network), batches[::-1], optimizer(rate))
    assert distance(last.actor.network, backwards, start) > (1e-2 if is_plain else 1e-4)
