"""Section 5: what is needed to get the same numbers again."""

import hashlib

from stitchrl.job.reporting.material import Material
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
        commands=[Command(purpose=why, line=line) for why, line in results.commands],
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


def plan_hash(material: Material) -> str:
    """SHA-256 of the resolved plan as JSON."""
    return hashlib.sha256(material.plan.model_dump_json().encode()).hexdigest()
