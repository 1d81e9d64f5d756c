"""Section 5: what is needed to get the same numbers again."""

import hashlib

from stitchrl.job.reporting.material import Material
from stitchrl.ope.planning import PilotTest, pilot_test
from stitchrl.report.schema import Command, Named, Phase, ReproduceSection


def reproduce_section(material: Material, *, content_hash: str) -> ReproduceSection:
    """Commands, versions, hashes, machine, seeds and wall times."""
    results, plan = material.results, material.plan
    machine = results.machine
    facts = [machine.get("processor"), machine.get("system"), machine.get("platform")]
    count, kind = machine.get("device_count", 0), machine.get("device_kind", "device")
    seeds = [Named(name="splits, probes and estimators", value=str(plan.seed))]
    trained = sorted({fitted.plan.seed for fitted in results.fitted})
    if trained:
        seeds.append(Named(name="training", value=", ".join(map(str, trained))))
    return ReproduceSection(
        commands=commands_of(material),
        versions=[
            Named(name=name, value=str(value))
            for name, value in machine.get("versions", {}).items()
        ],
        hashes=[
            Named(name="the log", value=content_hash),
            Named(name="the plan", value=plan_hash(material)),
        ],
        machine=", ".join(str(fact) for fact in facts if fact),
        threads=machine.get("threads"),
        devices=[f"{kind}:{number}" for number in range(count)],
        seeds=seeds,
        phases=[
            Phase(name=name.capitalize(), seconds=seconds)
            for name, seconds in results.phases.items()
        ],
    )


def commands_of(material: Material) -> list[Command]:
    """The lines that repeat the run, and what follows from it; no policy, none to apply."""
    recommendation = material.results.recommendation
    found = [
        Command(purpose=why, line=line)
        for why, line in material.results.commands
        if recommendation.name is not None or not line.startswith("stitchrl decide ")
    ]
    verdict = recommendation.verdict
    if verdict is not None and verdict.stopping_rule is not None:
        test = pilot_test(verdict.evidence)
        if test is not None:
            purpose = "Scores of the pilot, in Python; 'returns' are its outcomes so far"
            found.append(Command(purpose=purpose, line=scores_line(test)))
    return found


def scores_line(test: PilotTest) -> str:
    """Python that prints both betting scores of a pilot."""
    low, width = test.bounds.low, test.bounds.width
    scaled = "returns" if (low, width) == (0, 1) else f"(returns - {low!r}) / {width!r}"
    high = (test.high - low) / width
    least = (test.low - low) / width
    return (
        "import numpy; from stitchrl.ope.planning import betting_capital as score; "
        f"returns = numpy.array([...], float); x = {scaled}; "
        f"print(score(x, {high:.6g}, against='at most')[-1], "
        f"score(x, {least:.6g}, against='at least')[-1])"
    )


def plan_hash(material: Material) -> str:
    """SHA-256 of the resolved plan as JSON."""
    return hashlib.sha256(material.plan.model_dump_json().encode()).hexdigest()
