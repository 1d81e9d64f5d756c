"""Reports to draw: the complete one, the sparsest that are allowed, a hostile one."""

import numpy as np
from report.icu import icu_report
from report.icu_evidence import reproduce

from stitchrl.report.schema import (
    ActionChange,
    ActionDimension,
    ActionShare,
    ActionUse,
    DataSection,
    Decide,
    Estimand,
    Estimate,
    EstimateRow,
    Estimates,
    Policy,
    Reason,
    Refusal,
    Report,
    ReproduceSection,
    StateGroup,
    TrainingSection,
    Verdict,
    WhatWouldChange,
)


def minimal_report() -> Report:
    """Everything optional absent."""
    return Report(
        title="A log",
        generated="2025-11-21",
        estimand=Estimand(
            sentence="The expected return.", discount=0.99, population="all episodes"
        ),
        policies=[],
        decide=Decide(decision="cannot_say", headline="Nothing has been evaluated."),
        data=DataSection(source="log.csv", content_hash="00", rows=2, episodes=1, groups=1),
        reproduce=ReproduceSection(),
    )


def single_report() -> Report:
    """Too few episodes to evaluate anything; data and training are there."""
    complete = icu_report()
    refusal = Refusal(
        code="SINGLE",
        message="The certification split holds 3 episodes; below 30, no interval can be "
        "trusted.",
        remedy="Collect at least 150 episodes, so that 30 remain for certification.",
    )
    assert complete.training is not None
    return Report(
        title="Two people cook soup",
        generated="2025-11-21",
        estimand=Estimand(
            sentence="The expected number of soups times 5.",
            discount=0.99,
            horizon=1_200,
            population="pairs like the 16 of the log",
        ),
        policies=[
            Policy(name="people", label="People", kind="behavior"),
            Policy(name="iql", label="IQL", kind="policy", certified="sample"),
        ],
        decide=Decide(
            decision="cannot_say",
            headline="Nobody can say: 16 episodes are too few to compare policies.",
            best="iql",
            refusals=[refusal],
            verdicts=[
                Verdict(
                    policy="iql",
                    decision="cannot_say",
                    rule=1,
                    sentence="It was trained, but cannot be evaluated.",
                    reasons=[
                        Reason(
                            code="SINGLE",
                            passed=False,
                            sentence=refusal.message,
                            number=3,
                            threshold="at least 30",
                        )
                    ],
                    remedy=refusal.remedy,
                    required_n=150,
                )
            ],
        ),
        data=DataSection(
            source="cramped_room.npz",
            content_hash="ab" * 32,
            rows=19_190,
            episodes=16,
            groups=16,
            group_name="pairs",
            actions=ActionUse(
                n=19_190,
                choices=[
                    ActionShare(label=label, count=count, share=count / 19_190)
                    for label, count in zip(
                        "north south east west wait interact".split(),
                        [1_820, 1_700, 2_010, 1_960, 9_100, 2_600],
                        strict=True,
                    )
                ],
            ),
        ),
        training=TrainingSection(
            algorithms=[
                algorithm.model_copy(update={"policies": ("iql",), "worth": None})
                for algorithm in complete.training.algorithms
                if algorithm.name == "IQL"
            ]
        ),
        reproduce=reproduce(),
    )


def continuous_report() -> Report:
    """Continuous actions: densities instead of shares, means instead of choices."""
    edges = np.linspace(0, 10, 11)
    logged = np.array([0.02, 0.05, 0.11, 0.17, 0.2, 0.18, 0.13, 0.08, 0.04, 0.02])
    value = Estimate(value=41.2, low=37.0, high=45.6, interval="model-based", n=300)
    behavior = Estimate(value=38.9, low=36.1, high=41.7, interval="asymptotic", n=300)
    return Report(
        title="Dosing by pump",
        generated="2025-11-21",
        estimand=Estimand(
            sentence="The mean time in range, in percent.",
            discount=0.99,
            population="300 patients",
            outcome="Time in range",
        ),
        forced=True,
        certification_uses=2,
        policies=[
            Policy(name="log", label="Logged doses", kind="behavior"),
            Policy(name="td3_bc", label="TD3+BC", kind="policy", certified="mode"),
        ],
        decide=Decide(
            decision="collect_more_data",
            headline="Collect more data: the policy may be better, but methods disagree.",
            best="td3_bc",
            refusals=[
                Refusal(
                    code="DET_IS",
                    message="A deterministic policy has no importance weights.",
                    remedy="Use FQE and its bounds.",
                    overridden=True,
                )
            ],
            verdicts=[
                Verdict(
                    policy="td3_bc",
                    decision="collect_more_data",
                    rule=6,
                    sentence="The interval holds both gain and loss.",
                    estimate=value,
                )
            ],
            estimates=Estimates(
                behavior=behavior,
                rows=[EstimateRow(policy="td3_bc", estimator="FQE", estimate=value)],
            ),
            changes=WhatWouldChange(
                policy="td3_bc",
                quantity="mean",
                groups=[
                    StateGroup(
                        name="glucose above 10 mmol/l",
                        n=3_100,
                        changes=[
                            ActionChange(action="basal", logged=0.9, policy=1.2),
                            ActionChange(action="bolus", logged=4.1, policy=5.6),
                        ],
                    )
                ],
            ),
        ),
        data=DataSection(
            source="pump.parquet",
            content_hash="cd" * 32,
            rows=86_400,
            episodes=300,
            groups=300,
            actions=ActionUse(
                n=86_400,
                policy="td3_bc",
                dimensions=[
                    ActionDimension(name="basal", edges=edges, share=logged),
                    ActionDimension(
                        name="bolus", edges=edges, share=logged, policy_share=logged[::-1]
                    ),
                ],
            ),
        ),
        reproduce=ReproduceSection(),
    )


HOSTILE = "<script>alert('x')</script>\"'&-->]]> $x^$"


def hostile_report() -> Report:
    """Names a stranger may have put into the columns and labels of a log."""
    text = icu_report().model_dump_json()
    for name in ["SOFA 6 to 10", "fluid 4, vasopressor 4", "lactate", "Discrete BCQ"]:
        text = text.replace(name, HOSTILE.replace('"', '\\"'))
    return Report.model_validate_json(text)
