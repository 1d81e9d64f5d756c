"""The ordered rule: a test per line, what each condition stops, what is recommended."""

from dataclasses import replace

import numpy as np
import pytest

from stitchrl.ope.agreement import Agreement, Word
from stitchrl.ope.base import Completions, Estimate, Family, Interval, Label, Source
from stitchrl.ope.bounds import ReturnBounds
from stitchrl.ope.certification import Certification
from stitchrl.ope.evidence import Evidence, Kind
from stitchrl.ope.policy_table import Behavior, PolicyTable
from stitchrl.ope.refusals import Refusal
from stitchrl.problems.exact import Bandit
from stitchrl.verdict import Decision, Verdict, decide, decide_all, recommend


def delta(low, high, label=Label.ASYMPTOTIC, level=0.9) -> Interval:
    return Interval(low, high, level, label, "by hand")


# Everything passes: better by at least .01, and nothing speaks against it.
GOOD = Evidence(
    name="IQL",
    kind=Kind.POLICY,
    groups=1024,
    behavior=Estimate(
        "data", Family.DATA, 0.78, Interval(0.76, 0.80, 0.95, Label.ASYMPTOTIC, "t"), 1024
    ),
    bounds=ReturnBounds(0.0, 1.0, Source.DECLARED),
    wis=0.84,
    fqe=Completions(0.83, 0.85, 0.86),
    guaranteed=delta(-0.2, 0.3, Label.GUARANTEED),
    asymptotic=delta(0.01, 0.11),
    effective_size=200.0,
    mean_weight=0.97,
    kl_bits=2.0,
    unseen_share=0.001,
    agreement=Agreement(Word.AGREE, 0.01, "WIS and FQE agree."),
)
REFUSAL = Refusal("HORIZON", "Episodes were cut.", "Give a discount.")


def failed(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons if not reason.passed}


def test_line_1_a_refusal():
    verdict = decide(replace(GOOD, refusals=(REFUSAL,), effective_size=2.0))
    assert (verdict.decision, verdict.line) == (Decision.CANNOT_SAY, 1)
    assert verdict.sentence == REFUSAL.message and verdict.remedy == REFUSAL.remedy
    assert verdict.label is None
    assert "HORIZON" in failed(verdict)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"effective_size": 9.9}, "ESS_LOW"), ({"kl_bits": 13.1}, "TOO_FAR")],
)
def test_line_2_too_far(change, code):
    """log2 1024 + 3 = 13 bits. Even where an interval says that it is worse."""
    verdict = decide(replace(GOOD, **change, asymptotic=delta(-0.3, -0.1)))
    assert (verdict.decision, verdict.line) == (Decision.CANNOT_SAY, 2)
    assert code in failed(verdict)
    assert verdict.remedy is not None and "mix in more of the present" in verdict.remedy
    assert decide(replace(GOOD, effective_size=10.0, kl_bits=13.0)).line != 2


def test_the_refusal_of_a_small_ess_belongs_to_line_2():
    raised = replace(
        GOOD, effective_size=3.0, refusals=(Refusal("ESS_LOW", "Few.", "Log 3,000 more."),)
    )
    verdict = decide(raised)
    assert verdict.line == 2 and verdict.remedy == "Log 3,000 more."


def test_line_3_worse():
    verdict = decide(replace(GOOD, asymptotic=delta(-0.3, -0.02)))
    assert (verdict.decision, verdict.line) == (Decision.DO_NOT_DEPLOY, 3)
    assert verdict.label is Label.ASYMPTOTIC
    assert "worse than the present behavior, by at least 0.02" in verdict.sentence
    both = replace(
        GOOD,
        asymptotic=delta(-0.3, -0.02),
        guaranteed=delta(-0.4, -0.01, Label.GUARANTEED),
    )
    assert decide(both).label is Label.GUARANTEED
    assert decide(replace(GOOD, asymptotic=delta(-0.3, -0.02)), margin=0.05).line != 3


def test_line_4_deploy():
    verdict = decide(GOOD)
    assert (verdict.decision, verdict.line) == (Decision.DEPLOY, 4)
    assert verdict.label is Label.ASYMPTOTIC
    assert "better than the present behavior by at least 0.01" in verdict.sentence
    sure = decide(replace(GOOD, guaranteed=delta(0.005, 0.2, Label.GUARANTEED)))
    assert sure.label is Label.GUARANTEED
    assert failed(sure) == set()
    assert decide(GOOD, margin=0.02).decision is Decision.PILOT


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"asymptotic": delta(-0.01, 0.1)}, "LOWER_BOUND"),
        ({"effective_size": 51.0}, "ESS"),  # 5 % of 1,024 is 51.2.
        ({"effective_size": 49.0, "groups": 512}, "ESS"),
        ({"mean_weight": 0.79}, "MEAN_WEIGHT"),
        ({"mean_weight": 1.26}, "MEAN_WEIGHT"),
        ({"tail_shape": 0.71}, "TAIL"),
        ({"unseen_share": 0.011, "fqe": Completions(0.77, 0.85, 0.86)}, "UNSEEN"),
        ({"unseen_share": None}, "UNSEEN"),
        ({"overestimates": True}, "OVERESTIMATE"),
        ({"agreement": Agreement(Word.TENSION, 0.2, "Apart.")}, "AGREEMENT"),
        ({"agreement": Agreement(Word.CONFLICT, 0.4, "Apart.")}, "AGREEMENT"),
        ({"agreement": None}, "AGREEMENT"),
        ({"calibration_error": 0.05}, "CALIBRATION"),
        ({"candidates": 5}, "MULTIPLICITY"),
    ],
)
def test_each_check_alone_holds_up_deployment(change, code):
    verdict = decide(replace(GOOD, **change))
    assert (verdict.decision, verdict.line) == (Decision.PILOT, 5)
    assert failed(verdict) == {code}
    assert all(reason.sentence.endswith(".") for reason in verdict.reasons)


def unknown(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons if reason.passed is None}


def test_what_is_not_known_is_neither_passed_nor_failed():
    """And is treated as not passed: nothing is deployed on it, nothing said to be worse."""
    bare = replace(GOOD, guaranteed=None, asymptotic=None, unseen_share=None, fqe=None)
    verdict = decide(bare)
    codes = {"WORSE", "LOWER_BOUND", "UNSEEN", "AGREEMENT", "MULTIPLICITY"}
    assert unknown(verdict) == codes and verdict.line == 5
    for reason in verdict.reasons:
        if reason.passed is None:
            assert reason.number is reason.threshold is None
            assert reason.sentence.startswith("Not computed")
    alone = decide(replace(GOOD, unseen_share=None))
    assert unknown(alone) == {"UNSEEN"} and alone.line == 5
    fitted = decide(replace(GOOD, has_fitted_behavior=True))
    assert unknown(fitted) == {"CALIBRATION"} and fitted.line == 5


def test_a_heavy_tail_is_said_once():
    heavy = Refusal("HEAVY", "Weights are heavy.", "Move less far.")
    verdict = decide(replace(GOOD, refusals=(heavy,), tail_shape=0.9))
    assert (verdict.decision, verdict.line) == (Decision.CANNOT_SAY, 1)
    assert "TAIL" not in [reason.code for reason in verdict.reasons]
    assert failed(decide(replace(GOOD, tail_shape=0.5))) == set()
    none = decide(replace(GOOD, tail_shape=float("-inf")))
    assert "TAIL" not in [reason.code for reason in none.reasons]


def test_what_rests_on_refused_weights_is_not_computed():
    off = Refusal("MEANW", "Weights are off.", "Check the propensities.")
    verdict = decide(replace(GOOD, refusals=(off,), mean_weight=0.4))
    codes = [reason.code for reason in verdict.reasons]
    assert "MEAN_WEIGHT" not in codes, "MEANW says it already"
    rests = {"WORSE", "LOWER_BOUND", "ESS", "AGREEMENT", "MULTIPLICITY", "POINTS"}
    assert unknown(verdict) == rests
    known = {reason.code for reason in verdict.reasons if reason.passed}
    assert known == {"TOO_FAR", "UNSEEN", "OVERESTIMATE", "CALIBRATION"}
    values = Refusal("QSANE", "Not settled.", "Fit for longer.")
    assert unknown(decide(replace(GOOD, refusals=(values,)))) == {"AGREEMENT", "POINTS"}


def test_what_the_log_lacks_comes_before_what_a_fit_lacks():
    values = Refusal("QSANE", "Not settled.", "Fit for longer.")
    verdict = decide(replace(GOOD, refusals=(values, REFUSAL)))
    assert verdict.sentence == REFUSAL.message and verdict.remedy == REFUSAL.remedy


@pytest.mark.parametrize(("size", "shown"), [(203.4652, "ESS"), (7.0, "ESS_LOW")])
def test_of_two_checks_of_one_number_the_stricter_failing_one_is_shown(size, shown):
    reasons = decide(replace(GOOD, effective_size=size)).reasons
    assert [r.code for r in reasons if r.code.startswith("ESS")] == [shown]
    (reason,) = [r for r in reasons if r.code == shown]
    assert reason.sentence.startswith(f"{size:.0f} of 1,024 independent")


def test_a_check_names_the_bound_that_it_used():
    """The guaranteed bound is the better one here: it is what is said and handed on."""
    guaranteed = delta(0.139, 0.2, Label.GUARANTEED)
    verdict = decide(replace(GOOD, guaranteed=guaranteed, asymptotic=delta(-0.8, 0.4)))
    assert verdict.bound is guaranteed and verdict.label is Label.GUARANTEED
    said = {reason.code: reason.sentence for reason in verdict.reasons}
    assert "by at least 0.139 (guaranteed bound)" in said["LOWER_BOUND"]
    assert "guaranteed upper bound of the difference is 0.2." in said["WORSE"]
    either = decide(replace(GOOD, guaranteed=delta(0.005, 0.2, Label.GUARANTEED)))
    assert either.bound is either.evidence.guaranteed, "what is guaranteed comes first"
    worse = decide(replace(GOOD, asymptotic=delta(-0.3, -0.02)))
    assert worse.bound is worse.evidence.asymptotic
    assert "by at least 0.02 (asymptotic bound)" in worse.sentence


def test_numbers_in_sentences_have_three_digits():
    points = decide(replace(GOOD, wis=11_562.335, fqe=None)).reasons[-1]
    assert "worth 11,562 by WIS, the present behavior 0.78." in points.sentence


def test_what_does_not_hold_up_deployment():
    assert decide(replace(GOOD, effective_size=51.3)).line == 4
    assert decide(replace(GOOD, effective_size=50.0, groups=512)).line == 4
    assert decide(replace(GOOD, mean_weight=0.8)).line == 4
    # Much is unseen, but even the worst completion is better than .78.
    assert decide(replace(GOOD, unseen_share=0.3)).line == 4
    assert decide(replace(GOOD, calibration_error=0.049)).line == 4
    five = replace(
        GOOD,
        candidates=5,
        asymptotic=delta(0.01, 0.11, level=0.98),
        guaranteed=delta(-0.2, 0.3, Label.GUARANTEED, level=0.98),
    )
    assert decide(five).line == 4


def test_line_5_pilot():
    verdict = decide(replace(GOOD, asymptotic=delta(-0.04, 0.16)))
    assert (verdict.decision, verdict.line) == (Decision.PILOT, 5)
    assert verdict.label is None
    # δ = .06, the bound .1 below it: n (.1 / .06)².
    assert verdict.required_n == pytest.approx(2900)
    assert verdict.kl_factor == 4
    assert verdict.remedy is not None and "2,900" in verdict.remedy
    rule = verdict.stopping_rule
    assert rule is not None
    assert "at most 0.8'" in rule and "at least 0.76'" in rule and "reached 20" in rule
    assert rule.startswith("Every week") and "stitchrl." not in rule
    assert "If the policy is worth 0.84, adoption takes" in rule


def test_a_gain_within_the_noise_of_the_present_needs_no_pilot_length():
    verdict = decide(replace(GOOD, asymptotic=delta(-0.04, 0.06), wis=0.79))
    rule = verdict.stopping_rule
    assert rule is not None and verdict.required_n == 26_000
    assert "too small for the pilot to prove it: that needs about 26,000 in" in rule
    assert "shows whether it can be carried out" in rule and "adoption" not in rule
    # Of [.76, .8]: at .72, log(17 / .05) / KL(.28 || .24) = 5.83 / .0042.
    assert (
        "If the policy is worth only 0.72, withdrawal takes at most about 1,400 pilot"
        in rule
    )
    assert "the ends of the interval of present behavior" in rule


def test_what_would_settle_it_is_counted_in_the_whole_log():
    """A fifth is kept for judging: 2,900 of these are 14,500 (rounded up) in the log."""
    verdict = decide(replace(GOOD, asymptotic=delta(-0.04, 0.16), part=0.2))
    assert verdict.required_n == pytest.approx(15_000)
    assert verdict.remedy is not None
    assert "About 15,000 independent episodes in the whole log" in verdict.remedy
    assert "about 5,120 so far, of which 20% are kept for judging" in verdict.remedy


def test_line_6_collect_more_data():
    verdict = decide(replace(GOOD, wis=0.77, asymptotic=delta(-0.1, 0.08)))
    assert (verdict.decision, verdict.line) == (Decision.COLLECT_MORE_DATA, 6)
    # δ = -.01, the bound .09 above it: n 81.
    assert verdict.required_n == pytest.approx(83_000)
    assert verdict.stopping_rule is None
    below = decide(replace(GOOD, fqe=Completions(0.7, 0.77, 0.8), overestimates=True))
    assert below.line == 6


def test_few_weighty_episodes_are_not_mended_by_more_of_them():
    verdict = decide(replace(GOOD, effective_size=20.0, asymptotic=delta(-0.1, 0.2)))
    assert verdict.remedy is not None and "Only 2.0% of logged episodes" in verdict.remedy


@pytest.mark.parametrize("kind", [Kind.CONTROL, Kind.BEHAVIOR])
def test_controls_are_evaluated_but_no_candidates(kind):
    verdict = decide(replace(GOOD, kind=kind))
    assert (verdict.decision, verdict.line) == (Decision.EVALUATED, None)
    assert "cannot be a candidate" in verdict.sentence
    pilot = decide(replace(GOOD, kind=kind, asymptotic=delta(-0.1, 0.1)))
    assert pilot.decision is Decision.EVALUATED


def mixtures(*shares, **changes):
    return [
        replace(
            GOOD,
            name=f"IQL {share:.0%}",
            kind=Kind.MIXTURE,
            share=share,
            of="IQL",
            **changes,
        )
        for share in shares
    ]


def test_too_far_names_the_largest_mixture_that_is_not():
    far = replace(GOOD, kl_bits=33.0)
    near, middle, wide = mixtures(0.1, 0.3, 0.5)
    wide = replace(wide, effective_size=4.0)
    other = replace(wide, name="CQL 90%", of="CQL", share=0.9, effective_size=100.0)
    verdicts = decide_all([far, near, middle, wide, other])
    assert verdicts[0].line == 2
    assert verdicts[0].remedy is not None and "IQL 30%" in verdicts[0].remedy
    refused = [replace(m, refusals=(REFUSAL,)) for m in (near, middle)]
    alone = decide(far, mixtures=refused).remedy
    assert alone is not None and "IQL" not in alone


def test_refusals_that_mixing_mends_name_a_mixture_too():
    off = Refusal("MEANW", "Weights are off.", "Check the propensities.")
    verdict = decide(replace(GOOD, refusals=(off,)), mixtures=mixtures(0.1))
    assert verdict.line == 1
    assert verdict.remedy is not None and "IQL 10%" in verdict.remedy
    verdict = decide(replace(GOOD, refusals=(REFUSAL,)), mixtures=mixtures(0.1))
    assert verdict.remedy == REFUSAL.remedy


def test_recommend_the_best_decision_then_the_largest_lower_bound():
    deploy = mixtures(0.1, 0.2)
    deploy[1] = replace(deploy[1], asymptotic=delta(0.02, 0.2))
    control = replace(GOOD, kind=Kind.CONTROL, name="DQN", asymptotic=delta(0.5, 0.6))
    pilot = replace(GOOD, asymptotic=delta(-0.001, 0.5))
    found = recommend(decide_all([control, pilot, *deploy]))
    assert (found.decision, found.name) == (Decision.DEPLOY, "IQL 20%")
    found = recommend(decide_all([control, pilot]))
    assert (found.decision, found.name) == (Decision.PILOT, "IQL")


def test_recommend_what_is_better_supported_before_what_may_gain_more():
    sound = replace(GOOD, name="sound", asymptotic=delta(-0.1, 0.2))
    doubtful = replace(GOOD, name="doubtful", asymptotic=delta(-0.01, 0.2), mean_weight=0.7)
    found = recommend(decide_all([doubtful, sound]))
    assert (found.decision, found.name) == (Decision.PILOT, "sound")


def test_of_pilots_recommend_the_one_that_can_end():
    """A wider interval around a larger gain may need fewer episodes."""
    near = replace(GOOD, name="near", wis=0.755, asymptotic=delta(-0.02, 0.03))
    far = replace(GOOD, name="far", wis=0.9, asymptotic=delta(-0.05, 0.3))
    verdicts = decide_all([near, far])
    needed = {v.evidence.name: v.required_n for v in verdicts}
    assert needed["far"] < needed["near"]
    found = recommend(verdicts)
    assert (found.decision, found.name) == (Decision.PILOT, "far")


def test_recommend_nothing_where_nothing_is_shown():
    open_ = replace(GOOD, wis=0.7, asymptotic=delta(-0.2, 0.1))
    found = recommend(decide_all([open_]))
    assert (found.decision, found.name) == (Decision.COLLECT_MORE_DATA, None)
    assert found.verdict is not None and found.verdict.evidence is open_
    assert "Keep the present behavior" in found.sentence
    control = replace(GOOD, kind=Kind.CONTROL)
    assert recommend(decide_all([control])).verdict is None


def test_without_weights_nothing_is_deployed():
    bare = replace(
        GOOD,
        wis=None,
        guaranteed=None,
        asymptotic=None,
        effective_size=None,
        mean_weight=None,
    )
    verdict = decide(bare)
    assert verdict.line == 5 and verdict.required_n is None
    assert {"LOWER_BOUND", "ESS", "MEAN_WEIGHT", "MULTIPLICITY"} <= failed(verdict)


def test_power_on_the_bandit():
    """V = .75 against .43: 200 rounds deploy nearly always, and never a worse arm."""
    bandit = Bandit()
    better, worse = [], []
    for seed in range(30):
        dataset = bandit.log(200, seed=seed)
        certification = Certification(dataset, Behavior.logged(dataset), 1.0, 1, seed)
        for target, found in ((bandit.target, better), ((0.8, 0.15, 0.05), worse)):
            table = PolicyTable.of_states(dataset, np.array([target]))
            evidence = certification.evidence(table, name="arm", kind=Kind.POLICY)
            found.append(decide(evidence).decision)
    assert better.count(Decision.DEPLOY) >= 26
    assert Decision.DEPLOY not in worse and Decision.PILOT not in worse
