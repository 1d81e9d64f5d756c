"""One part of `speed.py`, in a process of its own: updates per second of d3rlpy.

What is timed is what its `fit` repeats (draw a batch, update), without logging, progress
bar, evaluation and saving. Threads are what PyTorch takes by itself.
"""

import argparse
import json

import d3rlpy
import speed_task as task
import torch

CONFIGS = {
    "iql": d3rlpy.algos.IQLConfig,
    "bc": d3rlpy.algos.BCConfig,
    "td3_bc": d3rlpy.algos.TD3PlusBCConfig,
    "cql": d3rlpy.algos.CQLConfig,
    "rebrac": d3rlpy.algos.ReBRACConfig,
    "discrete_cql": d3rlpy.algos.DiscreteCQLConfig,
}
CHUNK = {"iql": 20, "bc": 50, "td3_bc": 20, "cql": 3, "rebrac": 20, "discrete_cql": 50}
NETWORKS = {
    "iql": ("actor", "critic", "value"),
    "bc": ("",),
    "td3_bc": ("actor", "critic"),
    "cql": ("actor", "critic"),
    "rebrac": ("actor", "critic"),
    "discrete_cql": ("",),
}
MORE = {
    "cql": {"n_action_samples": task.ACTION_SAMPLES},
    "discrete_cql": {"n_critics": 2},  # As ours, which takes two.
}
NORMED = {("rebrac", "actor"), ("rebrac", "critic")}  # Layer norms, as ours.


def synthetic_log(name: str) -> d3rlpy.dataset.MDPDataset:
    """The log of noise as d3rlpy holds it."""
    columns = task.synthetic_log(is_discrete=name.startswith("discrete"))
    return d3rlpy.dataset.MDPDataset(
        observations=columns["observation"],
        actions=columns["action"].reshape(task.ROWS, -1),
        rewards=columns["reward"],
        terminals=columns["terminated"].astype("float32"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=CONFIGS)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--windows", type=int, required=True)
    options = parser.parse_args()
    name = options.algorithm

    d3rlpy.seed(0)
    log = synthetic_log(name)
    networks = {
        f"{net}_encoder_factory".lstrip("_"): d3rlpy.models.VectorEncoderFactory(
            hidden_units=[*task.HIDDEN], use_layer_norm=(name, net) in NORMED
        )
        for net in NETWORKS[name]
    }
    config = CONFIGS[name](batch_size=task.BATCH, **networks, **MORE.get(name, {}))
    learner = config.create()
    learner.build_with_dataset(log)

    def go() -> int:
        for _ in range(CHUNK[name]):
            learner.update(log.sample_transition_batch(task.BATCH))
        return CHUNK[name]

    result = task.measured(go, seconds=options.seconds, windows=options.windows)
    result["threads"] = torch.get_num_threads()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
