"""The whole job, step by step, in a run directory that survives interruptions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stitchrl import artifacts, bundle, devices
from stitchrl.dataset import Dataset
from stitchrl.evaluation.judge import Judge
from stitchrl.evaluation.requests import Request
from stitchrl.job.checked import Checked, checked, has_tabular, nothing_to_evaluate
from stitchrl.job.clock import Clock, Tell
from stitchrl.job.directory import (
    CANDIDATES,
    ESTIMATES,
    PAGE,
    REPORT,
    Commands,
    count_use,
    earlier_report,
    load_log,
    open_directory,
    read_commands,
    read_plan,
)
from stitchrl.job.results import Results
from stitchrl.job.training import Trained, parts_of, train_all
from stitchrl.job.truth import TRUTHS
from stitchrl.ope.refusals import Refusal, no_propensity
from stitchrl.plan import MIXTURE_SHARES, Plan
from stitchrl.reuse import fingerprints
from stitchrl.sampling import balanced
from stitchrl.splits import CERTIFICATION_SHARE
from stitchrl.verdict import decide_all, recommend


def run_job(
    plan: Plan,
    dataset: Dataset,
    directory: str | Path,
    *,
    tell: Tell = lambda message: None,
    commands: Commands = (),
    date: str = "",
    allow_different_threads: bool = False,
    cluster: str | None = None,
) -> Results:
    """Validate, split, train, rank, certify, decide and report.

    `directory` then holds everything described in docs/architecture.md; called again on
    the same directory with the same plan and log, it goes on where it was interrupted.
    `commands` are for the report; one that goes on keeps those it was begun with.
    Another machine, or other threads, are refused unless `allow_different_threads`: then
    the result is not repeated bit for bit. With `cluster`, members are trained on the Ray
    cluster at this address: see `cluster.fit_on_cluster`. Raises `DataError` if the log has
    errors (unless the plan says force), `ValueError` if the plan does not fit the log,
    `ArtifactError` if the directory holds another run.
    """
    directory, clock = Path(directory), Clock(tell)
    with clock("validate"):
        ready = checked(plan, dataset)
    machine = devices.describe()
    open_directory(
        directory,
        ready,
        machine,
        commands=commands,
        allow_different_threads=allow_different_threads,
    )
    commands = read_commands(directory, commands)
    return finish_job(
        ready,
        directory,
        clock,
        machine=machine,
        tell=tell,
        commands=commands,
        date=date,
        cluster=cluster,
    )


def finish_job(
    ready: Checked,
    directory: Path,
    clock: Clock,
    *,
    machine: dict[str, Any],
    tell: Tell,
    commands: Commands,
    date: str,
    cluster: str | None = None,
) -> Results:
    """What follows once a directory is open: train what is not trained yet, and judge."""
    plan, dataset = ready.plan, ready.dataset
    trained = None
    if plan.algorithms or has_tabular(plan, dataset):
        with clock("train"):
            trained = train_all(
                plan,
                parts_of(plan, dataset),
                discount=ready.discount,
                directory=directory / "members",
                tell=tell,
                cluster=cluster,
            )
    uses = count_use(directory)
    with clock("evaluate"):
        results = judge_all(ready, trained)
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


def judge_all(ready: Checked, trained: Trained | None) -> Results:
    """Certify the best candidate, its mixtures and external policies; decide."""
    plan, dataset, findings, discount, external = ready
    if trained and plan.algorithms:
        findings = (*findings, *balanced(plan.sampling.of(trained.splits.train)))
    candidates = list(trained.candidates) if trained else []
    best = next((c for c in candidates if c.kind == "policy"), None)
    requests = list(external)
    if best is not None:
        mixtures = [Request(best, share) for share in MIXTURE_SHARES]
        requests = [Request(best), *mixtures, *requests]
    if not requests:
        raise nothing_to_evaluate()
    certified = len(requests)
    requests += [Request(c) for c in candidates if c is not best]
    judge = Judge(
        trained.splits.certification if trained else dataset,
        discount,
        updates=plan.fqe_updates,
        seed=plan.seed,
        certified=certified,
        part=CERTIFICATION_SHARE if trained else 1.0,
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
        diagnoses=trained.diagnoses if trained else {},
        set_aside=trained.set_aside if trained else 0,
    )


def save_results(results: Results) -> None:
    """Write candidates, estimates, the report and the recommended policy; seal all."""
    # What makes reports takes half a second to load, and training begins without it.
    from stitchrl.job import reporting
    from stitchrl.report.render import render

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
    said = report.decide.model_dump_json().encode()  # Infinity as text.
    decided = artifacts.bytes_to_json(said, source=REPORT)
    estimates = {"certification_uses": results.certification_uses, **decided}
    files = {
        CANDIDATES: artifacts.json_to_bytes(candidates),
        ESTIMATES: artifacts.json_to_bytes(estimates),
        REPORT: report.model_dump_json(indent=1).encode(),
        PAGE: render(report).encode(),
    } | earlier_report(directory)
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
            used=_used(results, request),
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


def _run_refusals(plan: Plan, dataset: Dataset) -> tuple[Refusal, ...]:
    missing = no_propensity(
        has_propensity=dataset.propensity is not None,
        has_fitted_behavior=plan.fit_behavior,
    )
    return () if missing is None else (missing,)


def _used(results: Results, request: Request) -> np.ndarray:
    """Of a policy from outside, what it brought; else the episodes it was chosen by."""
    if results.splits is None or request.candidate.kind == "external":
        return request.candidate.used
    return fingerprints(results.splits.train, results.splits.selection)


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
