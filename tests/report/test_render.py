"""One HTML file: well formed, self-contained, safe, readable without seeing colors."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape
from report import fixture

import stitchrl.report.render
from stitchrl.report.render import render
from stitchrl.report.schema import Report
from stitchrl.report.svg import ROLES

NAMES = ["icu", "minimal", "single", "continuous", "hostile"]
PAGES: dict[str, str] = {}
VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr"}


@pytest.fixture(params=NAMES)
def page(request) -> str:
    return page_of(request.param)


def page_of(name: str) -> str:
    if name not in PAGES:
        PAGES[name] = render(getattr(fixture, f"{name}_report")())
    return PAGES[name]


class Outline(HTMLParser):
    """Elements with their attributes and the text of some; raises on unbalanced tags."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        line, _ = self.getpos()
        assert self.open and self.open[-1] == tag, f"line {line}: </{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def attribute(self, name: str) -> list[str]:
        return [value for _, given in self.elements if (value := given.get(name))]


def test_tags_are_balanced_and_ids_unique(page):
    outline = Outline(page)
    ids = outline.attribute("id")
    assert len(ids) == len(set(ids))
    links = [href[1:] for href in outline.attribute("href") if href.startswith("#")]
    assert set(links) <= set(ids)
    for name in ("aria-labelledby",):
        for value in outline.attribute(name):
            assert set(value.split()) <= set(ids)


def test_nothing_is_fetched(page):
    outline = Outline(page)
    assert not [tag for tag, _ in outline.elements if tag in ("script", "iframe", "img")]
    assert not outline.attribute("src")
    for href in outline.attribute("href"):
        assert href.startswith(("#", "data:,"))
    without_namespaces = page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.findall(r"https?://|//[a-z]+\.|@import|url\((?!#)", without_namespaces)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    metas = [given for tag, given in outline.elements if tag == "meta"]
    assert any(given.get("content") == policy for given in metas)
    assert not [name for _, given in outline.elements for name in given if name[:2] == "on"]


def test_it_is_small(page):
    assert len(page.encode()) < 3_000_000


def test_headings_are_in_order(page):
    levels = [int(tag[1]) for tag, _ in Outline(page).elements if re.match("h[1-6]$", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    for before, after in zip(levels, levels[1:], strict=False):
        assert after <= before + 1


def test_every_figure_has_alternative_text(page):
    outline = Outline(page)
    images = [given for tag, given in outline.elements if tag == "svg"]
    figures = [given for given in images if given.get("role") == "img"]
    assert all(given.get("aria-hidden") == "true" or given in figures for given in images)
    assert page.count("<desc ") == page.count('role="img"') == len(figures)
    for text in re.findall(r"<desc [^>]*>(.*?)</desc>", page, re.DOTALL):
        assert re.search(r"\d", text)


def test_reader_and_keyboard_find_their_way(page):
    outline = Outline(page)
    elements = dict(outline.elements)
    assert elements["html"].get("lang") == "en"
    first_link = next(given for tag, given in outline.elements if tag == "a")
    assert first_link == {"class": "skip", "href": "#decide"}
    assert {"header", "nav", "main", "footer"} <= elements.keys()
    for tag, given in outline.elements:
        if given.get("class") == "scroll table":
            assert given.get("tabindex") == "0" and given.get("aria-label")
        if tag == "th":
            assert given.get("scope") in ("col", "row")


def test_equal_reports_give_equal_bytes():
    assert render(fixture.icu_report()) == page_of("icu")


def test_sections_come_in_order():
    sections = [
        given["id"] for tag, given in Outline(page_of("icu")).elements if tag == "section"
    ]
    assert sections == ["decide", "trust", "data", "training", "reproduce", "truth"]


def test_names_from_the_log_are_only_text():
    page = page_of("hostile")
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(") > 10
    kinds = [
        {(tag, name) for tag, given in Outline(text).elements for name in given}
        for text in (page, page_of("icu"))
    ]
    assert kinds[0] <= kinds[1]


def plain(page: str) -> str:
    """The page as a reader hears it: tags dropped, one space between words."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", text).replace("\N{NARROW NO-BREAK SPACE}", " ")
    return " ".join(text.split())


def test_the_verdict_comes_first_with_rule_and_numbers():
    text = plain(page_of("icu"))
    verdict = text[text.index("1 Decide") : text.index("The best candidate in full")]
    for part in (
        "Pilot bounds: asymptotic Try it on some patients",
        "30 % tabular, 70 % clinicians recommended",
        "Probability of survival 0.800 0.775 to 0.824 (95 %)",
        "Clinicians, as logged 0.783 0.771 to 0.796 (95 %)",
        "Difference +0.016 −0.021 to +0.054 (90 %)",
        "1,027 of 4,000 held out",
        "✕ not passed: The lower bound of the improvement is above 0.",
        "1,027 at least 200",
        "about 12,000 patients",
        "Here it is line 5",
        "that knows what the log knows): pilot. holds",
        "Otherwise: collect more data. not reached",
    ):
        assert part in verdict


def test_what_was_not_computed_is_a_dash_without_a_rule_beside_it():
    fields = json.loads(fixture.icu_report().model_dump_json())
    verdict = next(v for v in fields["decide"]["verdicts"] if v["policy"] == "tabular_30")
    verdict["reasons"][0] |= {"passed": None, "number": None, "sentence": "Unknown."}
    text = plain(render(Report.model_validate(fields)))
    assert "– not computed: Unknown. LOWER_BOUND ✓ passed:" in text


def test_that_harm_was_not_shown_is_no_merit():
    fields = json.loads(fixture.icu_report().model_dump_json())
    verdict = next(v for v in fields["decide"]["verdicts"] if v["policy"] == "tabular_30")
    for passed, said in ((True, "○ harm not shown:"), (False, "✕ not passed:")):
        verdict["reasons"][0] |= {"code": "WORSE", "passed": passed, "sentence": "Not it."}
        assert f"{said} Not it. WORSE" in plain(render(Report.model_validate(fields)))


def test_every_mixture_and_the_full_policy_have_a_verdict():
    text = plain(page_of("icu"))
    table = text[text.index("How far may we move?") : text.index("All estimates, against")]
    decision = r"(Pilot|Collect more data|Cannot say) (?:\( ?asymptotic ?\) )?0\."
    assert re.findall(rf"(\d+) % (?:recommended )?{decision}", table) == [
        ("10", "Pilot"),
        ("20", "Pilot"),
        ("30", "Pilot"),
        ("50", "Collect more data"),
        ("100", "Cannot say"),
    ]


def test_a_refusal_shows_its_code_and_its_way_out_once():
    text = plain(page_of("single"))
    verdict = text[text.index("1 Decide") : text.index("What this report does not show")]
    assert "holds 3 episodes; below 30, no interval can be trusted. SINGLE" in verdict
    assert verdict.count("Collect at least 150 episodes") == 1
    assert "2 Data" in text and "3 Training" in text and "Trust" not in text


def test_the_code_of_a_finding_stands_behind_its_sentence():
    page, finding = page_of("icu"), fixture.icu_report().data.findings[0]
    item = page[page.index('class="severity"') :]
    assert item.index(escape(finding.remedy)) < item.index(f"<code>{finding.code}</code>")


def test_banners():
    text = plain(page_of("continuous"))
    assert "Forced. Refusals were overridden to make this report: DET_IS" in text
    assert "The certification split has been looked at 2 times." in text
    assert "Forced." not in plain(page_of("icu"))
    assert "has been looked at" not in plain(page_of("icu"))


def test_the_control_is_held_against_the_truth():
    text = plain(page_of("icu"))
    assert "A real user has no such section." in text
    assert "Double DQN believes its policy is worth 0.983. It is worth 0.779" in text
    assert "Double DQN 0.779 0.640 0.170 to 1.000 (95 %) 0.983 +0.204" in text
    assert "A real user" not in plain(page_of("single"))


def test_terms_are_explained_where_they_are_used():
    assert "Effective sample size: how many" in plain(page_of("icu"))
    continuous = plain(page_of("continuous"))
    assert "Fitted Q evaluation:" in continuous
    assert "Weighted importance sampling:" not in continuous
    assert "Words used here" not in plain(page_of("minimal"))


STYLE = (
    Path(stitchrl.report.render.__file__).parent / "templates" / "style.css"
).read_text("utf-8")


def palettes() -> list[dict[str, str]]:
    light = STYLE[STYLE.index(":root") : STYLE.index("@media")]
    dark = STYLE[STYLE.index("(prefers-color-scheme: dark)") : STYLE.index("* {")]
    found = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in (light, dark)
    ]
    return [found[0], found[0] | found[1]]


def luminance(color: str) -> float:
    """Relative luminance of sRGB, WCAG 2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_text_is_readable_on_what_it_stands_on(palette):
    for text in ("ink", "muted", "link"):
        for ground in ("paper", "canvas", "tint"):
            assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    decisions = ["deploy", "pilot", "collect-more-data", "do-not-deploy", "cannot-say"]
    for decision in [*decisions, "evaluated"]:
        assert contrast(palette[decision], palette[f"{decision}-tint"]) >= 4.5, decision
    for role in ("wis", "fqe", "own", "worth", "policy", "behavior", "log"):
        assert contrast(palette[role], palette["paper"]) >= 3, role


def test_every_color_of_a_figure_has_a_look():
    for palette in palettes():
        assert {role.replace("_", "-") for role in ROLES} <= palette.keys()
