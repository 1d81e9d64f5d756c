"""What the terminal says of a verdict."""

from stitchrl.cli import summary
from stitchrl.report.schema import (
    DataSection,
    Decide,
    Estimand,
    Estimate,
    Estimates,
    Policy,
    Report,
    ReproduceSection,
    Verdict,
)


def report(*, level: float) -> Report:
    def estimate(level: float) -> Estimate:
        return Estimate(value=0.5, low=0.4, high=0.6, interval="asymptotic", level=level)

    verdict = Verdict(
        policy="iql", decision="pilot", rule=5, sentence="s", estimate=estimate(level)
    )
    return Report(
        title="A log",
        generated="2025-11-21",
        estimand=Estimand(sentence="s", discount=1, population="p", outcome="Survival"),
        policies=[Policy(name="iql", label="IQL", kind="policy")],
        decide=Decide(
            decision="pilot",
            headline="h",
            verdicts=[verdict],
            estimates=Estimates(behavior=estimate(0.99), rows=[]),
        ),
        data=DataSection(source="l", content_hash="0", rows=2, episodes=1, groups=1),
        reproduce=ReproduceSection(),
    )


def shown(*, level: float) -> tuple[str, list[str]]:
    column = summary._table(report(level=level)).columns[2]
    plain = [str(cell).replace("\N{NARROW NO-BREAK SPACE}", " ") for cell in column.cells]
    return str(column.header).replace("\N{NARROW NO-BREAK SPACE}", " "), plain


def test_the_table_names_the_level_of_its_intervals():
    header, cells = shown(level=0.99)
    assert header == "Survival, 99 %"
    assert cells == ["0.50 [0.40, 0.60]"] * 2 or cells == ["0.500 [0.400, 0.600]"] * 2
    header, cells = shown(level=0.95)
    assert header == "Survival, interval"
    assert [cell[-4:] for cell in cells] == ["99 %", "95 %"]
