"""What obp, SCOPE-RL, vw-estimators and rliable say of small inputs, for tests to equal.

Runs in an environment of its own, where those four work together, and with `python -P`:
the `estimators` of VW must not be the bench of that name beside this file. Writes what it
is given and what it finds to tests/ope/peers.json, or with --check compares with what is
there.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import sys
from pathlib import Path

import numpy as np

with contextlib.redirect_stderr(io.StringIO()):  # They speak of gym as they are imported.
    import obp.ope as obp
    from estimators.bandits import clopper_pearson, ips, snips
    from obp.ope import estimators_continuous as obp_continuous
    from rliable import library, metrics
    from scope_rl.ope.discrete import basic_estimators as scope

PLACE = Path(__file__).parents[1] / "tests" / "ope" / "peers.json"
PEERS = ("obp", "scope-rl", "vw-estimators", "rliable")
TOLERANCE = 1e-13  # Between machines.


def bandit() -> dict:
    """60 rounds, 4 actions, an off model."""
    rng = np.random.default_rng(0)
    size, actions = 60, 4
    rounds = np.arange(size)
    behavior = rng.dirichlet(np.ones(actions), size)
    policy = rng.dirichlet(np.ones(actions), size)
    action = np.array([rng.choice(actions, p=row) for row in behavior])
    reward = rng.binomial(1, rng.uniform(0.2, 0.8, (size, actions)))[rounds, action]
    model = rng.uniform(0.2, 0.8, (size, actions))
    given = {
        "reward": reward.astype(float),
        "action": action,
        "pscore": behavior[rounds, action],
        "action_dist": policy[:, :, None],
        "estimated_rewards_by_reg_model": model[:, :, None],
    }
    estimators = {
        "ipw": obp.InverseProbabilityWeighting(),
        "snipw": obp.SelfNormalizedInverseProbabilityWeighting(),
        "direct_method": obp.DirectMethod(),
        "doubly_robust": obp.DoublyRobust(),
        "self_normalized_doubly_robust": obp.SelfNormalizedDoublyRobust(),
        "switch": obp.SwitchDoublyRobust(lambda_=2.0),
        "optimistic_shrinkage": obp.DoublyRobustWithShrinkage(lambda_=5.0),
        "sub_gaussian_ipw": obp.SubGaussianInverseProbabilityWeighting(lambda_=0.1),
        "sub_gaussian_doubly_robust": obp.SubGaussianDoublyRobust(lambda_=0.1),
    }
    found = {n: float(e.estimate_policy_value(**given)) for n, e in estimators.items()}
    online = {"ips": ips.Estimator(), "snips": snips.Estimator()}
    interval = clopper_pearson.Interval()
    for row in rounds:
        told = (given["pscore"][row], reward[row], policy[row, action[row]])
        for estimator in online.values():
            estimator.add_example(*told)
        interval.add_example(*told)
    found |= {f"vw {name}": estimator.get() for name, estimator in online.items()}
    found["vw clopper_pearson"] = [float(end) for end in interval.get()]
    return {
        "reward": given["reward"],
        "action": action,
        "propensity": given["pscore"],
        "policy": policy,
        "model": model,
        "found": found,
    }


def continuous() -> dict:
    """50 rounds with actions on a line, of a deterministic policy."""
    rng = np.random.default_rng(1)
    size = 50
    logged, chosen, reward, model = rng.normal(size=(4, size))
    density = np.exp(-(logged**2) / 2) / np.sqrt(2 * np.pi)
    given = {
        "reward": reward,
        "action_by_behavior_policy": logged,
        "pscore": density,
        "action_by_evaluation_policy": chosen,
    }
    classes = {
        "ipw": obp_continuous.KernelizedInverseProbabilityWeighting,
        "snipw": obp_continuous.KernelizedSelfNormalizedInverseProbabilityWeighting,
        "doubly_robust": obp_continuous.KernelizedDoublyRobust,
    }
    found = {}
    for kernel in ("gaussian", "epanechnikov", "triangular", "cosine"):
        for name, cls in classes.items():
            more = {"estimated_rewards_by_reg_model": model} if "robust" in name else {}
            estimator = cls(kernel=kernel, bandwidth=0.5)
            found[f"{kernel} {name}"] = float(
                estimator.estimate_policy_value(**given, **more)
            )
    return {
        "reward": reward,
        "logged": logged,
        "chosen": chosen,
        "density": density,
        "model": model,
        "width": 0.5,
        "found": found,
    }


def sequences() -> dict:
    """12 episodes of 5 steps, 3 actions."""
    rng = np.random.default_rng(2)
    episodes, steps, actions, discount = 12, 5, 3, 0.9
    size = episodes * steps
    rows = np.arange(size)
    behavior, policy = rng.dirichlet(np.ones(actions), (2, size))
    action = np.array([rng.choice(actions, p=row) for row in behavior])
    reward = rng.uniform(size=size)
    q = rng.normal(size=(size, actions))
    given = {
        "step_per_trajectory": steps,
        "action": action,
        "reward": reward,
        "pscore": behavior[rows, action],
        "evaluation_policy_action_dist": policy,
        "state_action_value_prediction": q,
        "gamma": discount,
    }
    classes = {
        "dm": scope.DirectMethod,
        "is": scope.TrajectoryWiseImportanceSampling,
        "wis": scope.SelfNormalizedTIS,
        "pdis": scope.PerDecisionImportanceSampling,
        "cwpdis": scope.SelfNormalizedPDIS,
        "dr": scope.DoublyRobust,
        "wdr": scope.SelfNormalizedDR,
    }
    found = {n: float(cls().estimate_policy_value(**given)) for n, cls in classes.items()}
    return {
        "episodes": episodes,
        "steps": steps,
        "discount": discount,
        "action": action,
        "reward": reward,
        "propensity": given["pscore"],
        "policy": policy,
        "q": q,
        "found": found,
    }


def aggregates() -> dict:
    """Two methods, 10 and 8 runs on 5 tasks, with ties."""
    rng = np.random.default_rng(3)
    ours = np.round(rng.normal(0.6, 0.3, (10, 5)), 1)
    theirs = np.round(rng.normal(0.5, 0.3, (8, 5)), 1)
    thresholds = np.linspace(-0.5, 1.5, 9)
    return {
        "ours": ours,
        "theirs": theirs,
        "thresholds": thresholds,
        "found": {
            "interquartile_mean": float(metrics.aggregate_iqm(ours)),
            "mean_score": float(metrics.aggregate_mean(ours)),
            "median_score": float(metrics.aggregate_median(ours)),
            "optimality_gap": float(metrics.aggregate_optimality_gap(ours)),
            "probability_of_improvement": float(
                metrics.probability_of_improvement(ours, theirs)
            ),
            "performance_profile": [
                float(library.run_score_deviation(ours, t)) for t in thresholds
            ],
        },
    }


def plain(value):
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def same(before, now) -> bool:
    """Equal up to what another machine's rounding may change."""
    if isinstance(before, dict):
        return before.keys() == now.keys() and all(same(before[k], now[k]) for k in now)
    if isinstance(before, str):
        return True  # Versions.
    return np.shape(before) == np.shape(now) and np.allclose(
        before, now, rtol=TOLERANCE, atol=TOLERANCE
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    parts = (bandit, continuous, sequences, aggregates)
    now = {
        "command": "make parity",
        "versions": {name: importlib.metadata.version(name) for name in PEERS},
        **{part.__name__: plain(part()) for part in parts},
    }
    if options.check:
        before = json.loads(PLACE.read_text())
        if not same(before, now):
            sys.exit(f"{PLACE.name} is not what peers say now.")
        names = ", ".join(f"{name} {now['versions'][name]}" for name in PEERS)
        print(f"{PLACE.name} is what {names} say.")
        return
    PLACE.write_text(json.dumps(now, indent=1) + "\n")


if __name__ == "__main__":
    main()
