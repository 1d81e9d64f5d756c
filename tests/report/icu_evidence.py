"""Sections trust, training, reproduce and truth of the complete report."""

import numpy as np

from stitchrl.report.closeup import ClippingRow, Closeup, Distribution, EstimatorRow
from stitchrl.report.schema import (
    Agreement,
    AlgorithmTraining,
    BehaviorModel,
    CalibrationPoint,
    Command,
    Curve,
    Disagreement,
    Estimate,
    ExactValue,
    Histogram,
    HyperParameter,
    Member,
    Named,
    Phase,
    ReproduceSection,
    TrainingSection,
    TrustSection,
    TruthSection,
    WeightRow,
    Worth,
)

N = 4_000
BITS = float(np.log2(N))
CLINICIANS = Estimate(value=0.7835, low=0.7707, high=0.7963, interval="asymptotic", n=N)
MIXTURES = {  # share: value, half width, ESS, bits per episode, mean weight, exact value
    0.1: (0.7876, 0.0142, 3_412.0, 0.41, 1.002, 0.7893),
    0.2: (0.7931, 0.0176, 2_105.0, 1.32, 0.998, 0.7977),
    0.3: (0.7998, 0.0246, 1_027.0, 2.71, 0.991, 0.8056),
    0.5: (0.8122, 0.0604, 168.0, 6.94, 0.913, 0.8197),
}
LEARNED = {  # name: label, WIS, half width, ESS, bits, FQE, lower, upper, exact
    "tabular": (
        "Tabular, supported actions",
        0.861,
        0.31,
        6.1,
        17.4,
        0.829,
        0.79,
        0.86,
        0.8284,
    ),
    "iql": ("IQL", 0.802, 0.19, 14.2, 11.3, 0.814, 0.77, 0.84, 0.8131),
    "cql": ("CQL", 0.823, 0.29, 7.9, 16.2, 0.806, 0.72, 0.88, 0.8019),
    "bcq": ("Discrete BCQ", 0.796, 0.17, 18.8, 10.6, 0.809, 0.77, 0.84, 0.8077),
    "filtered_bc": ("Filtered BC", 0.788, 0.021, 2_980.0, 0.83, 0.786, 0.78, 0.79, 0.7858),
    "bc": ("Behavior cloning", 0.782, 0.014, 3_870.0, 0.06, 0.782, 0.78, 0.79, 0.7816),
    "double_dqn": ("Double DQN", 0.64, 0.47, 1.8, float("inf"), 0.791, 0.21, 0.99, 0.7792),
}


def mixture(share: float) -> str:
    return f"tabular_{round(100 * share)}"


def trust() -> TrustSection:
    predicted = np.linspace(0.05, 0.95, 10)
    observed = np.clip(predicted + 0.015 * np.sin(9 * predicted), 0, 1)
    counts = (9_000 * np.exp(-3 * predicted)).astype(int) + 120
    weights = []
    for name, (_, _, _, ess, bits, *_) in LEARNED.items():
        trust_word = "good" if ess > 200 else "poor" if ess < 10 else "caution"
        weights.append(weight_row(name, ess, bits, 0.61 if ess < 10 else 0.97, trust_word))
    for share, (_, _, ess, bits, weight, _) in MIXTURES.items():
        trust_word = "good" if ess > 200 else "caution"
        weights.append(weight_row(mixture(share), ess, bits, weight, trust_word))
    compared = ["clinicians", *LEARNED]
    matrix = np.abs(np.subtract.outer(np.arange(8), np.arange(8))) / 8
    matrix[7, :7] = matrix[:7, 7] = 0.87
    return TrustSection(
        behavior=BehaviorModel(
            source="logged",
            sentence="Probabilities were logged with every decision. Checked against a "
            "model fitted to the same decisions, they hold.",
            ece=Estimate(value=0.011, low=0.008, high=0.014, interval="asymptotic", n=N),
            calibration=[
                CalibrationPoint(
                    predicted=p,
                    observed=o,
                    n=n,
                    low=max(o - 2 / np.sqrt(n), 0),
                    high=min(o + 2 / np.sqrt(n), 1),
                )
                for p, o, n in zip(predicted, observed, counts, strict=True)
            ],
            propensities=Histogram(
                edges=np.linspace(0, 1, 11), counts=counts, n=int(counts.sum()), mean=0.34
            ),
        ),
        weights=weights,
        agreement=[
            Agreement(
                policy=mixture(share),
                word="tension" if share == 0.5 else "agree",
                spread=0.004 + share / 50,
                sentence="Importance weighting and fitted Q overlap."
                if share < 0.5
                else "Intervals overlap, but weights are uneven.",
            )
            for share in MIXTURES
        ],
        disagreement=Disagreement(policies=compared, share=matrix, n=35_952),
        closeup=closeup(mixture(0.3)),
    )


def closeup(name: str) -> Closeup:
    rng = np.random.default_rng(5)
    steps, points = np.arange(30), np.linspace(0, 1, 41)
    families = {
        **dict.fromkeys(["IS", "PDIS", "CWPDIS", "WIS", "RIS-WIS"], "weights"),
        **dict.fromkeys(["DR", "WDR", "MAGIC"], "combined"),
        "FQE": "values",
        "DRL": "marginal",
    }
    estimators = [
        EstimatorRow(
            estimator=method,
            family=family,
            estimate=Estimate(value=0.8 + 0.02 * rng.normal(), n=N),
        )
        for method, family in families.items()
    ]
    lone = Estimate(value=0.806, low=0.752, high=0.853, interval="asymptotic", n=N)
    estimators[3] = EstimatorRow(estimator="WIS", family="weights", estimate=lone)
    estimators[0] = EstimatorRow(estimator="IS", family="weights")
    return Closeup(
        policy=name,
        n=N,
        estimators=estimators,
        effective_sizes=430 + (N - 430) * np.exp(-steps / 4),
        still_going=(N * np.exp(-steps / 9)).astype(int),
        earned=[0.1, 0.4, 0.81, None],
        logged_earned=[0.1, 0.35, 0.7, 0.78],
        returns=Distribution(
            points=points,
            log=points**0.8,
            policy=points,
            band=0.06,
            worst=0.1,
            log_worst=0.02,
            policy_worst=Estimate(
                value=0.05, low=0.01, high=0.11, interval="asymptotic", n=N
            ),
        ),
        clipping=[
            ClippingRow(
                cap=cap,
                value=0.80 - 0.02 / cap,
                clipped_share=0.4 / cap,
                lost=0.3 / cap,
                low=0.77 - 0.3 / cap,
                high=0.81,
                is_chosen=cap == 10,
            )
            for cap in (1.0, 10.0, float("inf"))
        ],
    )


def weight_row(
    name: str, ess: float, bits: float, weight: float, trust_word: str
) -> WeightRow:
    return WeightRow(
        policy=name,
        n=N,
        ess=ess,
        ess_required=200,
        mean_weight=Estimate(
            value=weight, low=weight - 0.05, high=weight + 0.05, interval="asymptotic", n=N
        ),
        largest_share=min(2 / ess, 1),
        kl_per_step=bits / 9,
        kl_per_episode=bits,
        log2_n=BITS,
        unseen=0.31 if name == "double_dqn" else 0.004,
        unseen_before=0.31 if name == "double_dqn" else 0.012,
        trust=trust_word,
    )


def curves(rng: np.random.Generator, own: float | None, held_out: str) -> list[Curve]:
    steps = np.arange(500, 20_001, 500)
    decay = np.exp(-steps / 4_000)
    wobble = 0.006 * rng.standard_normal(len(steps))
    found = [
        Curve(
            name="critics/td" if own else "actor/loss",
            kind="loss",
            steps=steps,
            values=0.02 + 0.2 * decay + wobble,
        ),
        Curve(name=held_out, kind="held_out", steps=steps, values=0.9 + decay + 2 * wobble),
    ]
    if own is not None:
        values = own * (1 - decay) + wobble
        found.append(
            Curve(name="own_estimate", kind="own_estimate", steps=steps, values=values)
        )
    return found


def training() -> TrainingSection:
    rng = np.random.default_rng(1)
    own = {"double_dqn": 0.983, "iql": 0.842, "cql": 0.836, "bcq": 0.858}
    algorithms = []
    for name in ["double_dqn", "iql", "cql", "bcq", "filtered_bc", "bc"]:
        label, *_, exact = LEARNED[name]
        held_out = "held_out/td" if name in own else "held_out/log_likelihood"
        members = [
            Member(seed=seed, curves=curves(rng, own.get(name), held_out))
            for seed in range(3)
        ]
        if name == "cql":
            broken = [
                curve.model_copy(update={"values": (*curve.values[:17], *[None] * 23)})
                for curve in members[2].curves
            ]
            members[2] = Member(
                seed=2,
                curves=broken,
                stopped="Not finite at update 8,731: critics/td, from source rows 40,112 "
                "and 90,385.",
            )
        algorithms.append(
            AlgorithmTraining(
                name=label,
                role="control" if name == "double_dqn" else "candidate",
                policies=[name],
                members=members,
                worth=Worth(estimate=Estimate(value=exact), source="FQE"),
                updates=20_000,
                seconds=14.2,
                updates_per_second=4_225.0,
                hyperparameters=[
                    HyperParameter(
                        name="batch_size", value="256", origin="preset icu_sepsis"
                    ),
                    HyperParameter(name="discount", value="0.99"),
                    HyperParameter(name="hidden", value="(128, 128)", origin="user"),
                    HyperParameter(name="learning_rate", value="0.0003"),
                ],
            )
        )
    return TrainingSection(
        algorithms=algorithms,
        sentences=[
            "Double DQN believes its policy is worth 0.983. It is worth 0.779: an "
            "overestimate of 0.204. It never met the consequences of actions the log does "
            "not show.",
        ],
    )


def reproduce() -> ReproduceSection:
    return ReproduceSection(
        commands=[
            Command(
                purpose="The whole run", line="stitchrl demo --patients 20000 --seed 0"
            ),
            Command(purpose="This report again", line="stitchrl report demo"),
        ],
        versions=[
            Named(name="stitchrl", value="0.1.0"),
            Named(name="python", value="3.11.2"),
            Named(name="jax", value="0.10.2"),
            Named(name="numpy", value="2.4.1"),
        ],
        hashes=[Named(name="log", value="5f0c2a" + "9d41be77" * 7 + "03")],
        machine="x86-64, 2 cores, 8 GB",
        threads=1,
        devices=["cpu:0", "cpu:1"],
        seeds=[Named(name="log", value="0"), Named(name="training", value="0, 1, 2")],
        phases=[
            Phase(name="Simulate and read", seconds=2.1),
            Phase(name="Validate and split", seconds=0.8),
            Phase(name="Train", seconds=71.4),
            Phase(name="Select", seconds=6.2),
            Phase(name="Certify", seconds=9.9),
            Phase(name="Report", seconds=3.0),
        ],
    )


def truth() -> TruthSection:
    own = {"double_dqn": 0.983, "iql": 0.842, "cql": 0.836, "bcq": 0.858, "tabular": 0.847}
    values = [ExactValue(policy="clinicians", value=0.78184)]
    values += [
        ExactValue(policy=mixture(share), value=exact)
        for share, (*_, exact) in MIXTURES.items()
    ]
    values += [
        ExactValue(policy=name, value=exact, own=own.get(name))
        for name, (*_, exact) in LEARNED.items()
    ]
    return TruthSection(
        values=values,
        optimum=0.87514,
        method="Linear solve of the model that the log was simulated from.",
        sentences=["Double DQN believes 0.983 and is worth 0.779: 0.204 too much."],
    )
