"""From a log to a verdict in ten lines. Writes the directory `run` where it is called."""

import tomllib
from pathlib import Path

import stitchrl

LOG, MAP = (Path(__file__).with_name(name) for name in ("twenty_rows.csv", "map.toml"))

log = stitchrl.read(LOG, MAP)
for finding in stitchrl.validate(log):
    print(finding)
plan = stitchrl.Plan(
    log=str(LOG),
    mapping=tomllib.loads(MAP.read_text()),
    algorithms={"iql": {"hidden": [[16, 16]]}},
    updates=1000,
    fqe_updates=300,
)
results = stitchrl.run(plan, log, "run")
print(results.recommendation.decision, results.recommendation.sentence)
for verdict in results.verdicts:
    print(verdict.evidence.name, verdict.decision, verdict.evidence.points)
