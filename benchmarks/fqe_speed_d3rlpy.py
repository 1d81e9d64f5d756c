"""The other side of `fqe_speed.py`: d3rlpy's FQE of two policies, one after the other.

What is timed is what its `fit` repeats (draw a batch, update), without logging, progress
bar, evaluation and saving. Threads are what PyTorch takes by itself.
"""

import json
import time

import d3rlpy
import fqe_speed as task
import speed_d3rlpy
import speed_task


def main() -> None:
    d3rlpy.seed(0)
    log = speed_d3rlpy.synthetic_log()
    layers = d3rlpy.models.VectorEncoderFactory(hidden_units=[*task.HIDDEN])
    policies = []
    for _ in range(task.FITTED_THERE):
        policy = d3rlpy.algos.BCConfig(encoder_factory=layers).create()
        policy.build_with_dataset(log)
        policies.append(policy)

    begun = time.perf_counter()
    for policy in policies:
        config = d3rlpy.ope.FQEConfig(
            batch_size=speed_task.BATCH, encoder_factory=layers, gamma=task.DISCOUNT
        )
        fqe = d3rlpy.ope.FQE(algo=policy, config=config)
        fqe.build_with_dataset(log)
        for _ in range(task.UPDATES):
            fqe.update(log.sample_transition_batch(speed_task.BATCH))
    print(json.dumps({"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
