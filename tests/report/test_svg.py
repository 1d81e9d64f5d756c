"""Drawings that can stand in any page: own ids, roles for colors, words for eyes."""

import re
from xml.etree import ElementTree

import pytest

from stitchrl.report.svg import COLOR, ROLES, board, drawn, standalone, to_svg

TRICKY = """<b>&--> "x" $x^$ 你好 id="x" url(#y) #fe0101"""


@drawn
def drawing(name: str, label: str = "label") -> str:
    figure, axes = board(300, 200, margins=(40, 10, 10, 40))
    axes.plot([0, 1], [0, 1], marker="o", color=COLOR["wis"])
    axes.text(0.5, 0.5, label)
    return to_svg(figure, name=name, title="A <title>", description="1 & 2")


def test_equal_drawings_have_equal_bytes():
    assert drawing("a") == drawing("a")


def test_ids_belong_to_the_figure_and_are_all_referred_to():
    svg = drawing("a")
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids)) and all(name.startswith("a-") for name in ids)
    used = re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)
    assert set(used) == set(ids) - {"a-title", "a-text"}
    assert len(used) > 3
    assert not set(ids) & set(re.findall(r'\bid="([^"]+)"', drawing("b")))


def test_colors_are_roles():
    svg = drawing("a")
    assert "stroke: var(--wis)" in svg and "fill: var(--ink)" in svg
    assert not re.findall("#[0-9a-f]{6}", svg)
    assert len(set(COLOR.values())) == len(ROLES)


def test_there_is_no_clock_no_font_and_no_foreign_vocabulary():
    svg = drawing("a")
    assert svg.count("http") == 1 and 'xmlns="http://www.w3.org/2000/svg"' in svg
    for word in ("metadata", "<style", "DejaVu", "Matplotlib", "20:", "<!--"):
        assert word not in svg


def test_it_says_in_words_what_it_shows():
    svg = drawing("a")
    assert '<svg role="img"' in svg and 'aria-labelledby="a-title a-text"' in svg
    assert '<title id="a-title">A &lt;title&gt;</title>' in svg
    assert '<desc id="a-text">1 &amp; 2</desc>' in svg


def test_what_a_label_says_is_escaped_but_never_changed():
    text = re.search(r"<text [^>]*>([^<]*你好[^<]*)</text>", drawing("a", TRICKY))
    assert text is not None
    assert text[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == TRICKY
    assert "<b>" not in drawing("a", TRICKY)


def test_a_file_of_its_own_brings_what_a_page_would():
    svg = standalone(drawing("a", TRICKY), name="a")
    root = ElementTree.fromstring(svg)
    (style,) = [element.text for element in root if element.tag.endswith("style")]
    assert root.attrib["id"] == "a" and style is not None
    light, dark = style.split("@media screen and (prefers-color-scheme: dark)")
    for color in set(re.findall(r"var\((--[\w-]+)\)", svg)) - {"--sans"}:
        (one,) = re.findall(f"{color}: (#[0-9a-f]{{6}});", light)
        (other,) = re.findall(f"{color}: (#[0-9a-f]{{6}});", dark)
        assert one != other
    assert "--paper" in light and "font-family: var(--sans)" in light
    assert light.startswith("#a {") and "{ #a {" in dark


def test_a_file_of_its_own_needs_a_name_that_ids_can_have():
    with pytest.raises(ValueError, match="but is 'a b'"):
        standalone(drawing("a"), name="a b")
