"""How often the verdict deploys: never what only looks better, nearly always what is.

The trap is `stitchrl.problems.confounded`: planned on each log, the policy is worth less
than the clinicians on all of them. A model of the log and WIS, as they are commonly used on
the very log that was planned on, are shown beside the verdict, which judges it on that log,
on another one that knows nothing of it, and mixed with the clinicians. Power is measured on
a bandit and on a short graph, where the policy is truly better; the graph had 400 episodes
at first, where .857 were deployed. Writes results/trap.json.
"""

import argparse
import sys
from collections import Counter

import numpy as np
from record import row, save

from stitchrl.behavior.tabular import behavior_table
from stitchrl.dataset import Dataset
from stitchrl.evaluation.behavior import behavior_of
from stitchrl.ope.bounds import return_bounds
from stitchrl.ope.certification import Certification
from stitchrl.ope.evidence import Kind
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.ope.importance import wis
from stitchrl.ope.intervals import clopper_pearson
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.ope.weights import Weights, log_ratio
from stitchrl.plan import MIXTURE_SHARES
from stitchrl.problems import confounded
from stitchrl.problems.exact import Bandit, ToyGraph
from stitchrl.verdict import decide_all

EPISODES = 1_000
BANDIT_EPISODES = 200
GRAPH_EPISODES = 600


def decisions(log: Dataset, table: PolicyTable, *, seed: int, mixtures: bool) -> Counter:
    """How often each decision is made about a policy and its mixtures, together."""
    shares = (1.0, *(MIXTURE_SHARES if mixtures else ()))
    known = behavior_of(log, lambda: [], seed=seed)
    certification = Certification(
        log,
        known.behavior,
        1.0,
        candidates=len(shares),
        seed=seed,
        calibration_error=known.calibration_error,
    )
    evidence = [
        certification.evidence(
            table,
            name="planned" if share == 1 else f"{share:.0%} planned",
            kind=Kind.POLICY if share == 1 else Kind.MIXTURE,
            share=share,
            of=None if share == 1 else "planned",
        )
        for share in shares
    ]
    return Counter(str(verdict.decision) for verdict in decide_all(evidence))


def naive(log: Dataset, table: PolicyTable) -> tuple[float, float]:
    """What a model of the log says, and WIS by frequencies of actions in the same log."""
    tabular = TabularLog.of(log, discount=1.0)
    model = tabular.fit().value(tabular.transitions.policy(table))
    behavior = Behavior.fitted(log, behavior_table(log, smoothing=0.0))
    acting = table.of_logged_action(log)
    weights = Weights.of(log, log_ratio(acting, behavior.propensity))
    bounds = return_bounds(log, 1.0)
    return model, wis(log, weights, bounds, discount=1.0, level=0.95).value


def trap(seed: int) -> Counter:
    """One log of the trap, and one more that the policy has not seen."""
    log, other = (confounded.log(EPISODES, seed + far) for far in (0, 1_000_000))
    policy, now = confounded.planned(log), confounded.behavior_value()
    table = PolicyTable.of_states(log, policy)
    model, weighted = naive(log, table)
    found = Counter(
        {
            "trap/truly_worse": confounded.value(policy) < now,
            "trap/model_says_better": model > now,
            "trap/wis_says_better": weighted > now,
        }
    )
    for name, judged in (("same_log", log), ("other_log", other)):
        table = PolicyTable.of_states(judged, policy)
        for decision, count in decisions(judged, table, seed=seed, mixtures=True).items():
            found[f"trap/{name}/{decision}"] = count > 0
    return found


def bandit(seed: int) -> Counter:
    problem = Bandit()
    log = problem.log(BANDIT_EPISODES, seed)
    table = PolicyTable.of_states(log, np.array([problem.target]))
    found = decisions(log, table, seed=seed, mixtures=False)
    return Counter({"power/bandit": found["deploy"] > 0})


def graph(seed: int) -> Counter:
    """Up in .5 of decisions is worth 0, up in .8 of them 1.2."""
    problem = ToyGraph()
    rows = problem.mdp().simulate(problem.policy(0.5), episodes=GRAPH_EPISODES, seed=seed)
    log = problem.mdp().to_dataset(
        rows, horizon=4, reward_bounds=(-1.0, 1.0), return_bounds=(-4.0, 4.0)
    )
    table = PolicyTable.of_states(log, problem.policy(0.8))
    found = decisions(log, table, seed=seed, mixtures=False)
    return Counter({"power/graph": found["deploy"] > 0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=1_000)
    options = parser.parse_args()
    counted = Counter()
    for seed in range(options.logs):
        for part in (trap, bandit, graph):
            counted += part(seed)
        if (seed + 1) % 50 == 0:
            print(f"{seed + 1} of {options.logs}", file=sys.stderr, flush=True)
    rows = []
    never = {f"trap/{log}/deploy" for log in ("same_log", "other_log")}
    for name in sorted(never | counted.keys()):
        share = counted[name] / options.logs
        found = clopper_pearson(share, options.logs, level=0.95)
        within = {"low": found.low, "high": found.high}
        rows.append(row(name, share, unit="share of logs", n=options.logs, **within))
        print(f"{name:34}{share:7.3f}  [{found.low:.3f}, {found.high:.3f}]")
    save("trap", rows, command="make bench-trap")


if __name__ == "__main__":
    main()
