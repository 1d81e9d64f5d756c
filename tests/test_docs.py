"""Documentation that cannot go stale: what it shows runs, what it names exists."""

import ast
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import mktestdocs
import pytest
import typer.main
from repository import ROOT, SOURCES, relative

import stitchrl

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def public_definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [
        node
        for node in tree.body
        if isinstance(node, kinds) and not node.name.startswith("_")
    ]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_public_names_have_docstrings(path: Path):
    tree = ast.parse(path.read_text())
    silent = [node.name for node in public_definitions(tree) if not ast.get_docstring(node)]
    if tree.body and not ast.get_docstring(tree):
        silent.insert(0, "the module itself")
    assert not silent, f"{relative(path)}: one sentence is missing for {silent}."


def test_exported_names_exist_and_are_documented():
    if not hasattr(stitchrl, "__all__"):
        pytest.skip("stitchrl hands out no names yet")
    for name in stitchrl.__all__:
        value = getattr(stitchrl, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert value.__doc__, f"stitchrl.{name} has no docstring."
    assert list(stitchrl.__all__) == sorted(set(stitchrl.__all__))


def test_what_docs_say_of_algorithms_is_what_the_registry_says():
    program = [sys.executable, str(ROOT / "docs" / "build.py"), "--check"]
    result = subprocess.run(program, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def blocks(path: Path, languages: str) -> list[str]:
    pattern = rf"^```(?:{languages})\n(.*?)^```"
    return re.findall(pattern, path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_python_in_docs_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    mktestdocs.check_md_file(path, memory=True)


def commands(path: Path) -> list[list[str]]:
    """Command lines in the page's shell blocks, split into words."""
    found = []
    for block in blocks(path, "bash|console|sh|shell"):
        is_session = bool(re.search(r"^\$ ", block, re.MULTILINE))
        for line in block.replace("\\\n", " ").splitlines():
            if is_session and not line.startswith("$ "):
                continue  # What the command answered.
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                found.append(words)
    return found


def makefile_targets() -> set[str]:
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    rules = [line.split(":")[0] for line in lines if re.match(r"[a-z][\w -]*:(?!=)", line)]
    return {target for rule in rules for target in rule.split()}


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_commands_in_docs_exist(path: Path):
    cli = pytest.importorskip("stitchrl.cli")
    verbs = typer.main.get_command(cli.app).commands
    for words in commands(path):
        program = Path(words[0]).name
        line = " ".join(words)
        if program == "make":
            targets = {word for word in words[1:] if "=" not in word and word[0] != "-"}
            unknown = targets - makefile_targets()
            assert not unknown, f"{relative(path)}: '{line}': no such target: {unknown}."
        elif program == "stitchrl":
            assert words[1] in verbs, f"{relative(path)}: '{line}': no such verb."
            options = {
                option
                for parameter in verbs[words[1]].params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
            shown = {word.split("=")[0] for word in words[2:] if word.startswith("-")}
            unknown = shown - options - {"--help"}
            assert not unknown, f"{relative(path)}: '{line}': no such option: {unknown}."


def slug(heading: str) -> str:
    """The anchor that a heading gets on the usual hosts."""
    return re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {slug(h) for h in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_links_inside_the_repository_lead_somewhere(path: Path):
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), f"{relative(path)} links to {target}, which does not exist."
        if anchor:
            assert anchor in anchors(found), f"{relative(path)}: no heading '#{anchor}'."


def test_changelog_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    for version in versions[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version), version
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
