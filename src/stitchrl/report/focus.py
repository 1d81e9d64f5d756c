"""Which mixtures the page is about: those of one policy, however many were evaluated."""

from stitchrl.ope.evidence import Kind
from stitchrl.report.decide import Verdict
from stitchrl.report.schema import Policy, Report


def mixed_policy(report: Report) -> str | None:
    """Whose mixtures are shown: the recommended one's, else the best candidate's."""
    of = {p.name: p.of for p in report.policies if p.kind is Kind.MIXTURE}
    decide = report.decide
    wanted = [of.get(decide.recommended or ""), decide.recommended, decide.best]
    mixed = list(dict.fromkeys(name for name in of.values() if name is not None))
    return next((name for name in [*wanted, *mixed] if name in mixed), None)


def shown_policies(report: Report) -> list[Policy]:
    """All policies in their order, but of mixtures only those that the page is about."""
    source = mixed_policy(report)
    return [p for p in report.policies if p.kind is not Kind.MIXTURE or p.of == source]


def mixture_steps(report: Report) -> list[tuple[float, Verdict]]:
    """Verdicts on mixtures by rising share; what they are made of is the last step."""
    source = mixed_policy(report)
    steps = []
    for verdict in report.decide.verdicts:
        policy = report.policy(verdict.policy)
        if policy.kind is Kind.MIXTURE and policy.of == source and policy.share is not None:
            steps.append((policy.share, verdict))
        elif verdict.policy == source:
            steps.append((1.0, verdict))
    return sorted(steps, key=lambda step: step[0])
