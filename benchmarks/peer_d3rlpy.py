"""One training of `peer.py`, in a process of its own: d3rlpy on the arrays of a log.

Saves the layers of the policy's mode, which is tanh of a network for all four algorithms.
"""

import argparse
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

with contextlib.redirect_stderr(io.StringIO()):  # It imports gym, which says it is old.
    import d3rlpy


def config(name: str, settings: dict[str, Any], updates: int) -> Any:
    """Our settings in d3rlpy's names; what is not named is d3rlpy's own."""
    layers = d3rlpy.models.VectorEncoderFactory(hidden_units=settings["hidden"])
    same = {"batch_size": settings["batch_size"]}
    if name == "bc":
        return d3rlpy.algos.BCConfig(encoder_factory=layers, **same)
    same |= {"actor_encoder_factory": layers, "critic_encoder_factory": layers}
    same |= {"gamma": settings["discount"], "tau": settings["target_rate"]}
    same["critic_learning_rate"] = settings["learning_rate"]
    if name == "iql":
        # As d3rlpy's own reproduction of the paper does.
        decay = d3rlpy.optimizers.CosineAnnealingLRFactory(T_max=updates)
        return d3rlpy.algos.IQLConfig(
            actor_learning_rate=settings["learning_rate"],
            actor_optim_factory=d3rlpy.optimizers.AdamFactory(lr_scheduler_factory=decay),
            value_encoder_factory=layers,
            expectile=settings["expectile"],
            weight_temp=settings["inverse_temperature"],
            max_weight=settings["max_weight"],
            **same,
        )
    if name == "td3_bc":
        return d3rlpy.algos.TD3PlusBCConfig(
            actor_learning_rate=settings["learning_rate"],
            target_smoothing_sigma=settings["target_noise"],
            target_smoothing_clip=settings["target_noise_clip"],
            update_actor_interval=settings["actor_period"],
            alpha=settings["q_weight"],
            **same,
        )
    return d3rlpy.algos.CQLConfig(
        actor_learning_rate=settings["actor_learning_rate"],
        temp_learning_rate=settings["actor_learning_rate"],
        alpha_learning_rate=settings["weight_learning_rate"],
        conservative_weight=settings["initial_weight"],
        alpha_threshold=settings["target_gap"],
        n_action_samples=settings["action_samples"],
        soft_q_backup=True,  # Draws next actions, as the authors; else it takes the mode.
        **same,
    )


def layers_of(policy: torch.nn.Module) -> dict[str, np.ndarray]:
    """weight0 (inputs, outputs), bias0, ... from the first layer to the mean's."""
    linear = [m for m in policy._encoder.modules() if isinstance(m, torch.nn.Linear)]
    linear.append(policy._fc if hasattr(policy, "_fc") else policy._mu)
    found = {}
    for number, layer in enumerate(linear):
        found[f"weight{number}"] = layer.weight.detach().numpy().T
        found[f"bias{number}"] = layer.bias.detach().numpy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("arrays", type=Path)
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("updates", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("policy", type=Path)
    options = parser.parse_args()

    d3rlpy.seed(options.seed)
    with np.load(options.arrays) as columns:
        log = d3rlpy.dataset.MDPDataset(
            observations=columns["observation"],
            actions=columns["action"],
            rewards=columns["reward"],
            terminals=columns["terminated"],
            timeouts=columns["truncated"],
        )
        first = columns["observation"][:100]
    learner = config(options.name, options.settings, options.updates).create()
    learner.build_with_dataset(log)
    for _ in range(options.updates):
        learner.update(log.sample_transition_batch(options.settings["batch_size"]))
    found = layers_of(learner.impl.policy)
    expected = learner.predict(first)
    np.savez(options.policy, **found, observation=first, action=expected)


if __name__ == "__main__":
    main()
