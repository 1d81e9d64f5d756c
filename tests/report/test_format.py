"""Numbers as people read them."""

import pytest
from report.fixture import icu_report, minimal_report

from stitchrl.report.format import (
    Values,
    about,
    bits,
    common_level,
    count,
    in_two_lines,
    level,
    number,
    percent,
    shorten,
)
from stitchrl.report.format import seconds as duration
from stitchrl.report.schema import Decide, Estimate, Estimates

SPACE = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (12_345.4, "12,345"), (2.0**40, "10^12"), (float("inf"), "∞")],
)
def test_count(value, text):
    assert count(value) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (None, 0, "–"),
        (0.0, 0, f"0{SPACE}%"),
        (0.314, 0, f"31{SPACE}%"),
        (0.0314, 1, f"3.1{SPACE}%"),
        (0.004, 0, f"<{SPACE}1{SPACE}%"),
        (0.0004, 1, f"<{SPACE}0.1{SPACE}%"),
        (float("inf"), 0, "∞"),
    ],
)
def test_percent(share, digits, text):
    assert percent(share, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (3.0, "3"),
        (0.03456, "0.0346"),
        (0.5, "0.5"),
        (12.345, "12.3"),
        (1_234.5, "1,234"),
        (-0.021, f"{MINUS}0.021"),
        (1.23e-9, f"1.2e{MINUS}09"),
        (float("-inf"), f"{MINUS}∞"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (3.21, "3.2"), (0.0, "0.0"), (float("inf"), "∞")]
)
def test_bits(value, text):
    assert bits(value) == text


@pytest.mark.parametrize(
    ("size", "text"), [(37, "37"), (11_801, "12,000"), (172_951, "180,000"), (2e9, "10^9")]
)
def test_sizes_are_rounded_up(size, text):
    assert about(size) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3.24, "3.2 s"), (71.4, "71 s"), (720, "12 min"), (12_600, "3.5 h")]
)
def test_durations(value, text):
    assert duration(value) == text.replace(" ", SPACE)


def test_shorten():
    assert shorten("fluid\n 1", 20) == "fluid 1"
    assert shorten("abcdefgh", 5) == "abcd…"


def estimates_of(behavior: Estimate) -> Values:
    decide = Decide(
        decision="cannot_say",
        headline="",
        estimates=Estimates(behavior=behavior, rows=[]),
    )
    return Values(minimal_report().model_copy(update={"decide": decide}))


@pytest.mark.parametrize(
    ("behavior", "text"),
    [
        (Estimate(value=0.78184, low=0.769, high=0.794, interval="asymptotic"), "0.782"),
        (Estimate(value=0.00319, low=0.003, high=0.004, interval="asymptotic"), "0.00319"),
        (Estimate(value=88.81, low=83.0, high=94.5, interval="asymptotic"), "89"),
        (Estimate(value=88.81), "88.8"),
        (Estimate(value=0.0), "0.000"),
    ],
)
def test_values_have_the_decimals_their_interval_deserves(behavior, text):
    assert estimates_of(behavior).value(behavior.value) == text


def test_numbers_far_beyond_the_others_have_no_decimals():
    values = Values(icu_report())
    assert values.value(11_562.335) == "11,562" and values.value(0.7816) == "0.782"
    assert values.gain(-2_000.5) == f"{MINUS}2,000"


def test_long_names_stand_in_two_lines():
    text = f"10{SPACE}% tabular value iteration, 90{SPACE}% clinicians"
    lines = [f"10{SPACE}% tabular value iteration,", f"90{SPACE}% clinicians"]
    assert in_two_lines(text, 30) == lines
    assert in_two_lines("IQL", 30) == ["IQL"]
    assert in_two_lines("a " * 40, 5) == ["a a a", "a a…"]


def test_gains_have_a_sign_unless_they_are_none():
    values = Values(icu_report())
    assert values.gain(0.0164) == "+0.016"
    assert values.gain(-0.0211) == f"{MINUS}0.021"
    assert values.gain(-0.00001) == values.gain(0.00001) == "0.000"
    gained = Estimate(value=0.01, low=-0.021, high=0.054, interval="asymptotic")
    assert values.gain_interval(gained) == f"{MINUS}0.021 to +0.054 (95{SPACE}%)"
    assert values.interval(Estimate(value=1.0)) == "–"


def test_levels_are_exact_and_only_shared_if_equal():
    assert [level(x) for x in (0.95, 0.9875, 1 - 0.05 / 3)] == [
        f"95{SPACE}%",
        f"98.75{SPACE}%",
        f"98.33{SPACE}%",
    ]
    one = Estimate(value=0.5, low=0.4, high=0.6, interval="asymptotic", level=0.99)
    other = one.model_copy(update={"level": 0.98})
    assert common_level([one, None, Estimate(value=0.5)]) == f"99{SPACE}%"
    assert common_level([one, other]) == common_level([None]) == ""
    values = Values(icu_report())
    assert values.whole(one) == f"0.500 (0.400 to 0.600, 99{SPACE}%)"
    assert values.gain_interval(other) == f"+0.400 to +0.600 (98{SPACE}%)"
