"""What a report may contain, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from report.fixture import (
    continuous_report,
    hostile_report,
    icu_report,
    minimal_report,
    single_report,
)

import stitchrl.report.schema
from stitchrl.report.schema import (
    ActionDimension,
    Agreement,
    Curve,
    Disagreement,
    Estimate,
    Histogram,
    Policy,
    Report,
    Verdict,
    json_schema,
)
from stitchrl.report.words import DECISIONS, TERMS, TERMS_OF
from stitchrl.verdict import Decision

SCHEMA = Path(stitchrl.report.schema.__file__).with_name("report.schema.json")
REPORTS = [icu_report, minimal_report, single_report, continuous_report, hostile_report]


def test_the_committed_schema_is_that_of_the_models():
    assert SCHEMA.read_text("utf-8") == json_schema(), (
        "report.schema.json is out of date: write `stitchrl.report.schema.json_schema()` "
        "to it."
    )


@pytest.mark.parametrize("build", REPORTS)
def test_json_and_back(build):
    report = build()
    text = report.model_dump_json()
    assert Report.model_validate_json(text) == report
    assert Report.model_validate(json.loads(text)) == report


def test_infinite_distances_are_words_in_json():
    rows = json.loads(icu_report().model_dump_json())["trust"]["weights"]
    control = next(row for row in rows if row["policy"] == "double_dqn")
    assert control["kl_per_episode"] == "Infinity"
    number = json.loads(json_schema())["$defs"]["WeightRow"]["properties"]["log2_n"]
    assert number["type"] == "number"


def test_training_that_was_not_finite_is_null():
    curve = Curve(
        name="td",
        kind="loss",
        steps=np.array([10, 20, 30]),
        values=np.array([0.5, np.nan, np.inf], np.float32),
    )
    assert curve.values == (0.5, None, None)
    assert curve.steps == (10, 20, 30)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_values_are_finite(number):
    with pytest.raises(ValidationError, match="value\n.*finite"):
        Estimate(value=number)


def test_a_distance_may_be_infinite_but_not_unknown():
    assert Agreement(policy="p", word="agree", spread=float("inf"), sentence="s").spread > 0
    with pytest.raises(ValidationError, match="use null if unknown"):
        Agreement(policy="p", word="agree", spread=float("nan"), sentence="s")


def test_unknown_fields_are_refused_by_name():
    fields = json.loads(minimal_report().model_dump_json()) | {"hue": "red"}
    with pytest.raises(ValidationError, match="hue\n.*not permitted"):
        Report.model_validate(fields)


@pytest.mark.parametrize(
    "given",
    [
        {"low": 0.1},
        {"low": 0.1, "high": 0.9},
        {"interval": "guaranteed"},
        {"high": 0.9, "interval": "guaranteed"},
    ],
)
def test_intervals_are_whole(given):
    with pytest.raises(ValidationError, match="all three or none"):
        Estimate(value=0.5, **given)


def test_intervals_rise():
    with pytest.raises(ValidationError, match="low 0.9 lies above high 0.1"):
        Estimate(value=0.5, low=0.9, high=0.1, interval="asymptotic")


def test_lengths_must_fit():
    with pytest.raises(ValidationError, match="2 counts needs 3 edges, but has 2"):
        Histogram(edges=[0, 1], counts=[1, 2], n=3)
    with pytest.raises(ValidationError, match="'td' has 2 steps but 1 values"):
        Curve(name="td", kind="loss", steps=[1, 2], values=[0.5])
    with pytest.raises(ValidationError, match="dose: 1 shares need 2 edges"):
        ActionDimension(name="dose", edges=[0, 1, 2], share=[1.0])
    with pytest.raises(ValidationError, match="2 policies needs 2 x 2 shares"):
        Disagreement(policies=["a", "b"], share=[[0, 1]], n=1)


@pytest.mark.parametrize(
    ("decision", "line", "wants"),
    [
        ("deploy", 5, "line 4"),
        ("cannot_say", 3, "line 1 or 2"),
        ("pilot", None, "line 5"),
        ("evaluated", 6, "line null"),
    ],
)
def test_decisions_follow_from_their_line(decision, line, wants):
    with pytest.raises(ValidationError, match=f"p: '{decision}' follows from {wants}"):
        Verdict(policy="p", decision=decision, rule=line, sentence="s")


def changed(**parts) -> dict:
    fields = json.loads(icu_report().model_dump_json())
    for path, value in parts.items():
        place, key = fields, path.split("__")
        for step in key[:-1]:
            place = place[int(step) if step.isdigit() else step]
        place[int(key[-1]) if key[-1].isdigit() else key[-1]] = value
    return fields


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("decide__best", "decide.best"),
        ("decide__verdicts__0__policy", "decide.verdicts"),
        ("decide__estimates__rows__3__policy", "decide.estimates.rows"),
        ("decide__estimates__own__0__policy", "decide.estimates.own"),
        ("decide__changes__policy", "decide.changes"),
        ("trust__weights__1__policy", "trust.weights"),
        ("trust__agreement__1__policy", "trust.agreement"),
        ("trust__disagreement__policies__2", "trust.disagreement"),
        ("data__actions__policy", "data.actions.policy"),
        ("training__algorithms__0__policies__0", "training.algorithms.policies"),
        ("truth__values__4__policy", "truth.values"),
        ("policies__9__of", "policies.of"),
    ],
)
def test_policies_are_those_of_the_report(path, where):
    with pytest.raises(ValidationError, match=f"{where} names policy 'nobody'"):
        Report.model_validate(changed(**{path: "nobody"}))


def test_names_of_policies_differ():
    twice = Policy(name="iql", label="IQL", kind="policy").model_dump()
    fields = json.loads(single_report().model_dump_json())
    with pytest.raises(ValidationError, match="two policies have the same name"):
        Report.model_validate(fields | {"policies": [*fields["policies"], twice]})


def test_a_control_is_never_deployed():
    fields = json.loads(icu_report().model_dump_json())
    for verdict in fields["decide"]["verdicts"]:
        if verdict["policy"] == "double_dqn":
            verdict |= {"decision": "deploy", "rule": 4}
    with pytest.raises(ValidationError, match="'control', so its decision cannot be 'dep"):
        Report.model_validate(fields)


def test_there_are_words_for_everything():
    assert set(DECISIONS) == set(Decision)
    assert len({meaning.marker for meaning in DECISIONS.values()}) == len(DECISIONS)
    assert sorted(sum(TERMS_OF.values(), ())) == sorted(TERMS)
