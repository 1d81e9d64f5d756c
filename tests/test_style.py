"""Rules of docs/architecture.md about words and forms."""

import ast
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from repository import (
    MODULES,
    PYTHON,
    SOURCES,
    TREES,
    imports,
    is_at_or_below,
    part,
    relative,
)

SYMBOLS = {"alpha", "beta", "gamma", "tau", "lmbda", "lambda_", "eta", "rho", "sigma"}
LONGEST, LONG, LONGEST_ALGORITHM, LONGEST_EXAMPLE = 400, 300, 180, 40


def names_in(path: Path) -> Iterator[tuple[str, int]]:
    """Every identifier (not words in strings and comments), with its line."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            yield token.string, token.start[0]


BANNED_NAMES = {
    r"(is_|not_)?dones?(_mask)?|dones?_\w+|\w+_dones?": (
        "say `terminated` (do not bootstrap), `truncated` or `episode_end`"
    ),
    r"(\w*_)?utils?|\w*Utils?": "name what it does",
    r"agents?_\w+|[A-Z]?\w*Agent|\w+Manager": "there is no agent: say what the thing is",
    r"\w+Learner": "`Learner` is one network and its optimizer; say what this learns",
}
# Names of other libraries that we cannot choose.
FOREIGN_NAMES = {"tree_util"}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_banned_names(path: Path):
    found = [
        f"{relative(path)}:{line}: `{name}`: {advice}"
        for name, line in names_in(path)
        for pattern, advice in BANNED_NAMES.items()
        if re.fullmatch(pattern, name) and name not in FOREIGN_NAMES
    ]
    assert not found, "\n".join(found)


RUNS_CODE_FROM_DATA = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_nothing_runs_code_from_data(path: Path):
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            assert name not in ("eval", "exec"), f"{relative(path)}:{node.lineno}: {name}()"
            for keyword in node.keywords:
                is_pickle = keyword.arg == "allow_pickle" and not (
                    isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                )
                assert not is_pickle, f"{relative(path)}:{node.lineno}: allow_pickle"
    wrong = [name for name in imports(path) if is_at_or_below(name, RUNS_CODE_FROM_DATA)]
    assert not wrong, f"{relative(path)} imports {wrong}."


WRITES = {"write_text", "write_bytes", "touch", "mkdir", "tofile", "rmtree", "rename"}


def test_only_artifacts_writes_files():
    for module, path in MODULES.items():
        if part(module) == "artifacts":
            continue
        for node in ast.walk(TREES[path]):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
            opens = name == "open" and any(
                isinstance(mode, str) and re.fullmatch(r"[rwxabt+]*[wxa+][rwxabt+]*", mode)
                for mode in modes
            )
            assert name not in WRITES and not opens, (
                f"{relative(path)}:{node.lineno}: {name}(): only `artifacts` writes files, "
                "so that each is whole or absent, and verified."
            )


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_annotations_are_values(path: Path):
    assert "__future__.annotations" not in set(imports(path)), (
        f"{relative(path)}: `from __future__ import annotations` turns types into strings; "
        "`hyperparameters` and jaxtyping need the types."
    )


def test_algorithms_draw_from_keys_only():
    for module, path in MODULES.items():
        if part(module) != "algorithms":
            continue
        for node in ast.walk(TREES[path]):
            is_draw = isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "np.random",
                "numpy.random",
            )
            assert not is_draw, f"{relative(path)}:{node.lineno}: draw from a `key`."


def test_no_file_is_called_utils():
    nameless = re.compile(r"(.*_)?(utils?|helpers?|misc)")
    wrong = [relative(path) for path in PYTHON if nameless.fullmatch(path.stem)]
    assert not wrong, f"{wrong}: name the file after the one idea in it."


def test_files_are_short():
    lines = {relative(path): len(path.read_text().splitlines()) for path in PYTHON}
    long = {name: count for name, count in lines.items() if count > LONG}
    print(f"Over {LONG} lines, two ideas perhaps: {long}")
    too_long = {
        name: count
        for name, count in lines.items()
        if count > (LONGEST_EXAMPLE if name.startswith("examples/") else LONGEST)
    }
    assert not too_long, f"{too_long}: split by idea. Over {LONG}, soon due: {long}"


def registered_algorithms() -> list[type]:
    import stitchrl.algorithms

    entries = stitchrl.algorithms.ALGORITHMS.values()
    nested = [entry.values() if isinstance(entry, dict) else [entry] for entry in entries]
    return list(dict.fromkeys(cls for classes in nested for cls in classes))


def test_algorithms_say_where_they_come_from_and_in_which_order_they_update():
    for cls in registered_algorithms():
        module = sys.modules[cls.__module__]
        path = Path(inspect.getfile(cls))
        origin = inspect.getdoc(module) or ""
        assert re.search(r"arXiv|(19|20)\d\d", origin), (
            f"{relative(path)}: the docstring of the module must name the paper: authors, "
            "year, arXiv number where there is one."
        )
        assert "Update order" in (cls.__doc__ or ""), (
            f"{cls.__name__}: its docstring must have a paragraph 'Update order'."
        )
        symbols = {field.name for field in fields(cls)} & SYMBOLS
        assert not symbols, (
            f"{cls.__name__}: name the role, the symbol goes in the comment: {symbols}."
        )
        lines = len(path.read_text().splitlines())
        assert lines <= LONGEST_ALGORITHM, (
            f"{relative(path)} has {lines} lines, over {LONGEST_ALGORITHM}: what others "
            "need too belongs in losses, networks or policies."
        )
