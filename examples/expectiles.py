"""What one number does in IQL: the loss, and what it makes of data. Leaves one figure."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from stitchrl.learner import Learner
from stitchrl.losses import expectile_loss
from stitchrl.networks import MLP

EXPECTILES = jnp.array([0.1, 0.5, 0.7, 0.9, 0.99])
rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, (2000, 1)).astype("float32")
y = np.float32(np.sin(3 * x[:, 0]) + (0.3 + 0.5 * (x[:, 0] > 0)) * rng.normal(size=2000))


def fit(expectile):  # A small network regressed to an expectile of y given x.
    optimizer = optax.adam(3e-3)
    learner = Learner.create(MLP.create(jax.random.key(0), (1, 64, 64, 1)), optimizer)

    def loss(network):
        return expectile_loss(y - jax.vmap(network)(x)[:, 0], expectile).mean(), {}

    step = lambda learner, _: learner.minimize(loss, optimizer=optimizer)  # noqa: E731
    return jax.lax.scan(step, learner, length=1500)[0].network


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
right.scatter(x[:, 0], y, s=3, color="0.8")
grid, colors = jnp.linspace(-1, 1, 200), plt.cm.viridis(np.linspace(0, 0.9, 5))
curves = jax.vmap(lambda expectile: jax.vmap(fit(expectile))(grid[:, None]))(EXPECTILES)
for expectile, curve, color in zip(EXPECTILES, curves, colors):
    left.plot(grid, expectile_loss(grid, expectile), color=color)
    right.plot(grid, curve[:, 0], color=color, label=f"τ = {expectile:g}")
left.set(xlabel="u = target - prediction", ylabel="|τ - 1(u < 0)| u²", title="Loss")
right.set(xlabel="x", ylabel="y", title="What minimizes it")
right.legend(frameon=False)
figure.savefig("expectiles.svg")
