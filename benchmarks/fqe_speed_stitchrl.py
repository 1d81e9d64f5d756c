"""Our side of `fqe_speed.py`: 32 deterministic policies, evaluated as one population."""

import json
import time

import fqe_speed as task
import jax
import jax.numpy as jnp
import numpy as np
import speed_stitchrl

from stitchrl import devices
from stitchrl.experience import Fold
from stitchrl.ope.fqe_network import FQE, Actions
from stitchrl.policies import Deterministic
from stitchrl.population import train_population


def main() -> None:
    devices.prepare(host_devices=devices.thread_count())
    data = speed_stitchrl.experience()
    keys = jax.random.split(jax.random.key(1), task.POLICIES)
    policies = [Deterministic.create(key, data.spec, task.HIDDEN) for key in keys]

    begun = time.perf_counter()
    following = data.transitions.next_observation
    act = jax.jit(jax.vmap(lambda policy, seen: policy.mode(seen), (None, 0)))
    (fold,) = Fold.of([np.ones(len(following), bool)])
    models = [
        FQE(
            following=Actions(act(policy, following)[:, None]),
            fold=fold,
            low=-jnp.inf,
            high=jnp.inf,
            discount=task.DISCOUNT,
            total_updates=float(task.UPDATES),
            hidden=task.HIDDEN,
        )
        for policy in policies
    ]
    states = train_population(models, data, list(keys), task.UPDATES)
    jax.block_until_ready(states)
    print(json.dumps({"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
