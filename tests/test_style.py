"""The rules of docs/architecture.md that a machine can hold."""

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

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "stitchrl"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PYTHON = SOURCES + sorted(
    path
    for place in ("tests", "examples", "benchmarks")
    for path in (ROOT / place).rglob("*.py")
)
SYMBOLS = {"alpha", "beta", "gamma", "tau", "lmbda", "lambda_", "eta", "rho", "sigma"}
LONGEST, LONG, LONGEST_ALGORITHM, LONGEST_EXAMPLE = 400, 300, 180, 40


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    """`stitchrl.ope.base` of src/stitchrl/ope/base.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part(module: str) -> str:
    """`ope` of `stitchrl.ope.base`: what layers are made of."""
    return module.split(".")[1] if "." in module else ""


MODULES = {module_name(path): path for path in SOURCES}
TREES = {path: ast.parse(path.read_text(), relative(path)) for path in PYTHON}


def read_layers() -> list[set[str]]:
    """The lowest first, from the fenced block `layers` of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = re.search(r"^```layers\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block, "docs/architecture.md has lost its block of layers (```layers)."
    return [set(re.findall(r"\w+", line)) for line in block[1].splitlines()]


LAYERS = read_layers()
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}


def imports(path: Path) -> Iterator[str]:
    """Every module that this file imports, anywhere in it, by its full name."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, (
                f"{relative(path)}:{node.lineno} imports relatively: write the full name, "
                "so that a reader and this test see where it comes from."
            )
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                is_name = deeper.startswith("stitchrl.") and deeper not in MODULES
                yield str(node.module) if is_name else deeper


def own_imports(path: Path) -> list[str]:
    return [name for name in imports(path) if name.split(".")[0] == "stitchrl"]


def is_at_or_below(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def test_every_module_has_a_layer():
    missing = {part(module) for module in MODULES} - HEIGHT.keys() - {""}
    assert not missing, (
        f"{sorted(missing)}: in no layer. Add each to the block of layers in "
        "docs/architecture.md, above everything it imports and below what imports it."
    )


def test_layers_name_each_part_once():
    assert sum(map(len, LAYERS)) == len(HEIGHT)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_point_down(path: Path):
    here = part(module_name(path))
    if not here:  # The package itself hands out names from everywhere.
        return
    for name in own_imports(path):
        assert name != "stitchrl", (
            f"{relative(path)} imports names from the package: import them from the module "
            "that defines them."
        )
        there = part(name)
        assert there == here or HEIGHT.get(there, 0) <= HEIGHT.get(here, 99), (
            f"{relative(path)} imports {name}, but '{there}' stands above '{here}' in "
            "docs/architecture.md. Move what both need down, or pass it as an argument."
        )


def test_no_circle_of_imports():
    graph = {
        name: set(own_imports(path)) & MODULES.keys() for name, path in MODULES.items()
    }
    graph.pop("stitchrl")
    while free := {name for name, needed in graph.items() if not needed & graph.keys()}:
        graph = {name: needed for name, needed in graph.items() if name not in free}
    assert not graph, f"These modules import each other in a circle: {sorted(graph)}."


def parts_below(limit: str) -> set[str]:
    return {name for name, height in HEIGHT.items() if height < HEIGHT[limit]}


# Part -> (parts of stitchrl it may import, modules from elsewhere it may not).
NARROWER = {
    "sources": ({"dataset", "validation", "findings", "spaces"}, {"jax", "optax"}),
    "rollout": ({"policies", "spaces", "types"}, set()),
    "algorithms": (
        parts_below("algorithms") - {"sources", "problems"},
        {"os", "argparse", "logging", "random", "numpy.random", "gymnasium", "time"},
    ),
    "report": (
        parts_below("report")
        - {"algorithms", "checkpoint", "experience", "learner", "losses", "networks"}
        - {"guard", "policies", "population", "probing", "sources", "train"},
        {"jax", "optax"},
    ),
}


@pytest.mark.parametrize("name", NARROWER)
def test_parts_that_may_import_less(name: str):
    allowed, forbidden = NARROWER[name]
    for module, path in MODULES.items():
        if part(module) != name:
            continue
        for imported in own_imports(path):
            assert part(imported) in allowed | {name}, (
                f"{relative(path)} imports {imported}; of stitchrl, '{name}' may import "
                f"only {sorted(allowed)} (docs/architecture.md, What must not be mixed)."
            )
        wrong = [found for found in imports(path) if is_at_or_below(found, forbidden)]
        assert not wrong, f"{relative(path)} imports {wrong}: not in '{name}'."


# Module from elsewhere -> the only part of stitchrl that may import it.
ONLY_IN = {
    "duckdb": "sources",
    "h5py": "sources",
    "safetensors": "artifacts",
    "torch": "none: only benchmarks",
}


def test_some_libraries_have_one_place():
    for module, path in MODULES.items():
        for imported in imports(path):
            place = ONLY_IN.get(imported.split(".")[0], part(module))
            assert part(module) == place, (
                f"{relative(path)} imports {imported}: only '{place}' may."
            )


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
