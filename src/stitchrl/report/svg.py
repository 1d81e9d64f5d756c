"""Matplotlib as a drawing board for inline SVG: no clock, no fixed colors, no fonts.

Colors are drawn as sentinels and become CSS custom properties, so that one drawing serves
light, dark and paper. Text stays text. Ids are unique to a figure, equal input gives equal
bytes, and every figure says in words what it shows.
"""

import re
import warnings
from collections.abc import Sequence
from importlib.resources import files
from io import StringIO
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# What a color is for; `style.css` says what it looks like.
ROLES = (
    "ink",
    "muted",
    "line",
    "paper",
    "behavior",
    "wis",
    "fqe",
    "own",
    "worth",
    "log",
    "policy",
    "heat",
    "deploy",
    "pilot",
    "collect_more_data",
    "do_not_deploy",
    "cannot_say",
    "evaluated",
    "seed_0",
    "seed_1",
    "seed_2",
    "seed_3",
)
COLOR = {role: f"#fe01{number:02x}" for number, role in enumerate(ROLES)}

STYLE: dict[Any, Any] = {
    "axes.edgecolor": COLOR["line"],
    "axes.facecolor": "none",
    "axes.labelcolor": COLOR["muted"],
    "axes.labelsize": 12,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "grid.color": COLOR["line"],
    "savefig.dpi": 72,
    "svg.fonttype": "none",
    "svg.hashsalt": "stitchrl",
    "text.color": COLOR["ink"],
    "text.parse_math": False,
    "xtick.color": COLOR["line"],
    "xtick.labelcolor": COLOR["muted"],
    "xtick.labelsize": 11,
    "ytick.color": COLOR["line"],
    "ytick.labelcolor": COLOR["muted"],
    "ytick.labelsize": 11,
}

# Every function that draws runs inside it: texts take their style when they are made.
drawn = matplotlib.rc_context(STYLE)

# Ways of setting text that several figures share.
SMALL = {"color": COLOR["muted"], "fontsize": 11, "va": "bottom"}
PAPER = {"facecolor": COLOR["paper"], "edgecolor": "none", "pad": 1.5}


def board(
    width: int, height: int, *, margins: tuple[int, int, int, int]
) -> tuple[Figure, Axes]:
    """A figure of this size in CSS pixels, and axes inside (left, top, right, bottom)."""
    left, top, right, bottom = margins
    figure = Figure(figsize=(width / 72, height / 72))
    inside = (
        left / width,
        bottom / height,
        (width - left - right) / width,
        (height - top - bottom) / height,
    )
    return figure, figure.add_axes(inside)


def to_svg(figure: Figure, *, name: str, title: str, description: str) -> Markup:
    """The drawing as an <svg> element with alternative text; its ids start with `name`."""
    text = StringIO()
    figure.patch.set_visible(False)
    with warnings.catch_warnings():
        # A label in a script that Matplotlib's font lacks is drawn by the browser's font.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(text, format="svg", metadata={"Date": None})
    width, height = (72 * inches for inches in figure.get_size_inches())
    head = (
        f'<svg role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" style="--natural: {width:g}px" '
        f'aria-labelledby="{name}-title {name}-text" '
        'xmlns="http://www.w3.org/2000/svg">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-text">{escape(description)}</desc>\n'
    )
    return Markup(head + _body(text.getvalue(), name))


def standalone(svg: Markup, *, name: str) -> Markup:
    """The drawing as a file of its own, with paper, font and colors for light and dark."""
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        raise ValueError(
            f"The name of a figure begins its ids, and must be a letter, then letters, "
            f"digits, _ and -, but is {name!r}."
        )
    css = files("stitchrl.report").joinpath("templates/style.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    used = ["paper", *re.findall(r"var\(--([\w-]+)\)", svg)]
    colors = [_declared(used, among) for among in (light, dark)]
    head, mark, rest = str(svg).partition("</desc>\n")
    style = (
        f"<style>#{name} {{ {_declared(['sans'], light)} font-family: var(--sans); "
        f"{colors[0]} }}\n@media screen and (prefers-color-scheme: dark) "
        f"{{ #{name} {{ {colors[1]} }} }}</style>\n"
        '<rect width="100%" height="100%" style="fill: var(--paper)"/>\n'
    )
    head = head.replace("<svg ", f'<svg id="{name}" ', 1)
    return Markup(head + mark + style + rest)


def _declared(names: Sequence[str], block: str) -> str:
    """What a block of CSS says of these properties, each once."""
    found = dict(re.findall(r"--([\w-]+): ([^;]+);", block))
    return " ".join(f"--{name}: {found[name]};" for name in dict.fromkeys(names))


def _body(document: str, name: str) -> str:
    """What is drawn: own ids, colors by role, no metadata, no groups without a purpose."""
    document = re.sub(r"<metadata>.*?</metadata>", "", document, flags=re.DOTALL)
    document = re.sub(r"<style.*?</style>", "", document, flags=re.DOTALL)
    document = document[document.index("<svg") :]
    document = document[document.index(">") + 1 :].replace("xlink:href=", "href=")
    document = document.replace("<defs/>", "")
    tags = re.findall(r"<[^>]*>", document)
    used = dict.fromkeys(
        old for tag in tags for old in re.findall(r'(?:url\(#|href="#)([^)"]+)', tag)
    )
    names = {old: f"{name}-{number}" for number, old in enumerate(used)}
    kept_groups: list[bool] = []

    def tidy(found: re.Match[str]) -> str:
        tag = re.sub(r'\s+id="([^"]*)"', lambda old: _renamed(old, names), found[0])
        if tag == "</g>":
            return tag if kept_groups.pop() else ""
        if tag == "<g/>":
            return ""
        if tag.startswith("<g"):
            kept_groups.append(tag != "<g>")
            return tag if kept_groups[-1] else ""
        return tag

    def style(found: re.Match[str]) -> str:
        tag = re.sub(
            r'(url\(#|href="#)([^)"]+)', lambda old: old[1] + names[old[2]], found[0]
        )
        tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
        tag = re.sub(r"\s*font-family: [^;\"]*;?", "", tag)
        tag = re.sub(r"\d+\.\d{3,}", lambda digits: f"{float(digits[0]):.2f}", tag)
        tag = re.sub("#fe01([0-9a-f]{2})", _property, tag)
        return " ".join(tag.split())

    # Only inside tags: what a label says is never touched.
    document = re.sub(r"<[^>]*>", tidy, document)
    document = re.sub(r"<[^>]*>", style, document)
    return "\n".join(line.strip() for line in document.splitlines() if line.strip())


def _renamed(found: re.Match[str], names: dict[str, str]) -> str:
    return f' id="{names[found[1]]}"' if found[1] in names else ""


def _property(found: re.Match[str]) -> str:
    return f"var(--{ROLES[int(found[1], 16)].replace('_', '-')})"


def listing(parts: Sequence[str]) -> str:
    """Facts as one alternative text."""
    return ". ".join(part.rstrip(".") for part in parts if part) + "."
