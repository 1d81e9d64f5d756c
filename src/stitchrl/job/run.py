"""The whole job, step by step, in a run directory that survives interruptions."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stitchrl import artifacts, bundle, devices, sources
from stitchrl.dataset import Dataset
from stitchrl.evaluation.judge import Judge, estimand_discount
from stitchrl.evaluation.requests import Request
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.fit import Progress
from stitchrl.job import reporting
from stitchrl.job.external import external_request
from stitchrl.job.results import Results
from stitchrl.job.training import Trained, parts_of, train_all
from stitchrl.job.truth import TRUTHS
from stitchrl.ope.refusals import Refusal, no_propensity
from stitchrl.plan import MIXTURE_SHARES, Plan
from stitchrl.report.render import render
from stitchrl.splits import SHARES
from stitchrl.validation import validate
from stitchrl.verdict import decide_all, recommend

PLAN, DATA, ESTIMATES, CANDIDATES, REPORT = (
    "plan.json",
    "data.json",
    "estimates.json",
    "candidates.json",
    "report.json",
)
Tell = Callable[[str | Progress], None]


def run_job(
    plan: Plan,
    dataset: Dataset,
    directory: str | Path,
    *,
    tell: Tell = lambda message: None,
    commands: Sequence[tuple[str, str]] = (),
    date: str = "",
    allow_different_threads: bool = False,
) -> Results:
    """Validate, split, train, rank, certify, decide and report.

    `directory` then holds everything described in docs/architecture.md; called again on
    the same directory with the same plan and log, it goes on where it was interrupted.
    Another machine, or other threads, are refused unless `allow_different_threads`: then
    the result is not repeated bit for bit. Raises `DataError` if the log has errors
    (unless the plan says force), `ValueError` if the plan does not fit the log,
    `ArtifactError` if the directory holds another run.
    """
    directory, clock = Path(directory), Clock(tell)
    with clock("validate"):
        ready = checked(plan, dataset)
    machine = devices.describe()
    open_directory(
        directory, ready, machine, allow_different_threads=allow_different_threads
    )
    return finish_job(
        ready, directory, clock, machine=machine, tell=tell, commands=commands, date=date
    )


def finish_job(
    ready: "Checked",
    directory: Path,
    clock: "Clock",
    *,
    machine: dict[str, Any],
    tell: Tell,
    commands: Sequence[tuple[str, str]],
    date: str,
) -> Results:
    """What follows once a directory is open: train what is not trained yet, and judge."""
    plan, dataset, findings, discount = ready
    trained = None
    if plan.algorithms or (plan.tabular and dataset.state_id is not None):
        with clock("train"):
            trained = train_all(
                plan,
                parts_of(plan, dataset),
                discount=discount,
                directory=directory / "members",
                tell=tell,
            )
    uses = _count_use(directory)
    with clock("evaluate"):
        results = judge_all(plan, dataset, trained, discount, findings)
    results = replace(
        results,
        directory=directory,
        machine=machine,
        commands=commands,
        certification_uses=uses,
        date=date,
    )
    if plan.truth is not None:
        with clock("truth"):
            results = replace(results, truth=TRUTHS[plan.truth](results))
    with clock("report"):
        save_results(replace(results, phases=dict(clock.seconds)))
    return replace(results, phases=dict(clock.seconds))


class Checked(NamedTuple):
    """A log and a plan that fit each other."""

    plan: Plan  # Resolved.
    dataset: Dataset
    findings: tuple[Finding, ...]
    discount: float  # Of the estimand.


def checked(plan: Plan, dataset: Dataset) -> Checked:
    """Validate the log and resolve the plan.

    Raises `DataError` if the log has errors (unless the plan says force), `ValueError` if
    the plan does not fit the log.
    """
    if plan.horizon is not None:
        dataset = replace(dataset, horizon=plan.horizon)
    findings = (*validate(dataset), *_monte_carlo(plan, dataset))
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if errors and not plan.force:
        raise DataError(errors)
    discount = estimand_discount(dataset, plan.discount)
    return Checked(plan.resolved(dataset.spec), dataset, findings, discount)


def judge_all(
    plan: Plan,
    dataset: Dataset,
    trained: Trained | None,
    discount: float,
    findings: Sequence[Finding],
) -> Results:
    """Certify the best candidate, its mixtures and external policies; decide."""
    candidates = list(trained.candidates) if trained else []
    best = next((c for c in candidates if c.kind == "policy"), None)
    external = [external_request(name, plan, dataset) for name in plan.policies]
    requests = list(external)
    if best is not None:
        mixtures = [Request(best, share) for share in MIXTURE_SHARES]
        requests = [Request(best), *mixtures, *requests]
    if not requests:
        raise ValueError(
            "There is nothing to evaluate: no algorithm, no tabular candidate and no "
            "external policy. Name one with --algorithms or --policy."
        )
    certified = len(requests)
    requests += [Request(c) for c in candidates if c is not best]
    judge = Judge(
        trained.splits.certification if trained else dataset,
        discount,
        updates=plan.fqe_updates,
        seed=plan.seed,
        certified=certified,
    )
    refusals = _run_refusals(plan, judge.dataset)
    evidence = judge.evidence(requests, refusals=refusals)
    verdicts = decide_all(evidence, margin=plan.margin)
    return Results(
        plan=plan,
        directory=Path(),
        dataset=dataset,
        findings=findings,
        splits=trained.splits if trained else None,
        discount=discount,
        fitted=trained.fitted if trained else [],
        candidates=[*candidates, *(request.candidate for request in external)],
        ranking=trained.ranking if trained else {},
        best=best,
        judge=judge,
        requests=requests,
        certified=certified,
        verdicts=verdicts,
        recommendation=recommend(verdicts[:certified]),
        refusals=refusals,
        machine={},
        phases={},
        commands=(),
    )


def save_results(results: Results) -> None:
    """Write candidates, estimates, the report and the recommended policy; seal all."""
    directory, plan = results.directory, results.plan
    report = reporting.build(results)
    by_name = {request.name: request for request in results.requests}
    candidates = [
        {
            "name": candidate.name,
            "kind": candidate.kind,
            "act": candidate.act,
            "members": list(candidate.members),
            "own_estimate": candidate.own_estimate,
            "selection_value": results.ranking.get(candidate.name),
        }
        for candidate in results.candidates
    ]
    decided = report.decide.model_dump(mode="json")
    estimates = {"certification_uses": results.certification_uses, **decided}
    files = {
        CANDIDATES: artifacts.json_to_bytes(candidates),
        ESTIMATES: artifacts.json_to_bytes(estimates),
        REPORT: report.model_dump_json(indent=1).encode(),
        "report.html": render(report).encode(),
    }
    artifacts.save_sealed(directory, files)
    chosen = results.recommendation.name
    if chosen is None and plan.force and results.best is not None:
        chosen = results.best.name
    request = None if chosen is None else by_name[chosen]
    if request is not None and not isinstance(request.candidate.policy, np.ndarray):
        exported = bundle.bundle_of(
            request.candidate,
            results.dataset,
            share=request.share,
            reading={"mapping": plan.mapping},
            certified=_certificate(results, request.name),
        )
        bundle.save(directory / "policy", exported)
    else:
        artifacts.remove_directory(directory / "policy")
    artifacts.seal(directory)


def resume_job(
    directory: str | Path, *, tell: Tell = lambda message: None, **others: Any
) -> Results:
    """Go on with an interrupted run from its directory alone (and the log it names).

    Raises `ArtifactError` if the log has changed since.
    """
    plan = read_plan(directory)
    return run_job(plan, load_log(plan), directory, tell=tell, **others)


def read_plan(directory: str | Path) -> Plan:
    """The plan of a run. Raises `ArtifactError` if the directory holds none."""
    if not is_saved(directory, PLAN):
        raise artifacts.ArtifactError(
            f"'{directory}' is not a run directory: it has no {PLAN}. Give the directory "
            "that was named with --out."
        )
    return Plan.model_validate(read_saved(directory, PLAN)["plan"], strict=False)


def read_machine(directory: str | Path) -> dict[str, Any]:
    """What a run was begun on, as `devices.describe` said then."""
    read_plan(directory)
    return read_saved(directory, PLAN)["machine"]


def is_saved(directory: str | Path, name: str) -> bool:
    """Whether this file of a run was saved whole."""
    has_any = (Path(directory) / artifacts.MANIFEST).is_file()
    return has_any and artifacts.sealed_size(directory, name) > 0


def read_saved(directory: str | Path, name: str) -> Any:
    """A JSON file of a run. Raises `ArtifactError` if it is not what was saved."""
    data = artifacts.read_sealed(directory, name)
    return artifacts.bytes_to_json(data, source=str(Path(directory) / name))


def load_log(plan: Plan) -> Dataset:
    """The log that a plan names, read as the plan says."""
    mapping = None
    if plan.mapping is not None:
        mapping = sources.Mapping.model_validate(plan.mapping)
    return sources.load(plan.log, mapping)


def open_directory(
    directory: Path,
    ready: Checked,
    machine: dict[str, Any],
    *,
    allow_different_threads: bool = False,
) -> None:
    """Write the plan and what is known of the log; or check that they are as before."""
    plan, dataset, findings, _ = ready
    data = {
        "content_hash": dataset.content_hash(),
        "rows": dataset.size,
        "episodes": dataset.episodes,
        "groups": dataset.groups,
        "split": {"seed": plan.seed, "by": "group", "shares": list(SHARES)},
        "findings": [asdict(finding) for finding in findings],
    }
    if is_saved(directory, PLAN):
        before = read_saved(directory, DATA)
        if before["content_hash"] != data["content_hash"]:
            raise artifacts.ArtifactError(
                f"The log '{plan.log}' is not the one that '{directory}' was begun with "
                f"(hash {data['content_hash'][:12]} instead of "
                f"{before['content_hash'][:12]}). Restore it, or choose another --out."
            )
        if read_plan(directory) != plan:
            raise artifacts.ArtifactError(
                f"'{directory}' holds a run with another plan. Choose another --out, or "
                "go on with that one: stitchrl resume."
            )
        if not allow_different_threads:
            _require_same_machine(directory, machine)
        return
    said = {"plan": plan.model_dump(mode="json"), "machine": machine}
    files = {DATA: artifacts.json_to_bytes(data), PLAN: artifacts.json_to_bytes(said)}
    artifacts.save_sealed(directory, files)


def _require_same_machine(directory: Path, machine: dict[str, Any]) -> None:
    changed = devices.differences(read_saved(directory, PLAN)["machine"], machine)
    if changed:
        raise artifacts.ArtifactError(
            f"'{directory}' was begun on another machine or with other settings, so that "
            f"its result would not be repeated bit for bit: {' '.join(changed)} Use the "
            "same, start anew with another --out, or go on all the same: stitchrl resume "
            "--allow-different-threads."
        )


def _count_use(directory: Path) -> int:
    """How often the certification split has now been looked at."""
    if not is_saved(directory, ESTIMATES):
        return 1
    return int(read_saved(directory, ESTIMATES)["certification_uses"]) + 1


def _monte_carlo(plan: Plan, dataset: Dataset) -> list[Finding]:
    """Filtering by return sees only the observed part of episodes that were cut."""
    cut = int(dataset.truncated[dataset.last_row].sum())
    wanted = plan.algorithms is None or "filtered_bc" in plan.algorithms
    if not (cut and wanted):
        return []
    return [
        Finding(
            "MC_TRUNCATED",
            Severity.ERROR if plan.strict else Severity.WARNING,
            f"Filtered cloning ranks episodes by their return, but {cut:,} of "
            f"{dataset.episodes:,} episodes were cut, so that part of theirs is unknown.",
            "Leave out filtered_bc, or accept that cut episodes rank too low.",
            count=cut,
        )
    ]


def _run_refusals(plan: Plan, dataset: Dataset) -> tuple[Refusal, ...]:
    missing = no_propensity(
        has_propensity=dataset.propensity is not None,
        has_fitted_behavior=plan.fit_behavior,
    )
    return () if missing is None else (missing,)


def _certificate(results: Results, name: str) -> dict[str, Any]:
    """What a bundle says of itself: the verdict and the numbers behind it."""
    verdict = next(v for v in results.verdicts if v.evidence.name == name)
    evidence = verdict.evidence
    return {
        "decision": verdict.decision,
        "line": verdict.line,
        "label": verdict.label,
        "sentence": verdict.sentence,
        "value": evidence.points,
        "behavior": evidence.behavior.value,
        "effective_size": evidence.effective_size,
        "kl_bits": evidence.kl_bits,
        "groups": evidence.groups,
        "log": results.dataset.content_hash(),
        "discount": results.discount,
    }


class Clock:
    """Wall seconds of each part of the job."""

    def __init__(self, tell: Tell):
        self.tell = tell
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.tell(name)
        begun = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begun
