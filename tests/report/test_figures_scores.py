"""What is drawn of scores is what `aggregates` says of them."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from stitchrl import aggregates
from stitchrl.aggregates import stratified_bootstrap
from stitchrl.report.figures_scores import STATISTICS, improvements, intervals, profiles

OURS = np.array([[0.9, 0.5], [0.7, 0.6], [0.8, 0.1], [0.85, 0.9]])
THEIRS = np.array([[0.2, 0.5], [0.4, 0.8], [0.6, 0.3]])
SCORES = {"ours": OURS, "theirs": THEIRS}
ALL = [improvements, intervals, profiles]
QUICK = {"replicates": 200}


def drawn_in(svg: str, tag: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(svg).iter() if one.tag.endswith(tag)]


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in drawn_in(svg, "text")]


def spoken(svg: str) -> str:
    return drawn_in(svg, "desc")[0].text or ""


def read_off(svg: str, pixels: list[float] | np.ndarray) -> np.ndarray:
    """Pixels from left to right as values, by the labels below the ticks."""
    found = {}
    for one in drawn_in(svg, "text"):
        if "11px; text-anchor: middle" not in one.attrib["style"]:
            continue
        text = (one.text or "").replace("\N{MINUS SIGN}", "-")
        if value := re.fullmatch(r"(-?[\d.]+)(\s%)?", text):
            found[float(one.attrib["x"])] = float(value[1]) / (100 if value[2] else 1)
    at, values = np.array([*found.items()]).T
    slope, start = np.polyfit(at, values, 1)
    return slope * np.array(pixels) + start


def points(svg: str) -> list[float]:
    """Where the filled and hollow points lie, top to bottom."""
    found = [one for one in drawn_in(svg, "use") if "--wis" in one.attrib["style"]]
    return [float(one.attrib["x"]) for one in found]


def bars(svg: str) -> np.ndarray:
    """Both ends of every interval, in pixels."""
    paths = [
        one for one in drawn_in(svg, "path") if "stroke: var(--wis)" in str(one.attrib)
    ]
    lines = [re.findall(r"[ML] ([\d.]+) ", p.attrib["d"]) for p in paths]
    return np.array([line for line in lines if len(line) == 2], float)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_intervals_are_drawn_and_said_as_computed(statistic):
    word, aggregate = STATISTICS[statistic]
    svg = intervals(SCORES, statistic=statistic, **QUICK)
    values, ends = [], []
    for name, scores in SCORES.items():
        value, found = aggregate(scores), stratified_bootstrap(aggregate, scores, **QUICK)
        values.append(value)
        ends.append((found.low, found.high))
        said = f"{value:.2f} ({found.low:.2f} to {found.high:.2f})"
        assert said in texts(svg) and f"{name}: {said}" in spoken(svg)
    np.testing.assert_allclose(read_off(svg, points(svg)), values, atol=2e-3)
    drawn = read_off(svg, bars(svg).ravel()).reshape(-1, 2)
    np.testing.assert_allclose(drawn, ends, atol=2e-3)
    assert f"{word} (95\N{NARROW NO-BREAK SPACE}% interval)" in texts(svg)
    assert "normalized score" in " ".join(texts(svg))
    assert "3 to 4 runs on each of 2 tasks" in spoken(svg)


def test_the_gap_is_to_the_target_that_is_said():
    svg = intervals(SCORES, statistic="optimality_gap", target=0.5, **QUICK)
    gap = aggregates.optimality_gap(THEIRS, target=0.5)
    assert f"theirs: {gap:.3f} (" in spoken(svg) or f"theirs: {gap:.2f} (" in spoken(svg)
    assert "short of 0.5: less is better" in " ".join(texts(svg))


def test_improvements_are_drawn_and_said_as_computed():
    svg = improvements(SCORES | {"worst": THEIRS - 1}, **QUICK)
    pairs = [(OURS, THEIRS), (OURS, THEIRS - 1), (THEIRS, THEIRS - 1)]
    values = [aggregates.probability_of_improvement(*pair) for pair in pairs]
    np.testing.assert_allclose(read_off(svg, points(svg)), values, atol=2e-3)
    for pair, names in zip(pairs, ("ours over theirs", "ours over worst", "theirs over w")):
        found = stratified_bootstrap(aggregates.probability_of_improvement, *pair, **QUICK)
        said = [aggregates.probability_of_improvement(*pair), found.low, found.high]
        said = [f"{100 * share:.0f}\N{NARROW NO-BREAK SPACE}%" for share in said]
        assert re.search(rf"{names}\w*: {said[0]} \({said[1]} to {said[2]}\)", spoken(svg))


def test_a_hollow_point_has_one_half_inside_its_interval():
    level = improvements({"a": THEIRS, "b": THEIRS + 0.01}, **QUICK)
    clear = improvements({"a": THEIRS, "b": THEIRS + 1}, **QUICK)
    assert "fill: var(--paper); stroke: var(--wis)" in level
    assert "hollow: could be either" in texts(level)
    assert "fill: var(--paper); stroke: var(--wis)" not in clear
    assert "hollow: could be either" not in texts(clear)


def test_only_the_pairs_that_were_asked_for_are_drawn():
    svg = improvements(SCORES, pairs=[("theirs", "ours")], **QUICK)
    value = aggregates.probability_of_improvement(THEIRS, OURS)
    assert spoken(svg).startswith(f"theirs over ours: {100 * value:.0f}")
    assert "ours over theirs" not in spoken(svg)


def stairs(svg: str, role: str) -> tuple[np.ndarray, np.ndarray]:
    (path,) = [
        one.attrib["d"]
        for one in drawn_in(svg, "path")
        if f"stroke: var(--{role})" in one.attrib.get("style", "")
        and "clip-path" in one.attrib  # Not the sample in the key.
    ]
    corners = np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", path), float)
    return read_off(svg, corners[:, 0]), _shares(svg, corners[:, 1])


def _shares(svg: str, pixels: np.ndarray) -> np.ndarray:
    """By the lines of the grid, which are at none, half and all of the runs."""
    paths = [one for one in drawn_in(svg, "path") if "width: 0.6" in str(one.attrib)]
    lines = [float(one.attrib["d"].split()[2]) for one in paths]
    slope, start = np.polyfit(sorted(lines, reverse=True), [0, 0.5, 1], 1)
    return slope * pixels + start


def test_a_profile_falls_where_a_run_lies():
    """Four runs at 0, 1, 1 and 3: shares 1, 3/4, 1/4 and 0."""
    svg = profiles({"one": np.array([[0.0], [1.0], [1.0], [3.0]])}, **QUICK)
    x, y = stairs(svg, "seed-0")
    falls = np.flatnonzero(np.diff(y) < -0.01)
    np.testing.assert_allclose(x[falls], [0, 1, 3], atol=0.02)
    np.testing.assert_allclose(y[falls], [1, 0.75, 0.25], atol=0.01)
    np.testing.assert_allclose(y[falls + 1], [0.75, 0.25, 0], atol=0.01)


def test_profiles_say_shares_and_bands_at_given_thresholds():
    at = np.array([0.0, 0.3, 0.55, 0.8, 1.0])
    svg = profiles(SCORES, thresholds=at, **QUICK)
    for name, scores in SCORES.items():
        share = aggregates.performance_profile(scores, at)
        low, high = aggregates.profile_band(scores, at, **QUICK)
        for i in (1, 2, 3):
            said = [
                f"{100 * one[i]:.0f}\N{NARROW NO-BREAK SPACE}%"
                for one in (share, low, high)
            ]
            expected = f"{said[0]} ({said[1]} to {said[2]}) of runs above {at[i]:g}"
            assert expected in spoken(svg).split(f"{name}: ")[1].split(". ")[0]


def test_many_profiles_have_a_panel_each():
    many = {f"number {n}": OURS + n / 10 for n in range(6)}
    svg = profiles(many, **QUICK)
    assert [text for text in texts(svg) if text.startswith("number")] == [*many]
    solid = [
        one for one in drawn_in(svg, "path") if "stroke: var(--seed-0)" in str(one.attrib)
    ]
    assert len(solid) == 6 and "--seed-1" not in svg


def test_many_scores_are_thinned(monkeypatch):
    rng = np.random.default_rng(0)
    scores = {"a": rng.normal(size=(30, 2))}
    assert len(stairs(profiles(scores, **QUICK), "seed-0")[0]) == 2 * (60 + 2) - 1
    monkeypatch.setattr("stitchrl.report.figures_scores.FINEST", 10)
    x, y = stairs(profiles(scores, **QUICK), "seed-0")
    assert len(x) <= 2 * 10
    assert y.max() == pytest.approx(1, abs=0.01) and y.min() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("draw", ALL)
def test_equal_scores_give_equal_bytes(draw):
    assert draw(SCORES, **QUICK) == draw({**SCORES}, **QUICK)
    assert draw(SCORES, **QUICK) != draw(SCORES, seed=1, **QUICK)


@pytest.mark.parametrize("draw", ALL)
def test_it_is_one_figure_with_words(draw):
    svg = draw({"<b> & co": OURS, "theirs": THEIRS}, name="mine", **QUICK)
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-labelledby"] == "mine-title mine-text"
    assert drawn_in(svg, "title")[0].text and "<b> & co" in spoken(svg)
    assert "95\N{NARROW NO-BREAK SPACE}%" in (drawn_in(svg, "title")[0].text or "")


@pytest.mark.parametrize("draw", ALL)
def test_one_run_and_other_tasks_are_refused(draw):
    with pytest.raises(ValueError, match="theirs has one run on each task"):
        draw({"ours": OURS, "theirs": THEIRS[:1]})
    with pytest.raises(ValueError, match="same tasks, but ours has 2 and theirs has 1"):
        draw({"ours": OURS, "theirs": THEIRS[:, :1]})


def test_words_that_mean_nothing_are_refused():
    with pytest.raises(
        ValueError, match="iqm, median, mean, optimality_gap, but not 'max'"
    ):
        intervals(SCORES, statistic="max")
    with pytest.raises(ValueError, match="among ours, theirs.*'nobody' has no scores"):
        improvements(SCORES, pairs=[("ours", "nobody")])
    with pytest.raises(ValueError, match="one pair at least"):
        improvements({"ours": OURS})
    with pytest.raises(ValueError, match="rising numbers"):
        profiles(SCORES, thresholds=np.array([1.0, 0.0]))
