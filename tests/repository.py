"""The files of this repository, for the tests that read them."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "stitchrl"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PYTHON = SOURCES + sorted(
    path
    for place in ("tests", "examples", "benchmarks")
    for path in (ROOT / place).rglob("*.py")
)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    """`stitchrl.ope.base` of src/stitchrl/ope/base.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part(module: str) -> str:
    """`ope` of `stitchrl.ope.base`: what layers are made of."""
    return module.split(".")[1] if "." in module else ""


def bench(name: str) -> ModuleType:
    """A program of `benchmarks`, which is no package."""
    place = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULES = {module_name(path): path for path in SOURCES}
TREES = {path: ast.parse(path.read_text(), relative(path)) for path in PYTHON}


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
