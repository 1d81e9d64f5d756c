"""Why online methods fail offline: an action nobody tried looks best. Leaves one figure."""

from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from stitchrl.algorithms import find
from stitchrl.experience import Experience
from stitchrl.problems.bandits import DISCOUNT, FEATURES, LEFT_VALUE, overestimation_bandit
from stitchrl.train import train

log = overestimation_bandit()  # In s1, waiting was never tried: it costs 100.
SETTINGS = {"hidden": (32, 32), "batch_size": 64, "learning_rate": 1e-3}
SETTINGS |= {"target_rate": 0.02, "discount": DISCOUNT}
LABELS = {"double_dqn": "double DQN", "cql": "CQL", "iql": "IQL", "bcq": "BCQ"}
ACTIONS, start = np.arange(3), jnp.asarray(FEATURES[0], "float32")  # s1.

figure, panels = plt.subplots(1, len(LABELS), figsize=(11, 3.2), sharey=True)
for panel, (name, label) in zip(panels, LABELS.items()):
    algorithm = find(name, log.spec.action)(**SETTINGS)
    learn = partial(train, algorithm, Experience.of(log), steps=2000)
    states, _ = jax.vmap(learn)(jax.random.split(jax.random.key(0), 5))  # Five seeds.
    critics = jax.vmap(algorithm.action_value)(states)
    q = jax.vmap(lambda critic: critic.row(start).min(0))(critics)
    policies = jax.vmap(algorithm.policy)(states)
    actions = jax.vmap(lambda policy: policy.mode(start))(policies)
    waits = int((np.asarray(actions) == 2).sum())
    panel.bar(ACTIONS, np.asarray(q).mean(0), color=["tab:blue", "tab:blue", "tab:red"])
    panel.axhline(LEFT_VALUE, color="black", linewidth=1, linestyle="--")
    panel.set_xticks(ACTIONS, log.actions.labels)
    panel.set_title(f"{label}: {waits} of 5 seeds wait", fontsize=10)
    print(label, "waits in", waits, "of 5 seeds")
panels[0].set_ylabel("learned Q, mean of 5 seeds")
panels[1].text(-0.4, LEFT_VALUE + 8, "dashed: the best possible", fontsize=8)
panels[1].text(-0.4, LEFT_VALUE + 35, "red: never logged; in truth -36", fontsize=8)
figure.tight_layout()
figure.savefig("why_online_methods_fail.svg")
