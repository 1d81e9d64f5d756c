"""What `make bench-speed` found, as a figure and as the table in README.md.

    python benchmarks/figures_speed.py

Reads results/speed.json; nothing is measured. Writes figures/speed.svg and the lines of
README.md between the two marks.
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from stitchrl.report.format import number
from stitchrl.report.svg import COLOR, SMALL, board, drawn, listing, standalone, to_svg

HERE = Path(__file__).parent
RESULTS, FIGURE = HERE / "results" / "speed.json", HERE / "figures" / "speed.svg"
README = HERE.parent / "README.md"
BEGIN = "<!-- speed: made by benchmarks/figures_speed.py -->"
END = "<!-- end of speed -->"
WORDS = {
    "bc": "behavior cloning",
    "discrete_cql": "CQL, discrete actions",
    "td3_bc": "TD3+BC",
    "iql": "IQL",
    "rebrac": "ReBRAC",
    "cql": "CQL, 10 samples",
}
LINE = 46  # Height of an algorithm, in CSS pixels.


class Way(NamedTuple):
    """Of taking updates: the end of its figure's name, its words, and how it is drawn."""

    part: str
    words: str
    color: str
    marker: str


WAYS = (
    Way("d3rlpy", "d3rlpy 2.8.1", "muted", "o"),
    Way("torch", "PyTorch, written out", "own", "D"),
    Way("stitchrl", "stitchrl, one run", "fqe", "s"),
    Way("population_8_stitchrl", "stitchrl, eight runs", "wis", "o"),
)


class Rate(NamedTuple):
    """Updates per second: the median window, the slowest and the fastest."""

    value: float
    low: float
    high: float


@cache
def rows() -> dict[str, dict]:
    """Figures by name."""
    return {row["figure"]: row for row in json.loads(RESULTS.read_text())["rows"]}


def rate(algorithm: str, way: Way) -> Rate:
    row = rows()[f"{algorithm}_{way.part}_rate"]
    return Rate(row["value"], row["low"], row["high"])


def limit(algorithm: str) -> float | None:
    """Updates per second of a machine that did nothing but products of matrices."""
    operations = rows().get(f"{algorithm}_gflop_per_update")
    if operations is None:
        return None
    return rows()["sgemm"]["high"] / operations["value"]


def rounded(value: float) -> str:
    """Three digits."""
    return number(float(f"{value:.3g}"))


def table() -> str:
    """In Markdown: updates per second, and what they are of others and of the limit."""
    head = ["", *(way.words for way in WAYS), "eight runs over d3rlpy", "of the limit"]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    for name, words in WORDS.items():
        over = rows()[f"{name}_population_over_d3rlpy"]["value"]
        share = rows().get(f"{name}_population_share_of_sgemm")
        lines.append(
            [
                words,
                *(rounded(rate(name, way).value) for way in WAYS),
                f"{over:.1f} x",
                f"{share['value']:.0%}" if share else "–",
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@drawn
def drawing() -> Markup:
    """Every way of every algorithm on one logarithmic axis."""
    height = 96 + LINE * len(WORDS)
    figure, axes = board(760, height, margins=(170, 52, 20, 44))
    axes.set(ylim=(len(WORDS) - 0.5, -0.5), yticks=[], xscale="log")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda tick, _: number(tick))
    axes.set_xlabel("updates per second, of all runs together")
    spoken = []
    for y, (name, words) in enumerate(WORDS.items()):
        place = {"transform": axes.get_yaxis_transform(), "va": "center"}
        axes.text(-0.03, y, words, ha="right", **place)
        said = []
        for index, way in enumerate(WAYS):
            found, height = rate(name, way), y + 0.19 * (index - 1.5)
            color = COLOR[way.color]
            axes.plot([found.low, found.high], [height, height], color=color, lw=1.5)
            axes.plot(found.value, height, way.marker, ms=7, mew=0, mfc=color)
            said.append(f"{way.words} {rounded(found.value)}")
        most = limit(name)
        if most is not None:
            axes.plot([most, most], [y - 0.38, y + 0.38], color=COLOR["ink"], lw=2)
            said.append(f"limit {rounded(most)}")
        spoken.append(f"{words}: {', '.join(said)}")
    for way in WAYS:
        handles = {"ms": 7, "mew": 0, "mfc": COLOR[way.color], "lw": 0}
        axes.plot([], [], way.marker, label=way.words, **handles)
    axes.plot([], [], "|", ms=12, mew=2, mec=COLOR["ink"], lw=0, label="products alone")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.3, 1.0),
        ncols=5,
        frameon=False,
        handletextpad=0.3,
        columnspacing=1.2,
        fontsize=11,
        labelcolor=SMALL["color"],
    )
    title = "Updates per second on two threads of a CPU"
    svg = to_svg(figure, name="speed", title=title, description=listing(spoken))
    return standalone(svg, name="speed")


def readme(text: str) -> str:
    """With the table between the marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


def main() -> None:
    FIGURE.write_text(drawing())
    README.write_text(readme(README.read_text()))
    print(f"{FIGURE}\n{table()}")


if __name__ == "__main__":
    main()
