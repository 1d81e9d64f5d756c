"""Trust, data, changes, training, reproduce and truth: derived numbers, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from job import example

from stitchrl.audit import audit
from stitchrl.audit.words import facts
from stitchrl.candidates import table
from stitchrl.dataset import Choices
from stitchrl.fit import Fitted
from stitchrl.job.reporting import build
from stitchrl.job.results import Results
from stitchrl.ope.base import Source
from stitchrl.ope.evidence import Evidence
from stitchrl.report.format import number, percent
from stitchrl.report.schema import Report, Trust
from stitchrl.verdict import Recommendation


@pytest.fixture(scope="module")
def icu() -> tuple[Results, Report]:
    return example.icu(), build(example.icu())


def evidence_of(results: Results) -> dict[str, Evidence]:
    return {verdict.evidence.name: verdict.evidence for verdict in results.verdicts}


@pytest.mark.parametrize("name", ["icu", "few", "external", "continuous"])
def test_weights_are_those_of_the_evidence(name: str):
    results = getattr(example, name)()
    trust = build(results).trust
    assert trust is not None
    evidence = evidence_of(results)
    assert [row.policy for row in trust.weights] == [r.name for r in results.requests]
    for row in trust.weights:
        found = evidence[row.policy]
        assert (row.n, row.log2_n) == (found.groups, np.log2(found.groups))
        assert (row.ess, row.kl_per_episode) == (found.effective_size, found.kl_bits)
        assert row.unseen == pytest.approx(found.unseen_share)
        least = 50 if found.bounds.source is Source.DECLARED else 100
        assert row.ess_required == max(least, 0.05 * found.groups)
        if found.mean_weight is None:
            assert row.mean_weight is row.largest_share is None
        else:
            assert row.mean_weight is not None
            assert row.mean_weight.value == pytest.approx(found.mean_weight, rel=1e-12)
    rows = {row.policy: row for row in trust.agreement}
    assert set(rows) == {name for name, one in evidence.items() if one.agreement}
    for verdict in results.verdicts:
        reason = next(one for one in verdict.reasons if one.code == "AGREEMENT")
        found = verdict.evidence.agreement
        if found is None:
            continue
        row = rows[verdict.evidence.name]
        if reason.passed is None:  # What methods rest on was refused.
            assert row.word is None and "Not computed" in row.sentence
        else:
            assert row.word == found.word and row.spread == found.spread


def test_bits_per_step_and_what_was_cut(icu):
    results, report = icu
    assert report.trust is not None
    rows = {row.policy: row for row in report.trust.weights}
    request = results.requests[2]
    policy = table(request.candidate, results.certification)
    expected = results.judge.certification.divergence(policy, request.share)
    assert rows[request.name].kl_per_step == expected.bits_per_step
    cloned = next(row for name, row in rows.items() if name.startswith("bc"))
    assert cloned.unseen_before is not None and cloned.unseen is not None
    assert cloned.unseen_before >= cloned.unseen
    assert rows["value_iteration"].unseen_before is None


def test_trust_words():
    evidence = example.icu().verdicts[1].evidence

    def word(**changes) -> Trust:
        results = example.icu()
        verdict = replace(results.verdicts[1], evidence=replace(evidence, **changes))
        verdicts = [results.verdicts[0], verdict, *results.verdicts[2:]]
        trust = build(replace(results, verdicts=verdicts)).trust
        assert trust is not None
        return trust.weights[1].trust

    good = {"effective_size": 60.0, "mean_weight": 1.0, "unseen_share": 0.001}
    assert word(**good) is Trust.GOOD
    assert word(**good | {"unseen_share": 0.05}) is Trust.CAUTION
    assert word(**good | {"unseen_share": 0.2}) is Trust.POOR
    assert word(**good | {"effective_size": 40.0}) is Trust.CAUTION
    assert word(**good | {"effective_size": 9.0}) is Trust.POOR
    assert word(**good | {"mean_weight": 1.3}) is Trust.CAUTION
    assert word(**good | {"mean_weight": 2.1}) is Trust.POOR
    assert word(**good | {"kl_bits": 30.0}) is Trust.POOR
    assert word(**good | {"groups": 29}) is Trust.POOR


def test_disagreement_is_the_least_share_that_differs(icu):
    results, report = icu
    assert report.trust is not None and report.trust.disagreement is not None
    found, log = report.trust.disagreement, results.certification
    share = np.array(found.share)
    assert found.n == log.size and found.policies[0] == "behavior"
    assert (share == share.T).all() and (np.diag(share) == 0).all()
    named = {c.name: c for c in results.candidates}
    one, other = (table(named[n], log).probabilities for n in found.policies[1:3])
    expected = 1 - np.minimum(one, other).sum(axis=1).mean()
    assert share[1, 2] == pytest.approx(expected, abs=1e-6)
    taken = one[np.arange(log.size), log.action]
    departed = np.maximum(1 - taken / log.propensity, 0).mean()
    assert share[0, 1] == pytest.approx(departed, abs=1e-12)
    continuous = build(example.continuous()).trust
    assert continuous is not None and continuous.disagreement is None


def test_fitted_behavior_shows_its_calibration(icu):
    results = example.external()
    trust = build(results).trust
    assert trust is not None and trust.behavior is not None
    known, model = results.judge.known, trust.behavior
    assert known.reliability is not None and model.ece is not None
    assert (model.source, model.ece.value) == ("fitted", known.reliability.error)
    counts = [point.n for point in model.calibration]
    assert sum(counts) == 2 * results.dataset.size
    observed = sum(point.n * point.observed for point in model.calibration)
    assert observed == pytest.approx(results.dataset.size)
    assert model.propensities is not None
    assert sum(model.propensities.counts) == results.dataset.size
    _, logged = icu
    assert logged.trust is not None and logged.trust.behavior is not None
    assert logged.trust.behavior.source == "logged"
    assert logged.trust.behavior.ece is None


@pytest.mark.parametrize("name", ["icu", "few", "external", "continuous"])
def test_the_data_section_counts_everything(name: str):
    results = getattr(example, name)()
    data, log = build(results).data, results.dataset
    assert (data.rows, data.episodes, data.groups) == (log.size, log.episodes, log.groups)
    for counted, values in ((data.returns, log.returns()), (data.lengths, log.lengths)):
        assert counted is not None
        assert counted.n == sum(counted.counts) == log.episodes
        assert counted.mean == pytest.approx(values.mean())
    assert data.content_hash == log.content_hash()
    certification = data.splits[-1]
    assert certification.name == "certification"
    assert certification.rows == results.certification.size
    if results.splits is not None:
        assert sum(part.rows for part in data.splits) == log.size
    roles = {column.role for column in data.columns}
    assert {"episode", "step", "observation", "action", "reward", "terminated"} <= roles
    assert ("propensity" in roles) == (log.propensity is not None)
    found = audit(log, discount=results.discount, seed=results.plan.seed)
    assert data.audit is not None
    said = [(fact.title, fact.sentence) for fact in data.audit.facts]
    assert said == facts(found)
    if name == "external":  # Two states are no map.
        assert data.audit.map is None
    else:
        assert data.audit.map is not None
        assert len(data.audit.map.sites) == len(found.map.sites) > 3
        assert data.audit.map.sites[0].visits == found.map.sites[0].visits


def test_use_of_discrete_actions(icu):
    results, report = icu
    use = report.data.actions
    assert use is not None and use.policy == "value_iteration"
    counts = np.bincount(results.dataset.action, minlength=25)
    assert [choice.count for choice in use.choices] == counts.tolist()
    assert sum(choice.share for choice in use.choices) == pytest.approx(1)
    best = results.best
    assert best is not None
    expected = table(best, results.dataset).probabilities.mean(axis=0)
    shares = [choice.policy_share for choice in use.choices]
    assert shares == pytest.approx(expected.tolist(), abs=1e-12)


def test_use_of_continuous_actions():
    use = build(example.continuous()).data.actions
    assert use is not None
    (push,) = use.dimensions
    assert (push.edges[0], push.edges[-1]) == (-10, 10)
    action = example.continuous().dataset.action[:, 0]
    assert push.share[10] == pytest.approx(((action >= 0) & (action < 1)).mean())
    assert push.policy_share is not None
    assert sum(push.share) == pytest.approx(1) == sum(push.policy_share)


def test_columns_have_ranges():
    columns = {column.name: column for column in build(example.external()).data.columns}
    assert columns["calm"].kind == "number, 0 or 1"
    assert columns["reward"].kind == "number, −1 to 1"
    assert columns["state_id"].kind == "2 of 2 states"
    assert columns["action"].kind == "2 choices"
    pushed = {c.name: c for c in build(example.continuous()).data.columns}["push"]
    assert (pushed.role, pushed.note) == ("action", "bounds −10 to 10")


def test_changes_by_state_equal_a_hand_computation():
    results = example.external()
    changes, log = build(results).decide.changes, results.dataset
    assert changes is not None and changes.policy == "uniform"
    state, sails = log.observation[:, 1].astype(int), log.action == 1
    assert {group.name for group in changes.groups} == {"State 0", "State 1"}
    for group in changes.groups:
        here = state == int(group.name[-1])
        assert group.n == here.sum()
        sail = next(c for c in group.changes if c.action == "sail")
        share = sails[here].mean()
        assert (sail.logged, sail.policy) == (pytest.approx(share), 0.5)
        pays = 1.0 - 2 * int(group.name[-1])
        assert group.difference is not None
        assert group.difference.value == pytest.approx((0.5 - share) * pays)
    behavior = results.judge.known.behavior.propensity
    departed = np.maximum(1 - 0.5 / behavior, 0)
    assert changes.changed == pytest.approx(departed.mean())
    assert sum(group.n for group in changes.groups) == log.size
    most = f"wait ({percent(0.5)} instead of {percent(1 - sails.mean())})"
    assert changes.sentences[0] == f"Over all decisions, what changes most: {most}."


def test_changes_of_joint_actions_are_of_each_choice():
    """What is drawn twice by a coin: the second coin was 1 in nine of ten."""
    log, rng = example.external().dataset, np.random.default_rng(0)
    first, second = rng.integers(0, 2, log.size), rng.random(log.size) < 0.9
    coins = Choices.joint(("first", "second"), (("0", "1"), ("no", "yes")))
    joint = replace(log, actions=coins, action=(2 * first + second).astype(np.int32))
    plan = {"algorithms": {}, "tabular": False, "policies": ("uniform",)}
    changes = build(example.run(joint, **plan)).decide.changes
    assert changes is not None
    said = [
        f"{name} ({percent(0.5)} instead of {percent(1 - coin.mean())})"
        for name, coin in (("first 0", first), ("second no", second))
    ]
    expected = f"Over all decisions, what changes most: {', '.join(said)}."
    assert changes.sentences[0] == expected


def test_changes_of_a_mixture_are_shown_in_full(icu):
    results, report = icu
    changes = report.decide.changes
    assert report.decide.recommended == "value_iteration at 10%"
    assert changes is not None and changes.policy == "value_iteration"
    assert f"follows it in {percent(0.1)} of decisions" in changes.sentences[0]
    assert "followed in full, not the recommended mixture" in changes.sentences[0]
    assert changes.sentences[1].startswith("Over all decisions, what changes most: fluids ")
    assert "In patients with " in changes.sentences[2]
    assert "are standard deviations from the mean" in changes.sentences[3]
    assert sum(group.n for group in changes.groups) == results.certification.size
    for group in changes.groups:
        sizes = [abs(change.policy - change.logged) for change in group.changes]
        assert sizes == sorted(sizes, reverse=True)
    keep = Recommendation(results.verdicts[0].decision, None, results.verdicts[0], "")
    full = build(replace(results, recommendation=keep)).decide.changes
    assert full is not None and "in full" not in full.sentences[0]


def test_changes_of_continuous_actions_are_means_in_their_units():
    results = example.continuous()
    changes = build(results).decide.changes
    assert changes is not None and (changes.quantity, changes.changed) == ("mean", None)
    log = results.dataset
    total = sum(group.n * group.changes[0].logged for group in changes.groups)
    assert total / log.size == pytest.approx(log.action.mean())
    after = sum(group.n * group.changes[0].policy for group in changes.groups) / log.size
    means = f"{number(after)} instead of {number(float(log.action.mean()))}"
    assert f"Over all decisions: on average push is {means}." in changes.sentences
    assert all(group.name.startswith("position ") for group in changes.groups)
    assert not any("standard deviations" in sentence for sentence in changes.sentences)


def test_training_shows_curves_settings_and_worth(icu):
    results, report = icu
    assert report.training is not None and results.truth is not None
    shown = {one.name: one for one in report.training.algorithms}
    dqn = shown["Double DQN"]
    assert dqn.role == "control" and dqn.updates == 20
    name = next(c.name for c in results.candidates if c.kind == "control")
    fitted_value = evidence_of(results)[name].fqe
    assert dqn.worth is not None and dqn.worth.source == "FQE"
    assert fitted_value is not None
    assert dqn.worth.estimate.value == fitted_value.behavior
    of = [one for one in results.fitted if one.plan.name == "double_dqn"]
    control = next(c for c in results.candidates if c.kind == "control")
    assert control.own_estimate is not None
    shift = results.judge.own_estimate(control) - control.own_estimate
    for member, fitted in zip(dqn.members, of, strict=True):
        assert member.seed == fitted.plan.seed
        curves = {curve.name: curve for curve in member.curves}
        own = [record["own_estimate"] + shift for record in fitted.records]
        assert list(curves["own_estimate"].values) == pytest.approx(own)
        assert curves["own_estimate"].steps == (5, 10, 15, 20)
        losses = [record["train/critics/loss"] for record in fitted.records]
        assert list(curves["train/critics/loss"].values) == pytest.approx(losses)
        kinds = {curve.kind for curve in member.curves}
        assert kinds == {"own_estimate", "loss", "held_out"}
    settings = {one.name: one for one in dqn.hyperparameters}
    assert (settings["batch_size"].value, settings["batch_size"].origin) == ("32", "user")
    assert settings["hidden"].value == "8 x 8"
    assert (settings["discount"].value, settings["discount"].origin) == ("0.99", "default")
    seconds = sum(one.seconds for one in report.training.algorithms if one.seconds)
    spent = {one.seconds for one in results.fitted}
    assert seconds == pytest.approx(sum(spent))
    planned = shown["Tabular value iteration"]
    assert results.best is not None
    own = results.judge.own_estimate(results.best)
    assert (planned.updates, planned.members) == (0, ())
    assert own is not None and f"to be worth {percent(own, 1)}" in planned.note


def test_long_curves_are_thinned_and_stopped_members_say_why():
    results = example.icu()
    first = results.fitted[-1]
    records = [{"step": 5 * i, "train/critics/loss": float(i)} for i in range(1, 501)]
    records[-1]["train/critics/loss"] = float("nan")
    stopped = Fitted(
        first.plan, first.state, records, "Not finite at update 2,499.", 1.0, 2_500
    )
    changed = replace(results, fitted=[*results.fitted[:-1], stopped])
    training = build(changed).training
    assert training is not None
    dqn = next(one for one in training.algorithms if one.name == "Double DQN")
    (curve,) = dqn.members[1].curves
    assert len(curve.steps) == 60
    assert (curve.steps[0], curve.steps[-1], curve.values[-1]) == (5, 2500, None)
    assert dqn.members[1].stopped == "Not finite at update 2,499."
    assert any("1 of 2 seeds of Double DQN stopped" in s for s in training.sentences)


def test_worth_is_by_fqe_else_by_wis(icu):
    results, _ = icu
    planned = results.verdicts[0]

    def worth(verdict):
        verdicts = [verdict, *results.verdicts[1:]]
        training = build(replace(results, verdicts=verdicts)).training
        assert training is not None and training.algorithms[-1].worth is not None
        worth = training.algorithms[-1].worth
        return worth.source, worth.estimate.value

    evidence = planned.evidence
    assert evidence.fqe is not None
    assert worth(planned) == ("FQE", evidence.fqe.behavior)
    weighted = replace(planned, evidence=replace(evidence, fqe=None))
    assert worth(weighted) == ("WIS", evidence.wis)


def test_what_a_control_believes_is_held_against_its_worth():
    results = example.icu()
    control = next(c for c in results.candidates if c.kind == "control")
    proud = replace(control, own_estimate=1.5, discount=1.0)
    candidates = [proud if c is control else c for c in results.candidates]
    requests = [
        request._replace(candidate=proud) if request.candidate is control else request
        for request in results.requests
    ]
    report = build(replace(results, candidates=candidates, requests=requests))
    assert results.truth is not None and report.training is not None
    fitted = evidence_of(results)[control.name].fqe
    assert fitted is not None
    excess = 100 * (1.5 - fitted.behavior)
    assert f"{excess:.1f} percentage points too much" in report.training.sentences[0]
    assert report.truth is not None
    excess = 100 * (1.5 - results.truth.values[control.name])
    exceeds = f"exceeds the truth by {excess:.1f} percentage points"
    assert any(exceeds in sentence for sentence in report.truth.sentences)


def test_truth_has_every_policy_and_counts_intervals(icu):
    results, report = icu
    assert report.truth is not None and results.truth is not None
    values = {row.policy: row.value for row in report.truth.values}
    assert values == results.truth.values
    assert report.truth.optimum == results.truth.optimum
    assert report.decide.estimates is not None
    held = [
        row.estimate.low <= values[row.policy] <= row.estimate.high
        for row in report.decide.estimates.rows
        if row.estimator == "WIS" and row.estimate.low is not None
    ]
    said = f"{sum(held)} of {len(held)} WIS intervals contain the exact value"
    assert any(said in sentence for sentence in report.truth.sentences)
    far = replace(results.truth, values=dict.fromkeys(values, 5.0))
    missed = build(replace(results, truth=far)).truth
    assert missed is not None
    assert any("does not contain" in sentence for sentence in missed.sentences)


def test_nothing_above_the_truth_has_seen_it(icu):
    results, report = icu
    assert results.truth is not None
    wrong = replace(results.truth, values=dict.fromkeys(results.truth.values, 5.0))
    other = build(replace(results, truth=wrong)).model_dump(exclude={"truth"})
    assert other == report.model_dump(exclude={"truth"})
