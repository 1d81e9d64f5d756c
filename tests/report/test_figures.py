"""What the drawings show: their alternative texts carry the numbers."""

import json
import re

import numpy as np
import pytest
from report.fixture import continuous_report, icu_report, single_report

from stitchrl.report import (
    figures,
    figures_closeup,
    figures_data,
    figures_map,
    figures_moves,
    figures_trust,
)
from stitchrl.report import figures_training as training
from stitchrl.report.audit import LogMap, Site
from stitchrl.report.data import ActionShare, ActionUse
from stitchrl.report.focus import mixed_policy, mixture_steps, shown_policies
from stitchrl.report.format import Values
from stitchrl.report.numbers import Histogram
from stitchrl.report.schema import Policy, Report, Verdict
from stitchrl.report.training import Curve

ICU = icu_report()
EVALUATED = {p.name for p in ICU.policies if p.kind != "mixture"}
VALUES = Values(ICU)


def spoken(svg: str) -> str:
    found = re.search(r"<desc[^>]*>(.*?)</desc>", svg, re.DOTALL)
    assert found is not None
    return found[1].replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_forest_says_every_estimate():
    text = spoken(figures.forest(ICU, VALUES))
    assert text.startswith("Clinicians, mean: 0.783 (0.771 to 0.796, 95 %). 10 % tabular")
    assert "IQL, WIS: 0.802 (0.612 to 0.992, 95 %)" in text
    assert "Double DQN (control), own: 0.983 (no interval)" in text
    assert "Clinicians, WIS" not in text


def test_the_forest_plot_names_the_level_of_its_intervals():
    svg = figures.forest(ICU, VALUES).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "value (95 % interval)" in svg and "(0.771 to 0.796)<" in svg
    fields = json.loads(ICU.model_dump_json())
    fields["decide"]["estimates"]["rows"][1]["estimate"]["level"] = 0.99
    mixed = figures.forest(Report.model_validate(fields), VALUES)
    mixed = mixed.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "value (interval, level)" in mixed and "(0.771 to 0.796, 95 %)<" in mixed


def test_forest_order_is_mixtures_then_policies_then_controls():
    text = spoken(figures.forest(ICU, VALUES))
    order = [text.index(label) for label in ("10 % tab", "50 % tab", "IQL,", "Double DQN")]
    assert order == sorted(order)


def test_controls_are_hollow():
    only_control = ICU.model_copy(
        update={"policies": tuple(p for p in ICU.policies if p.name != "bc")}
    )
    for report, hollow in ((only_control, True), (continuous_report(), False)):
        svg = figures.forest(report, Values(report))
        assert ("fill: var(--paper)" in svg) is hollow


def test_worst_and_best_case_stand_with_their_estimate():
    lines = {
        (row.policy, row.estimator): bounds
        for row, bounds in figures.estimate_lines(ICU.decide.estimates)
    }
    assert lines["iql", "FQE"] == (0.77, 0.84)
    assert lines["iql", "WIS"] is None
    assert len(lines) == 1 + 2 * (7 + 4)
    assert figures.estimate_lines(None) == []


def test_steps_end_with_the_policy_that_is_mixed_in():
    steps = mixture_steps(ICU)
    assert [share for share, _ in steps] == [0.1, 0.2, 0.3, 0.5, 1.0]
    assert steps[-1][1].policy == "tabular"
    assert mixture_steps(single_report()) == []


def test_only_mixtures_of_one_policy_are_shown():
    fields = json.loads(ICU.model_dump_json())
    more = Policy(name="m", label="20 % IQL", kind="mixture", share=0.2, of="iql")
    fields["policies"].append(json.loads(more.model_dump_json()))
    verdict = Verdict(policy="m", decision="pilot", rule=5, sentence="s")
    fields["decide"]["verdicts"].append(json.loads(verdict.model_dump_json()))
    report = Report.model_validate(fields)
    assert mixed_policy(report) == "tabular"
    assert mixture_steps(report) == mixture_steps(ICU)
    assert shown_policies(report) == list(ICU.policies)
    fields["decide"]["recommended"] = "m"
    report = Report.model_validate(fields)
    assert mixed_policy(report) == "iql"
    assert [step[0] for step in mixture_steps(report)] == [0.2, 1.0]
    assert {p.name for p in shown_policies(report)} == {*EVALUATED, "m"}


def test_how_far_says_value_and_decision():
    text = spoken(figures_moves.how_far(ICU, mixture_steps(ICU), VALUES))
    assert "30 %: 0.800 (0.775 to 0.824, 95 %), Pilot" in text
    assert "100 %: 0.861 (0.551 to 1.000, 95 %), Cannot say" in text


def test_changes_of_shares_and_of_means():
    assert ICU.decide.changes is not None
    group = ICU.decide.changes.groups[0]
    text = spoken(figures_moves.changes(group, quantity="share", name="a"))
    assert text.startswith("fluid 0, vasopressor 0: logged 41 %, policy 58 %.")
    changes = continuous_report().decide.changes
    assert changes is not None
    text = spoken(figures_moves.changes(changes.groups[0], quantity="mean", name="a"))
    assert text == "basal: logged 0.9, policy 1.2. bolus: logged 4.1, policy 5.6."


def test_an_infinite_distance_is_drawn_inside():
    svg = figures_moves.distances(ICU)
    assert "Double DQN: ∞ bits" in spoken(svg)
    assert "nan" not in svg and "inf" not in svg


def test_histogram_says_n_mean_and_the_largest_bins():
    counts = Histogram(edges=[0, 1, 2, 3], counts=[5, 0, 2_000], n=2_005, mean=2.49)
    text = spoken(figures_data.histogram(counts, name="a", title="t", label="l"))
    assert text == "n = 2,005. mean 2.49. 0 to 1: 5. 2 to 3: 2,000."


def test_two_values_are_two_bars_at_them():
    two = Histogram(edges=[-0.5, 0.5, 1.5], counts=[5, 20], n=25, values=[0, 1])
    svg = figures_data.histogram(two, name="a", title="t", label="return")
    assert spoken(svg) == "n = 25. 0: 5. 1: 20."
    ticks = re.findall(r">([−\d.]+)</text>", svg)
    assert not {"−0.5", "0.5", "1.5"} & set(ticks)


def test_names_of_mixtures_are_whole():
    fields = json.loads(ICU.model_dump_json())
    for policy in fields["policies"]:
        if policy["kind"] == "mixture":
            policy["label"] = "10 % tabular value iteration, 90 % clinicians"
    report = Report.model_validate(fields)
    drawings = (
        figures.forest(report, VALUES),
        figures_moves.distances(report),
        figures_trust.exact_values(report, VALUES),
    )
    for svg in drawings:
        shown = svg[svg.index("</desc>") :]
        assert "10 % tabular value iteration," in shown and "90 % clinicians" in shown
        assert "…" not in shown


def test_the_line_of_distances_is_that_of_the_rule():
    svg = figures_moves.distances(ICU)
    assert "limit of the rule, log₂ 4,000 + 3: 15.0" in spoken(svg)


def test_the_figure_of_mixtures_fits_on_a_phone():
    svg = figures_moves.how_far(ICU, mixture_steps(ICU), VALUES)
    width = re.search(r'viewBox="0 0 (\d+)', svg)
    assert width is not None and int(width[1]) <= 480


def test_labels_that_are_pairs_make_a_grid():
    labels = [f"fluid {i}, drug {j}" for i in range(2) for j in range(3)]
    grid = figures_data.grid_of(labels)
    assert grid == ("fluid", "drug", ["0", "1"], ["0", "1", "2"])


@pytest.mark.parametrize(
    "labels",
    [
        ["north", "south"],
        ["fluid 0, drug 0", "fluid 0, drug 1"],
        ["a, x", "a, y", "b, x", "c, y"],
        ["a, x", "b, x", "a, y", "b, y"],
    ],
)
def test_other_labels_do_not(labels):
    assert figures_data.grid_of(labels) is None


def test_cells_of_a_grid_are_in_the_order_of_actions():
    labels = [f"a{i}, b{j}" for i in range(2) for j in range(2)]
    choices = [
        ActionShare(label=label, count=1, share=share)
        for label, share in zip(labels, [0.1, 0.2, 0.3, 0.4], strict=True)
    ]
    grid = figures_data.grid_of(labels)
    assert grid is not None
    svg = figures_data.action_grid(
        ActionUse(n=4, choices=choices),
        grid,
        of="log",
        share=[0.1, 0.2, 0.3, 0.4],
        top=0.4,
        name="a",
    )
    place = {
        text: (float(x), float(y))
        for x, y, text in re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>(\d+).%</text>', svg)
    }
    assert place["10"][0] == place["30"][0] < place["20"][0] == place["40"][0]
    assert place["10"][1] == place["20"][1] < place["30"][1] == place["40"][1]


def test_bars_show_the_most_used_actions():
    choices = [
        ActionShare(label=f"action {i}", count=i, share=i / 4950, policy_share=0.0)
        for i in range(100)
    ]
    use = ActionUse(n=4950, choices=choices)
    svg = figures_data.action_bars(use, of="IQL", name="a")
    assert "action 99: logged 2 %, IQL 0 %" in spoken(svg)
    assert spoken(svg).count("logged") == figures_data.SHOWN_ACTIONS
    assert "action 79:" not in spoken(svg)


def test_calibration_and_disagreement_say_their_numbers():
    assert ICU.trust is not None and ICU.trust.behavior is not None
    text = spoken(figures_trust.calibration(ICU.trust.behavior))
    assert text.startswith("given 5 %, taken 6 % of 7,866.")
    assert "Clinicians and IQL: 25 %" in spoken(figures_trust.disagreement(ICU))


def test_truth_says_what_is_exact_and_what_is_believed():
    text = spoken(figures_trust.exact_values(ICU, VALUES))
    assert "optimum 0.875" in text
    assert "Double DQN (control): exact 0.779, believes 0.983" in text


def test_own_estimates_are_held_against_what_the_policy_is_worth():
    assert ICU.training is not None
    control = ICU.training.algorithms[0]
    svg = training.curves(
        control, kind="own_estimate", curve="own_estimate", behavior=None, name="a"
    )
    assert "stroke: var(--worth)" in svg
    assert re.search(r"believes 0\.9\d*, worth 0\.779 \(FQE\)", spoken(svg))


def test_a_stopped_seed_is_marked_where_it_stopped():
    assert ICU.training is not None
    cql = next(a for a in ICU.training.algorithms if a.name == "CQL")
    svg = training.curves(cql, kind="loss", curve="critics/td", behavior=None, name="a")
    assert "var(--do-not-deploy)" in svg and ", stopped" in spoken(svg)


def test_long_curves_are_means_of_neighbors():
    steps = np.arange(1, 451)
    curve = Curve(name="td", kind="loss", steps=steps, values=steps * 2.0)
    thin, values = training._thinned(curve)
    assert len(thin) == training.SHOWN_POINTS
    np.testing.assert_allclose(thin[:2], [2.0, 5.0])
    np.testing.assert_allclose(values, 2 * thin)


def test_curves_come_in_the_order_own_loss_held_out():
    assert ICU.training is not None
    names = training.curve_names(ICU.training.algorithms[1])
    assert [kind for kind, _ in names] == ["own_estimate", "loss", "held_out"]


def test_the_closeup_says_every_estimator_that_has_a_value():
    assert ICU.trust is not None and ICU.decide.estimates is not None
    found = ICU.trust.closeup
    assert found is not None
    text = spoken(figures_closeup.estimators(found, ICU.decide.estimates, VALUES))
    assert "WIS (weights) 0.806 (0.752 to 0.853, 95 %)" in text
    order = [text.index(name) for name in ("PDIS", "WDR (both)", "FQE (val", "DRL (vis")]
    assert order == sorted(order) and not text.startswith("IS")
    assert text.count("(both)") == 3


def test_the_map_says_its_busiest_places():
    assert ICU.data.audit is not None and ICU.data.audit.map is not None
    text = spoken(figures_map.log_map(ICU.data.audit.map))
    assert text.startswith("The 4 busiest places. around decision 1: 4,000 visits, return")
    assert "return 0.78, 52 % of moves tried, 98 % of worse meet better." in text
    assert text.count("worse meet better") == 3


def test_a_ring_closes_as_far_as_worse_episodes_meet_better_ones():
    """A quarter turns from the top to the right, whatever the axes are scaled to."""
    sites = [
        Site(step=0, to_go=0.0, visits=10, tried=1.0, meeting=0.25),
        Site(step=20, to_go=1_000.0, visits=10, tried=1.0),
    ]
    svg = figures_map.log_map(LogMap(sites=sites, places=2, visits_share=1.0))
    drawn = [path for path in re.findall(r"<path d=\"([^\"]+)\"[^>]*--policy", svg)]
    assert len(drawn) == 1
    x, y = np.array(re.findall(r"([\d.]+) ([\d.]+)", drawn[0]), float).T
    across, down = x[-1] - x[0], y[-1] - y[0]
    assert across == pytest.approx(down, abs=0.3) and across > 10


def test_the_closeup_follows_weights_and_returns():
    assert ICU.trust is not None and ICU.trust.closeup is not None
    found = ICU.trust.closeup
    text = spoken(figures_closeup.weights_over_time(found))
    first = "after decision 1: 4,000 effective episodes, 4,000 still going."
    assert text.startswith(first)
    text = spoken(figures_closeup.earned(found, VALUES, outcome="survival"))
    assert "after decision 2: 0.400, in the log 0.350" in text
    assert text.endswith("after decision 3: 0.810, in the log 0.700.")
    assert found.returns is not None
    text = spoken(figures_closeup.returns(found.returns, label="IQL", outcome="survival"))
    assert text.startswith("up to 0: 0 % in the log, 0 % under IQL")
    assert "up to 0.5: 57 % in the log, 50 % under IQL" in text
