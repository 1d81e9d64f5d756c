"""The direction of imports, as docs/architecture.md draws it."""

import re
from pathlib import Path

import pytest
from repository import (
    MODULES,
    ROOT,
    SOURCES,
    imports,
    is_at_or_below,
    module_name,
    own_imports,
    part,
    relative,
)


def read_layers() -> list[set[str]]:
    """The lowest first, from the fenced block `layers` of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = re.search(r"^```layers\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block, "docs/architecture.md has lost its block of layers (```layers)."
    return [set(re.findall(r"\w+", line)) for line in block[1].splitlines()]


LAYERS = read_layers()
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}


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
    "sources": (
        {"dataset", "validation", "findings", "spaces", "artifacts"},
        {"jax", "optax"},
    ),
    "rollout": ({"policies", "spaces", "tree", "types"}, set()),
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
