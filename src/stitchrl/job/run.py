"""The whole job, step by step, in a run directory that survives interruptions."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stitchrl import artifacts, bundle, devices, sources
from stitchrl.candidates import Candidate
from stitchrl.dataset import Dataset
from stitchrl.evaluation.judge import Judge, estimand_discount
from stitchrl.evaluation.requests import Request
from stitchrl.findings import DataError, Finding, Severity
from stitchrl.fit import Progress
from stitchrl.job import reporting
from stitchrl.job.results import Results
from stitchrl.job.training import Trained, parts_of, train_all
from stitchrl.job.truth import TRUTHS
from stitchrl.ope.refusals import Refusal, no_propensity
from stitchrl.plan import MIXTURE_SHARES, Plan
from stitchrl.report.render import render
from stitchrl.splits import SHARES
from stitchrl.validation import validate
from stitchrl.verdict import decide_all, recommend

PLAN, DATA, ESTIMATES, CANDIDATES = (
    "plan.json",
    "data.json",
    "estimates.json",
    "candidates.json",
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
) -> Results:
    """Validate, split, train, rank, certify, decide and report.

    `directory` then holds everything described in docs/architecture.md; called again on
    the same directory with the same plan and log, it goes on where it was interrupted.
    Raises `DataError` if the log has errors (unless the plan says force), `ValueError` if
    the plan does not fit the log, `ArtifactError` if the directory holds another run.
    """
    directory, clock = Path(directory), Clock(tell)
    with clock("validate"):
        findings = (*validate(dataset), *_monte_carlo(plan, dataset))
        errors = [f for f in findings if f.severity is Severity.ERROR]
        if errors and not plan.force:
            raise DataError(errors)
        plan = plan.resolved(dataset.spec)
        discount = estimand_discount(dataset, plan.discount)
    machine = devices.describe()
    _open_directory(directory, plan, dataset, findings, machine)
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
    external = [external_candidate(name) for name in plan.policies]
    requests = [Request(candidate) for candidate in external]
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
        candidates=[*candidates, *external],
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


def external_candidate(name: str) -> Candidate:
    """A policy that was not trained here. Raises `ValueError` if it is unknown."""
    if name == "uniform":
        return Candidate("uniform", "external", "sample", "uniform")
    place = Path(name)
    if place.is_dir():
        found = bundle.load(place)
        return Candidate(place.name, "external", found.act_by, found.policy)
    raise ValueError(
        f"'{name}' is no policy: give 'uniform' or the path of a policy bundle, such as "
        "run/policy."
    )


def save_results(results: Results) -> None:
    """Write candidates, estimates, the report and the recommended policy; seal all."""
    directory, plan = results.directory, results.plan
    report = reporting.build(results)
    by_name = {request.name: request for request in results.requests}
    artifacts.save_json(
        directory / CANDIDATES,
        [
            {
                "name": candidate.name,
                "kind": candidate.kind,
                "act": candidate.act,
                "members": list(candidate.members),
                "own_estimate": candidate.own_estimate,
                "selection_value": results.ranking.get(candidate.name),
            }
            for candidate in results.candidates
        ],
    )
    text = report.model_dump_json(indent=1)
    artifacts.save_file(directory / "report.json", text.encode())
    decided = report.decide.model_dump(mode="json")
    estimates = {"certification_uses": results.certification_uses, **decided}
    artifacts.save_json(directory / ESTIMATES, estimates)
    artifacts.save_file(directory / "report.html", render(report).encode())
    chosen = results.recommendation.name
    if chosen is None and plan.force and results.best is not None:
        chosen = results.best.name
    if chosen is not None:
        request = by_name[chosen]
        exported = bundle.bundle_of(
            request.candidate,
            results.dataset,
            share=request.share,
            reading={"mapping": plan.mapping},
            certified=_certificate(results, chosen),
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
    place = Path(directory) / PLAN
    if not place.is_file():
        raise artifacts.ArtifactError(
            f"'{directory}' is not a run directory: it has no {PLAN}. Give the directory "
            "that was named with --out."
        )
    said = artifacts.bytes_to_json(place.read_bytes(), source=str(place))
    return Plan.model_validate(said["plan"], strict=False)


def load_log(plan: Plan) -> Dataset:
    """The log that a plan names, read as the plan says."""
    mapping = None
    if plan.mapping is not None:
        mapping = sources.Mapping.model_validate(plan.mapping)
    return sources.load(plan.log, mapping)


def _open_directory(
    directory: Path,
    plan: Plan,
    dataset: Dataset,
    findings: Sequence[Finding],
    machine: dict[str, Any],
) -> None:
    """Write the plan and what is known of the log; or check that they are as before."""
    data = {
        "content_hash": dataset.content_hash(),
        "rows": dataset.size,
        "episodes": dataset.episodes,
        "groups": dataset.groups,
        "split": {"seed": plan.seed, "by": "group", "shares": list(SHARES)},
        "findings": [asdict(finding) for finding in findings],
    }
    if (directory / PLAN).is_file():
        before = artifacts.bytes_to_json(
            (directory / DATA).read_bytes(), source=str(directory / DATA)
        )
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
        _require_same_machine(directory, machine)
        return
    said = {"plan": plan.model_dump(mode="json"), "machine": machine}
    artifacts.save_json(directory / DATA, data)
    artifacts.save_json(directory / PLAN, said)


def _require_same_machine(directory: Path, machine: dict[str, Any]) -> None:
    place = directory / PLAN
    said = artifacts.bytes_to_json(place.read_bytes(), source=str(place))
    changed = devices.differences(said["machine"], machine)
    if changed:
        raise artifacts.ArtifactError(
            f"'{directory}' was begun on another machine or with other settings, so that "
            f"its result would not be repeated bit for bit: {' '.join(changed)} Use the "
            "same, or start anew with another --out."
        )


def _count_use(directory: Path) -> int:
    """How often the certification split has now been looked at."""
    place = directory / ESTIMATES
    if not place.is_file():
        return 1
    said = artifacts.bytes_to_json(place.read_bytes(), source=str(place))
    return int(said["certification_uses"]) + 1


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
