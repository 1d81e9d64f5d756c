"""Forward KL covers both habits of a log, reverse KL takes one of them."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from stitchrl.algorithms.brac import BRAC
from stitchrl.experience import Experience
from stitchrl.problems.two_modes import TwoModes
from stitchrl.train import train

SIZES = {"hidden": (32, 32), "batch_size": 128}
SIZES |= {"learning_rate": 3e-3, "actor_learning_rate": 3e-3}
# The right habit pays a little more: too little for reverse KL to cross over to it.
problem = TwoModes(center=0.6, spread=0.08, gain=0.02)
log = problem.log(512, seed=0)
action = jnp.linspace(-0.999, 0.999, 800)[:, None]

figure, axes = plt.subplots(figsize=(7, 3.5))
axes.hist(log.action[:, 0], bins=60, density=True, color="0.85", label="the log")
for name, label in {"forward_kl": "forward KL", "reverse_kl": "reverse KL"}.items():
    algorithm = BRAC(**SIZES, divergence=name)
    state, _ = train(algorithm, Experience.of(log), jax.random.key(0), 1500)
    policy, here = algorithm.policy(state), jnp.asarray(log.observation[0])
    density = np.exp(jax.vmap(policy.log_prob, (None, 0))(here, action))
    axes.plot(action[:, 0], density, label=f"policy, {label}")
    sides = [density[np.abs(action[:, 0] - s) < 0.24].sum() * 0.0025 for s in (-0.6, 0.6)]
    print(f"{label}: {sides[0]:.2f} near the left habit, {sides[1]:.2f} near the right one")
axes.set(
    xlabel="action", ylabel="density", title="One Gaussian, two ways to be near the log"
)
axes.legend(frameon=False)
figure.tight_layout()
figure.savefig("two_modes.svg")
