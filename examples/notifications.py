"""Sending too much: double DQN on a log of notifications, without and with CQL."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.experience import Experience
from stitchrl.normalizer import Normalizer
from stitchrl.policies import Normalized
from stitchrl.problems.notifications import log, rollout
from stitchrl.problems.notifications.simulator import behavior
from stitchrl.train import train

users = log(1_000, seed=0)
scale = Normalizer.fit(users)
experience = Experience.of(users, scale)
WORLD = {"users": 3_000, "seed": 1}
present = rollout(behavior(), **WORLD)


def acting(policy):  # The probabilities of holding and sending.
    mode = jax.jit(jax.vmap(policy.mode))
    return lambda seen: np.eye(2)[np.asarray(mode(jnp.asarray(seen, jnp.float32)))]


figure, panels = plt.subplots(1, 2, figsize=(10, 3.2))
CLASSES = {"double DQN": DoubleDQN, "with CQL": DiscreteCQL}
for panel, (label, cls) in zip(panels, CLASSES.items()):
    algorithm = cls(hidden=(32, 32), batch_size=64, learning_rate=1e-3)
    state, _ = train(algorithm, experience, jax.random.key(0), 4_000)
    found = rollout(acting(Normalized(algorithm.policy(state), scale)), **WORLD)
    change = {k: 100 * (v / getattr(present, k) - 1) for k, v in found._asdict().items()}
    panel.barh(list(change), list(change.values()), color="tab:blue")
    panel.set(title=label, xlabel="change in percent of the present policy")
    print(label, {name: round(value, 1) for name, value in change.items()})
figure.tight_layout()
figure.savefig("notifications.svg")
