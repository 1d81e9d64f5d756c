"""The conformance suite: what must hold for every algorithm, ours or yours.

    from stitchrl.testing import check_algorithm

    check_algorithm(MyAlgorithm(hidden=(8, 8), batch_size=16))

Give it tiny networks: what is checked does not depend on their size, the time does.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from stitchrl.testing.checks import CHECKS, MASKED_CHECKS
from stitchrl.testing.subject import KINDS, Subject, small_log

__all__ = ["KINDS", "Check", "check_algorithm", "checks_of", "small_log"]


class Check(NamedTuple):
    """One thing that must hold; calling `run` raises `AssertionError` if it does not."""

    name: str
    run: Callable[[], None]


def checks_of(algorithm: Any, *, kinds: Sequence[str] | None = None) -> list[Check]:
    """Every check of `algorithm`, to be run one by one; they share compiled programs.

    `kinds` are names in `KINDS`; without them, all logs whose actions it can use.
    """
    if kinds is None:
        fitting = getattr(algorithm, "actions", ())
        kinds = [kind for kind, action in KINDS.items() if action in fitting]
        assert kinds, (
            f"{type(algorithm).__name__} must say which actions it can use: a class "
            "variable `actions`, a tuple of `Continuous`, `Discrete` or both."
        )

    def named(check: Callable[[Subject], None], subject: Subject) -> Check:
        name = f"{subject.kind}: {check.__name__.replace('_', ' ')}"
        return Check(name, lambda: check(subject))

    return [
        named(check, subject)
        for subject in [Subject(algorithm, kind) for kind in kinds]
        for check in (MASKED_CHECKS if subject.kind == "masked" else CHECKS)
    ]


def check_algorithm(algorithm: Any, *, kinds: Sequence[str] | None = None) -> list[str]:
    """Run the whole suite on `algorithm`; returns the names of what was checked.

    `kinds` as for `checks_of`. Raises `AssertionError`, with a sentence, at the first thing
    that does not hold.
    """
    checks = checks_of(algorithm, kinds=kinds)
    for check in checks:
        check.run()
    return [check.name for check in checks]
