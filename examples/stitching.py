"""Stitching: values join two walks that no episode joined, imitation does not."""

import dataclasses
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np

from stitchrl.algorithms import find
from stitchrl.experience import Experience
from stitchrl.problems import stitching
from stitchrl.train import train

log, seeds = stitching.log(), jax.random.split(jax.random.key(0), 10)
experience, states = Experience.of(log), stitching.FEATURES.astype("float32")
LABELS = {"bc": "cloning", "filtered_bc": "filtered cloning", "iql": "IQL", "cql": "CQL"}
PLACES = {1: (0, 2), 2: (1, 1.5), 3: (2, 1), 4: (3, 1), 5: (4, 2), 7: (1, 0), 8: (2, 0.4)}
PLACES |= {6: (4, 0.5), 9: (5, 0)}

figure, panels = plt.subplots(1, len(LABELS), figsize=(12, 3))
for panel, (name, label) in zip(panels, LABELS.items()):
    cls = find(name, log.spec.action)
    known = {field.name for field in dataclasses.fields(cls)}
    options = stitching.SMALL | stitching.SETTINGS.get(name, {})
    algorithm = cls(**{key: value for key, value in options.items() if key in known})
    learn = partial(train, algorithm, experience, steps=stitching.STEPS)
    policies = jax.vmap(algorithm.policy)(jax.vmap(learn)(seeds)[0])
    actions = jax.vmap(lambda policy: jax.vmap(policy.mode)(states))(policies)
    reached = sum(stitching.reaches(np.asarray(one)) for one in actions)
    for move in (*stitching.WALK, *stitching.PRIZE):
        (x, y), (to_x, to_y) = PLACES[move.state + 1], PLACES[move.reached + 1]
        share = float(np.mean(np.asarray(actions)[:, move.state] == move.action))
        panel.plot([x, to_x], [y, to_y], color="tab:blue", linewidth=0.5 + 5 * share)
    for number, (x, y) in PLACES.items():
        panel.text(x, y, f"s{number}", ha="center", bbox={"fc": "wheat"})
    panel.set_title(f"{label}: {reached} of 10 reach s9", fontsize=10)
    panel.axis("off")
figure.savefig("stitching.svg")
