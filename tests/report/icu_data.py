"""Section data of the complete report."""

import numpy as np

from stitchrl.report.audit import AuditPanel, Fact, LogMap, Passage, Site
from stitchrl.report.schema import (
    ActionShare,
    ActionUse,
    Column,
    DataFinding,
    DataSection,
    Histogram,
    SplitSize,
)


def data() -> DataSection:
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.full(25, 0.7))
    policy_share = 0.6 * share + 0.4 * rng.dirichlet(np.full(25, 0.5))
    lengths = np.exp(-0.5 * ((np.arange(1, 21) - 9) / 3.6) ** 2) * 2_216
    counts = np.append(lengths.astype(int)[:-1], 96)
    return DataSection(
        source="icu-sepsis.parquet (simulated from the ICU-Sepsis model of MIMIC-III)",
        content_hash="5f0c2a" + "9d41be77" * 7 + "03",
        rows=179_824,
        episodes=20_000,
        groups=20_000,
        group_name="patients",
        columns=[
            Column(name="patient", role="group", kind="20,000 patients"),
            Column(name="stay", role="episode", kind="20,000 stays"),
            Column(name="hour4", role="step", kind="0 to 34"),
            Column(name="SOFA", role="observation", kind="number, 0 to 24"),
            Column(
                name="lactate", role="observation", kind="number, mmol/l", missing=0.031
            ),
            Column(name="mean_bp", role="observation", kind="number, mmHg"),
            Column(name="43 more", role="observation", kind="numbers"),
            Column(name="action", role="action", kind="25 choices: fluid x vasopressor"),
            Column(name="survived", role="reward", kind="1 on survival, else 0"),
            Column(name="probability", role="propensity", kind="0.003 to 1"),
        ],
        findings=[
            DataFinding(
                code="CONSTANT_COLUMN",
                severity="warning",
                message="Column 'gender' has one value, 0, in all rows.",
                remedy="Drop it from the mapping: nothing can be learned from it.",
            ),
            DataFinding(
                code="IMPUTED",
                severity="note",
                count=5_574,
                rows=[12, 13, 88, 90, 147],
                message="Column 'lactate': missing values were replaced by the mean.",
                remedy='Use missing = "flag" if a missing value means something.',
            ),
        ],
        audit=AuditPanel(
            facts=[
                Fact(title="Returns", sentence="mean 0.7818 ± 0.0057 (95 %)"),
                Fact(title="Stitching", sentence="98% of worse episodes meet a better one"),
                Fact(title="", sentence="features were not compared"),
            ],
            map=LogMap(
                sites=[
                    Site(step=0, to_go=0.78, visits=4_000, tried=0.52, meeting=0.98),
                    Site(step=4.2, to_go=0.91, visits=1_600, tried=0.4, meeting=0.75),
                    Site(step=6.0, to_go=0.42, visits=900, tried=0.16, meeting=0.3),
                    Site(step=9.1, to_go=1.0, visits=320, tried=0.08),
                ],
                passages=[
                    Passage(start=0, end=1, count=700),
                    Passage(start=0, end=2, count=210),
                    Passage(start=1, end=3, count=90),
                ],
                places=716,
                visits_share=0.21,
            ),
        ),
        returns=Histogram(
            edges=[-0.25, 0.25, 0.75, 1.25],
            counts=[4_363, 0, 15_637],
            n=20_000,
            mean=0.7818,
        ),
        lengths=Histogram(
            edges=np.arange(1, 22), counts=counts, n=int(counts.sum()), mean=8.99
        ),
        actions=ActionUse(
            n=179_824,
            policy="tabular",
            choices=[
                ActionShare(
                    label=f"fluid {i // 5}, vasopressor {i % 5}",
                    count=int(share[i] * 179_824),
                    share=share[i],
                    policy_share=policy_share[i],
                )
                for i in range(25)
            ],
        ),
        splits=[
            SplitSize(name="train", groups=12_000, episodes=12_000, rows=107_911),
            SplitSize(name="selection", groups=4_000, episodes=4_000, rows=35_961),
            SplitSize(name="certification", groups=4_000, episodes=4_000, rows=35_952),
        ],
        reward_transform="none (rewards are 0 or 1 already)",
    )
