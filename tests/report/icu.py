"""A complete report, with numbers like those of the intensive-care demo."""

from report.icu_data import data
from report.icu_evidence import (
    BITS,
    CLINICIANS,
    LEARNED,
    MIXTURES,
    N,
    mixture,
    reproduce,
    training,
    trust,
    truth,
)

from stitchrl.report.schema import (
    ActionChange,
    Decide,
    Estimand,
    Estimate,
    EstimateRow,
    Estimates,
    OwnEstimate,
    Policy,
    Reason,
    Report,
    StateGroup,
    Verdict,
    WhatWouldChange,
)


def policies() -> list[Policy]:
    named = [
        Policy(
            name="clinicians",
            label="Clinicians",
            kind="behavior",
            certified="sample",
            description="Whoever made the log: its returns are averaged.",
        )
    ]
    for name, (label, *_) in LEARNED.items():
        kind = "control" if name == "double_dqn" else "policy"
        certified = "mode" if name in ("tabular", "double_dqn") else "sample"
        named.append(Policy(name=name, label=label, kind=kind, certified=certified))
    for share in MIXTURES:
        percent = round(100 * share)
        named.append(
            Policy(
                name=mixture(share),
                label=f"{percent} % tabular, {100 - percent} % clinicians",
                kind="mixture",
                certified="sample",
                share=share,
                of="tabular",
            )
        )
    return named


def reasons(ess: float, bits: float, weight: float, low: float) -> list[Reason]:
    return [
        Reason(
            code="LOWER_BOUND",
            passed=low > 0,
            sentence="The lower bound of the improvement is above 0.",
            number=low,
            threshold="above 0",
        ),
        Reason(
            code="ESS",
            passed=ess >= 200,
            sentence="Enough patients effectively speak about this policy.",
            number=ess,
            threshold="at least 200",
        ),
        Reason(
            code="TOO_FAR",
            passed=bits <= BITS + 3,
            sentence="The policy is not too far from what the log shows, in bits.",
            number=bits,
            threshold="at most 15.0",
        ),
        Reason(
            code="MEAN_WEIGHT",
            passed=0.8 <= weight <= 1.25,
            sentence="Importance weights average to one.",
            number=weight,
            threshold="between 0.8 and 1.25",
        ),
        Reason(
            code="UNSEEN",
            passed=True,
            sentence="Almost all of its actions have been tried in the same states.",
            number=0.0,
            threshold="below 0.01",
        ),
        Reason(
            code="AGREEMENT",
            passed=True,
            sentence="Importance weighting and fitted Q agree.",
        ),
        Reason(
            code="MULTIPLICITY",
            passed=True,
            sentence="Bounds are corrected for the five candidates certified.",
            number=5.0,
        ),
    ]


def difference(value: float, half: float) -> Estimate:
    return Estimate(
        value=value - CLINICIANS.value,
        low=value - half - CLINICIANS.high,
        high=value + half - CLINICIANS.low,
        interval="asymptotic",
        level=0.9,
        n=N,
    )


def verdicts() -> list[Verdict]:
    found = []
    label, value, half, ess, bits, *_ = LEARNED["tabular"]
    found.append(
        Verdict(
            policy="tabular",
            decision="cannot_say",
            rule=2,
            sentence="Followed throughout, this policy is too far from what clinicians "
            "did: only about 6 of 4,000 patients were treated the way it would treat them.",
            reasons=reasons(ess, bits, 0.61, value - half - CLINICIANS.high),
            remedy="Judge it through a mixture with the clinicians: at 50 % it is close "
            "enough to the log.",
            required_n=2.0**bits,
            estimate=wis(value, half),
            difference=difference(value, half),
        )
    )
    for share, (value, half, ess, bits, weight, _) in MIXTURES.items():
        pilot = share < 0.5
        found.append(
            Verdict(
                policy=mixture(share),
                decision="pilot" if pilot else "collect_more_data",
                label="asymptotic",
                rule=5 if pilot else 6,
                sentence="All methods put it above the clinicians, but chance cannot be "
                "ruled out: try it on some patients under supervision."
                if pilot
                else "Methods disagree whether it beats the clinicians.",
                reasons=reasons(ess, bits, weight, value - half - CLINICIANS.high),
                remedy="About 11,800 patients would settle it.",
                required_n=11_800,
                stopping_rule="Stop as soon as survival in the pilot falls significantly "
                "below 0.771 (betting test at 5 %, valid at any time), at the latest after "
                "11,800 patients."
                if pilot
                else None,
                estimate=wis(value, half),
                difference=difference(value, half),
            )
        )
    for name, (label, value, half, ess, bits, *_) in LEARNED.items():
        if name == "tabular":
            continue
        if name == "double_dqn":
            found.append(
                Verdict(
                    policy=name,
                    decision="evaluated",
                    sentence="Double DQN is a control: evaluated, but no candidate.",
                    estimate=wis(value, half),
                    difference=difference(value, half),
                )
            )
            continue
        near = ess > 200
        found.append(
            Verdict(
                policy=name,
                decision="pilot" if near else "cannot_say",
                rule=5 if near else 2,
                label="asymptotic" if near else None,
                sentence=f"{label} is close to the log and about as good."
                if near
                else f"{label} is too far from the log to be judged in full.",
                reasons=reasons(ess, bits, 0.97, value - half - CLINICIANS.high),
                remedy="Collect about 90,000 patients.",
                required_n=90_000,
                estimate=wis(value, half),
                difference=difference(value, half),
            )
        )
    return found


def wis(value: float, half: float) -> Estimate:
    low, high = max(value - half, 0.0), min(value + half, 1.0)
    return Estimate(value=value, low=low, high=high, interval="asymptotic", n=N)


def estimates() -> Estimates:
    rows = [EstimateRow(policy="clinicians", estimator="data", estimate=CLINICIANS, ess=N)]
    for name, (_, value, half, ess, _, fqe, lower, upper, _) in LEARNED.items():
        trust = "good" if ess > 200 else "poor" if ess < 10 else "caution"
        rows.append(
            EstimateRow(
                policy=name,
                estimator="WIS",
                estimate=wis(value, half),
                ess=ess,
                trust=trust,
            )
        )
        rows += fitted(name, fqe, lower, upper)
    for share, (value, half, ess, *_, exact) in MIXTURES.items():
        rows.append(
            EstimateRow(
                policy=mixture(share),
                estimator="WIS",
                estimate=wis(value, half),
                ess=ess,
                trust="good" if ess > 200 else "caution",
            )
        )
        rows += fitted(mixture(share), exact + 0.001, exact - 0.004, exact + 0.006)
    own = {"double_dqn": 0.983, "iql": 0.842, "cql": 0.836, "bcq": 0.858, "tabular": 0.847}
    return Estimates(
        behavior=CLINICIANS,
        rows=rows,
        own=[
            OwnEstimate(policy=name, estimate=Estimate(value=value, n=N))
            for name, value in own.items()
        ],
    )


def fitted(name: str, value: float, lower: float, upper: float) -> list[EstimateRow]:
    completions = {"lower": lower, "behavior": value, "upper": upper}
    return [
        EstimateRow(
            policy=name,
            estimator="FQE",
            completion=completion,
            estimate=Estimate(
                value=number,
                low=number - 0.011,
                high=number + 0.011,
                interval="model-based",
                n=N,
            )
            if completion == "behavior"
            else Estimate(value=number, n=N),
            trust="good",
        )
        for completion, number in completions.items()
    ]


def changes() -> WhatWouldChange:
    groups = [
        StateGroup(
            name="SOFA 0 to 5 (mildly ill)",
            n=14_210,
            changed=0.31,
            changes=[
                ActionChange(action="fluid 0, vasopressor 0", logged=0.41, policy=0.58),
                ActionChange(action="fluid 2, vasopressor 0", logged=0.19, policy=0.07),
                ActionChange(action="fluid 1, vasopressor 0", logged=0.17, policy=0.12),
                ActionChange(action="fluid 4, vasopressor 0", logged=0.08, policy=0.11),
            ],
            difference=Estimate(value=0.006),
            sentence="Gives no fluid at all more often.",
        ),
        StateGroup(
            name="SOFA 6 to 10",
            n=15_873,
            changed=0.44,
            changes=[
                ActionChange(action="fluid 0, vasopressor 2", logged=0.05, policy=0.19),
                ActionChange(action="fluid 4, vasopressor 0", logged=0.21, policy=0.09),
                ActionChange(action="fluid 1, vasopressor 1", logged=0.08, policy=0.15),
                ActionChange(action="fluid 2, vasopressor 0", logged=0.14, policy=0.10),
            ],
            difference=Estimate(value=0.019),
            sentence="Replaces large amounts of fluid by small doses of vasopressor.",
        ),
        StateGroup(
            name="SOFA 11 to 15",
            n=5_127,
            changed=0.57,
            changes=[
                ActionChange(action="fluid 1, vasopressor 3", logged=0.09, policy=0.24),
                ActionChange(action="fluid 4, vasopressor 4", logged=0.18, policy=0.06),
                ActionChange(action="fluid 0, vasopressor 4", logged=0.07, policy=0.13),
                ActionChange(action="fluid 4, vasopressor 1", logged=0.11, policy=0.08),
            ],
            difference=Estimate(value=0.031),
        ),
        StateGroup(
            name="SOFA 16 to 24 (critically ill)",
            n=742,
            changed=0.52,
            changes=[
                ActionChange(action="fluid 4, vasopressor 4", logged=0.44, policy=0.29),
                ActionChange(action="fluid 1, vasopressor 4", logged=0.10, policy=0.21),
                ActionChange(action="fluid 0, vasopressor 4", logged=0.06, policy=0.12),
            ],
        ),
    ]
    return WhatWouldChange(
        policy="tabular",
        changed=0.41,
        groups=groups,
        sentences=[
            "Followed in full, 41 % of decisions would be different ones.",
            "The more severely ill, the more changes: early vasopressor at low dose takes "
            "the place of large amounts of fluid.",
        ],
    )


def icu_report() -> Report:
    """Everything present, with the numbers of the intensive-care demo."""
    return Report(
        title="Treatment of sepsis in intensive care",
        generated="2025-11-21",
        estimand=Estimand(
            sentence="The probability that a patient survives, when every decision of a "
            "stay is made by the policy (undiscounted, until discharge or death).",
            discount=1.0,
            population="patients drawn like the 4,000 of the certification split",
            outcome="Probability of survival",
        ),
        policies=policies(),
        decide=Decide(
            decision="pilot",
            headline="Try it on some patients, under supervision: following the learned "
            "policy in 3 of 10 decisions probably raises survival from 78 % to 80 %, but "
            "chance is not ruled out.",
            best="tabular",
            recommended="tabular_30",
            verdicts=verdicts(),
            estimates=estimates(),
            changes=changes(),
        ),
        trust=trust(),
        data=data(),
        training=training(),
        reproduce=reproduce(),
        truth=truth(),
        limits=[
            "Whether the log holds everything clinicians knew: hidden reasons for "
            "treatment (confounding) cannot be seen in it.",
            "Whether patients next year are like those in the log.",
            "Any outcome other than the reward, such as time on a ventilator.",
        ],
    )
