"""Writes what docs/algorithms can read from the registry. Run it by `make docs`.

The table of all, and on each page the facts: kinds of actions, needs, networks, operations
of an update (counted by XLA at the class's defaults), paper, update order, departures and
every hyper-parameter. The prose of a page, above its facts, is written by hand.
"""

import argparse
import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from stitchrl.algorithms import ALGORITHMS, is_control
from stitchrl.blocks import all_rows_together
from stitchrl.experience import Experience
from stitchrl.learner import Learner
from stitchrl.plan import run_lengths
from stitchrl.spaces import Continuous
from stitchrl.testing import small_log
from stitchrl.train import prepare

PAGES = Path(__file__).parent / "algorithms"
TABLE = PAGES / "README.md"
KIND = {True: "continuous", False: "discrete"}
NEED = {
    "rewards": "rewards that differ",
    "returns": "episodes whose returns differ",
    "next_action": "the next logged action",
}
HEAD = """# Algorithms

{count} algorithms in the registry, {controls} of them controls: methods for learning
online, which are here to show what goes wrong on a fixed log, and are never deployed. Each
name leads to a page that says what the idea is, when it works and when it fails.

This table is made from the registry by `make docs`; edit the classes, not the table.

- *Actions*: which kinds there is a form for. Discrete forms honor `valid_actions`.
- *Needs*: of a log, beyond transitions.
- *Networks*: what is trained (an ensemble counts once), with the sizes of the default.
- *Cost*: operations of one update as XLA counts them at the defaults, its own batch size
  included; behavior cloning is 1. The first number is for continuous actions.

| algorithm | actions | needs | networks | cost | paper | departures |
|---|---|---|---|---|---|---|
"""
BEGIN, END = "<!-- facts: made by `make docs` -->", "<!-- end of facts -->"


def kinds_of(name: str) -> dict[str, type]:
    kinds = ALGORITHMS[name]
    return {KIND[kind is Continuous]: cls for kind, cls in kinds.items()}


experience_of = functools.cache(lambda kind: Experience.of(small_log(kind)))
KEY = jax.random.key(0)


def state_of(cls: type, kind: str) -> Any:
    """The state of a class at its defaults, as shapes."""
    spec = experience_of(kind).spec
    return jax.eval_shape(lambda key: cls().init(key, spec), KEY)


def operations(cls: type, kind: str) -> float:
    """Of one update at the defaults."""
    algorithm = cls()
    data = jax.eval_shape(prepare, algorithm, experience_of(kind))
    batch = jax.eval_shape(algorithm.sample, data, KEY)
    with all_rows_together():
        update = jax.jit(algorithm.update).lower(state_of(cls, kind), batch, KEY)
    return update.cost_analysis()["flops"]


def networks(cls: type, kind: str) -> str:
    state = state_of(cls, kind)
    names = [n for n, part in zip(state._fields, state) if isinstance(part, Learner)]
    sizes = " x ".join(map(str, cls().hidden))
    return f"{', '.join(names)}; {sizes}"


def paper(cls: type) -> str:
    """As the module names it: an arXiv number with a link, or a journal."""
    text = " ".join(inspect.getmodule(cls).__doc__.split())
    found = re.search(r"arXiv:(\d{4}\.\d{4,5})", text)
    if found:
        return f"[{found[1]}](https://arxiv.org/abs/{found[1]})"
    return re.search(r"\(((?:[^()]|\([^()]*\))*\d{4}(?:[^()]|\([^()]*\))*)\)", text)[1]


def line(name: str, unit: float) -> str:
    kinds = kinds_of(name)
    first = next(iter(kinds.values()))
    costs = [f"{operations(cls, kind) / unit:.2g}" for kind, cls in kinds.items()]
    needs = ", ".join(NEED[need] for need in getattr(first, "needs", ())) or "none"
    label = f"[{name}]({name}.md)" + (" (control)" if is_control(first) else "")
    cells = [
        label,
        ", ".join(kinds),
        needs,
        networks(first, next(iter(kinds))),
        ", ".join(costs),
        paper(first),
        f"[listed]({name}.md#departures)",
    ]
    return f"| {' | '.join(cells)} |\n"


def table() -> str:
    unit = operations(kinds_of("bc")["continuous"], "continuous")
    controls = sum(is_control(next(iter(kinds_of(name).values()))) for name in ALGORITHMS)
    head = HEAD.format(count=len(ALGORITHMS), controls=controls)
    return head + "".join(line(name, unit) for name in ALGORITHMS)


def paragraphs(cls: type) -> list[str]:
    return [" ".join(part.split()) for part in inspect.getdoc(cls).split("\n\n")]


def said(cls: type, word: str) -> str:
    """What the docstring says after `Update order:` or `Departures:`."""
    text = " ".join(paragraphs(cls))
    ends = "|".join(other for other in ("Update order", "Departures") if other != word)
    found = re.search(rf"{word}: (.*?)(?= (?:{ends}): |$)", text)[1]
    found = found.partition(" Raises `")[0]
    return found[0].upper() + found[1:] if found[0].isascii() else found


ALWAYS = """### True of every algorithm

Where nothing else is asked for, cloning, filtered cloning and a control are trained beside
it on the same log; with `--algorithms`, name them too. One recorded object transforms
rewards for learning, and values are told in the log's own units. Defaults are the authors'
published values; what differs is above."""
COMMON = {
    "learning_rate": "Adam's.",
    "batch_size": "Rows of an update.",
    "hidden": "Sizes of the hidden layers of every network.",
    "target_rate": "Polyak step of the slow copies.",
    "ensemble": "Critics.",
}


def settings(cls: type) -> str:
    """Every hyper-parameter: name, default, and the comment beside it in the source."""
    comments = dict(COMMON)
    for ancestor in reversed(cls.__mro__[:-1]):
        source = inspect.getsource(ancestor)
        found = re.findall(r"^    (\w+): [^#\n]*= [^#\n]*?(?:  # (.*))?$", source, re.M)
        comments |= {name: comment for name, comment in found if comment}
    lines = ["| hyper-parameter | default | what it is |", "|---|---|---|"]
    for field in dataclasses.fields(cls):
        value = field.default
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        what = " ".join(explained(cls, field.name, comments.get(field.name, "")))
        lines.append(f"| `{field.name}` | {shown} | {what} |")
    return "\n".join(lines)


def explained(cls: type, field: str, comment: str) -> Iterator[str]:
    """The comment on a field, the words it can be, and who sets it in a run."""
    if comment:
        yield comment.replace("|", "\\|")
    if field in getattr(cls, "choices", {}):
        yield f"One of {', '.join(f'`{word}`' for word in cls.choices[field])}."
    if field in run_lengths(cls, 1):
        yield "`stitchrl run` fits it to its length, `plan.run_lengths` does so in Python."


def facts(name: str) -> str:
    """The part of a page that is made: one block for each class behind the name."""
    blocks = [BEGIN]
    kinds = kinds_of(name)
    for kinds_here, cls in by_class(kinds):
        if len(set(kinds.values())) > 1:
            blocks.append(f"## With {' or '.join(kinds_here)} actions")
        blocks += [
            f"`{cls.__module__}.{cls.__name__}`, {paper(cls)}. {paragraphs(cls)[0]}",
            f"### Update order\n\n{said(cls, 'Update order')}",
            f"### Departures\n\n{said(cls, 'Departures')}",
            f"### Hyper-parameters\n\n{settings(cls)}",
        ]
    return "\n\n".join([*blocks, ALWAYS, END])


def by_class(kinds: dict[str, type]) -> list[tuple[list[str], type]]:
    found: dict[type, list[str]] = {}
    for kind, cls in kinds.items():
        found.setdefault(cls, []).append(kind)
    return [(names, cls) for cls, names in found.items()]


def page(name: str) -> str:
    """The page with its facts renewed. Raises `ValueError` if it has no place for them."""
    path = PAGES / f"{name}.md"
    text = path.read_text() if path.is_file() else ""
    head, begin, rest = text.partition(BEGIN)
    _, end, prose = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} must exist, with the lines {BEGIN} and {END} in it.")
    return head + facts(name) + prose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    files = {TABLE: table()} | {PAGES / f"{name}.md": page(name) for name in ALGORITHMS}
    if parser.parse_args().check:
        stale = [path.name for path, text in files.items() if path.read_text() != text]
        sys.exit(f"Stale: {', '.join(stale)}. Run `make docs`." if stale else 0)
    for path, text in files.items():
        path.write_text(text)
    print(f"{len(files)} files of {PAGES} are as the registry says.")


if __name__ == "__main__":
    main()
