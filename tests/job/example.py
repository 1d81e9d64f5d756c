"""Small finished runs, each made once for all tests: tiny networks, few updates."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import numpy as np

from stitchrl.candidates import Candidate, densities
from stitchrl.dataset import Choices, Dataset
from stitchrl.evaluation.judge import Judge
from stitchrl.evaluation.requests import Request
from stitchrl.job.results import Results
from stitchrl.job.run import run_job
from stitchrl.normalizer import Normalizer
from stitchrl.ope.base import Completions
from stitchrl.ope.certification import FittedValue
from stitchrl.ope.evidence import Kind
from stitchrl.plan import Plan
from stitchrl.policies import Deterministic, Gaussian, Normalized
from stitchrl.problems import icu_sepsis
from stitchrl.problems.lqg import BEHAVIOR, LQG
from stitchrl.verdict import decide_all, recommend

TINY = {"hidden": [[8, 8]], "batch_size": [32]}


def run(dataset: Dataset, **choices) -> Results:
    """A finished run; its directory is gone, which a report does not need."""
    short = {"updates": 20, "chunk": 5, "fqe_updates": 20}
    plan = Plan(log="log.parquet", **(short | choices))
    with tempfile.TemporaryDirectory() as place:
        commands = [("The whole run", "stitchrl run log.parquet")]
        return run_job(
            plan, dataset, Path(place) / "run", commands=commands, date="2025-11-21"
        )


@cache
def icu() -> Results:
    """600 simulated patients: planned and learned policies, a control, uniform; truth."""
    return run(
        icu_sepsis.load().simulate(600, seed=2),
        title="Sepsis",
        outcome="Probability of survival",
        group_name="patients",
        behavior_name="Clinicians",
        truth="icu_sepsis",
        algorithms={"bc": TINY | {"learning_rate": [1e-3, 3e-3]}, "double_dqn": TINY},
        policies=("uniform",),
    )


@cache
def few() -> Results:
    """16 patients and one planned policy: three patients to certify with."""
    return run(icu_sepsis.load().simulate(16, seed=1), algorithms={})


@cache
def external() -> Results:
    """One-step episodes in two states, no propensities, nothing trained: uniform choice."""
    rng = np.random.default_rng(0)
    state, action = rng.integers(0, 2, (2, 400))
    dataset = Dataset.create(
        observation=np.eye(2)[state],
        feature_names=("calm", "storm"),
        state_id=state,
        final_state_id=np.full(400, -1),
        state_count=2,
        action=action,
        actions=Choices(("wait", "sail")),
        reward=np.where(action == 1, 1.0 - 2 * state, 0.0),
        terminated=np.ones(400, bool),
        truncated=np.zeros(400, bool),
    )
    return run(dataset, algorithms={}, tabular=False, policies=("uniform",))


@cache
def continuous() -> Results:
    """Cut episodes with continuous actions: a deterministic and a stochastic policy."""
    dataset = LQG().log(BEHAVIOR, episodes=60, horizon=3, seed=0)
    normalizer = Normalizer.identity(1)
    keys = jax.random.split(jax.random.key(0))
    point = Deterministic.create(keys[0], dataset.spec, (4,))
    cloud = Gaussian.create(keys[1], dataset.spec, (4,))
    candidates = [
        Candidate("td3_bc", "policy", "mode", Normalized(point, normalizer)),
        Candidate("bc", "policy", "sample", Normalized(cloud, normalizer)),
    ]
    judge = Judge(dataset, 1.0, updates=2, seed=0, certified=3)
    requests = [Request(candidates[0]), Request(candidates[0], 0.5), Request(candidates[1])]
    policies = [None, None, densities(candidates[1], dataset)]
    fitted = FittedValue(Completions(-4.0, -4.0, -4.0), None, None)
    evidence = [
        judge.certification.evidence(
            policy,
            name=request.name,
            kind=Kind.MIXTURE if request.share < 1 else Kind.POLICY,
            share=request.share,
            of="td3_bc" if request.share < 1 else None,
            fitted=fitted,
        )
        for request, policy in zip(requests, policies, strict=True)
    ]
    known = [one.kl_bits for one in evidence]
    evidence = [
        replace(one, kl_bits=None if bits is None else float(bits))
        for one, bits in zip(evidence, known, strict=True)
    ]
    verdicts = decide_all(evidence)
    return Results(
        plan=Plan(log="push.parquet", algorithms={}),
        directory=Path(),
        dataset=dataset,
        findings=(),
        splits=None,
        discount=1.0,
        fitted=[],
        candidates=candidates,
        ranking={},
        best=candidates[0],
        judge=judge,
        requests=requests,
        certified=3,
        verdicts=verdicts,
        recommendation=recommend(verdicts),
        refusals=(),
        machine={},
        phases={},
        commands=(),
    )
