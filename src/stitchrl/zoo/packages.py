"""Packages that make data: found only when needed, and pinned, for simulators differ."""

import contextlib
import functools
import importlib
import importlib.metadata
import io
import platform
from collections.abc import Iterable
from types import ModuleType

# As in the extra `zoo` of pyproject.toml; tests/zoo/test_packages.py compares them.
PINNED = {
    "gymnasium": "1.4.0",
    "gymnasium-robotics": "1.4.2",
    "mujoco": "4.0.0",
    "ogbench": "1.2.2",
}
REMEDY = "Install them with: pip install 'stitchrl[zoo]'"


@functools.cache
def found_version(package: str) -> str | None:
    """The installed version of a package of a registry, if there is one."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing(packages: Iterable[str]) -> tuple[str, ...]:
    """Those that are not installed."""
    return tuple(name for name in packages if found_version(name) is None)


def require(packages: Iterable[str], purpose: str) -> None:
    """Raise `RuntimeError` naming what is missing for `purpose` and how to install it."""
    absent = missing(packages)
    if absent:
        named = ", ".join(f"{name} {PINNED[name]}" for name in absent)
        raise RuntimeError(f"{purpose} needs {named}, not installed here. {REMEDY}")


def module(name: str) -> ModuleType:
    """An imported module of one of these packages. Call `require` first.

    Notices that they print at import, about environments not used here, are not shown.
    """
    with contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module(name)


def described(packages: Iterable[str]) -> str:
    """What was found where another was wanted, and the machine, in words."""
    wanted = [
        f"{name} {found_version(name) or 'missing'} (wanted {PINNED[name]})"
        for name in packages
    ]
    machine = f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}"
    return "; ".join([*wanted, f"numpy {found_version('numpy')}", machine.strip(", ")])
