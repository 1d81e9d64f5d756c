"""Numbers as people read them. A gap in the data is an en dash, never an empty cell."""

import re
from collections.abc import Iterable
from math import ceil, floor, isinf, log10
from textwrap import wrap

from stitchrl.report.numbers import Estimate
from stitchrl.report.schema import Report

MISSING = "–"
MINUS = "\N{MINUS SIGN}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def count(number: float | int | None) -> str:
    """12,345; powers of ten above a hundred million."""
    if number is None:
        return MISSING
    if isinf(number):
        return "∞"
    if abs(number) >= 1e8:
        return f"10^{log10(abs(number)):.0f}"
    return f"{number:,.0f}"


def percent(share: float | int | None, digits: int = 0) -> str:
    """31 %; "< 1 %" rather than a misleading 0 %."""
    if share is None:
        return MISSING
    if isinf(share):
        return "∞"
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest:
        return f"<{NARROW_SPACE}{smallest:g}{NARROW_SPACE}%"
    return f"{100 * share:.{digits}f}{NARROW_SPACE}%"


def number(value: float | int | None) -> str:
    """Any number in about three significant digits."""
    if value is None:
        return MISSING
    if isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value == 0 or float(value).is_integer():
        return _signed(f"{value:,.0f}") if abs(value) < 1e8 else count(value)
    if abs(value) >= 1e8 or abs(value) < 1e-6:
        return _signed(f"{value:.1e}")
    decimals = max(0, 2 - floor(log10(abs(value))))
    text = f"{value:,.{min(decimals, 6)}f}"
    return _signed(text.rstrip("0").rstrip(".") if decimals else text)


def fixed(value: float, decimals: int) -> str:
    """With so many decimals: numbers in one column."""
    return _signed(f"{value:,.{decimals}f}")


def seconds(duration: float | int | None) -> str:
    """3.2 s, 71 s, 12 min, 3.5 h."""
    if duration is None:
        return MISSING
    if duration < 10:
        return f"{duration:.1f}{NARROW_SPACE}s"
    if duration < 180:
        return f"{duration:.0f}{NARROW_SPACE}s"
    if duration < 7_200:
        return f"{duration / 60:.0f}{NARROW_SPACE}min"
    return f"{duration / 3_600:.1f}{NARROW_SPACE}h"


def shorten(text: str, length: int) -> str:
    """One line of at most `length` characters, with an ellipsis where something is cut."""
    line = re.sub(r"[ \t\r\n]+", " ", text).strip()  # Narrow spaces stay.
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def in_two_lines(text: str, length: int) -> list[str]:
    """Broken between words where it is longer; what two lines cannot hold is cut."""
    lines = wrap(text, length)
    if len(lines) <= 2:
        return [shorten(line, length) for line in lines]
    return [shorten(lines[0], length), shorten(" ".join(lines[1:]), length)]


def bits(distance: float | int | None, digits: int = 1) -> str:
    """A distance in bits, one decimal."""
    if distance is None:
        return MISSING
    return "∞" if isinf(distance) else f"{distance:.{digits}f}"


def level(share: float) -> str:
    """Of an interval: 99 %, 98.75 %."""
    digits = f"{100 * share:.2f}".rstrip("0").rstrip(".")
    return f"{digits}{NARROW_SPACE}%"


def common_level(estimates: Iterable[Estimate | None]) -> str:
    """The level that all intervals share; empty if they differ or there is none."""
    found = {
        level(estimate.level)
        for estimate in estimates
        if estimate is not None and estimate.low is not None
    }
    return found.pop() if len(found) == 1 else ""


def about(size: float | int) -> str:
    """A size rounded up to two significant digits: about 12,000."""
    if isinf(size) or size >= 1e8:
        return count(size)
    step = 10.0 ** max(floor(log10(max(size, 1))) - 1, 0)
    return f"{ceil(size / step) * step:,.0f}"


def prose(text: str) -> str:
    """A sentence whose percent signs stay with their numbers."""
    return text.replace(" %", f"{NARROW_SPACE}%")


class Values:
    """Values of policies, all with as many decimals as their intervals deserve."""

    def __init__(self, report: Report):
        self.decimals = _decimals(report)

    def value(self, value: float | None) -> str:
        """0.782"""
        if value is None:
            return MISSING
        return _signed(f"{value:,.{self._kept(value)}f}")

    def gain(self, value: float | None) -> str:
        """+0.016: the sign is always there."""
        if value is None:
            return MISSING
        return _signed(f"{value:+,.{self._kept(value)}f}")

    def _kept(self, value: float) -> int:
        """No decimals of numbers so far beyond the others that nobody reads them."""
        return self.decimals if abs(value) < 1000 else 0

    def whole(self, estimate: Estimate, *, with_level: bool = True) -> str:
        """0.782 (0.771 to 0.796, 99 %)"""
        if estimate.low is None or estimate.high is None:
            return self.value(estimate.value)
        ends = f"{self.value(estimate.low)} to {self.value(estimate.high)}"
        own = f", {level(estimate.level)}" if with_level else ""
        return f"{self.value(estimate.value)} ({ends}{own})"

    def interval(self, estimate: Estimate | None) -> str:
        """0.771 to 0.796 (99 %)"""
        if estimate is None or estimate.low is None or estimate.high is None:
            return MISSING
        ends = f"{self.value(estimate.low)} to {self.value(estimate.high)}"
        return f"{ends} ({level(estimate.level)})"

    def gain_interval(self, estimate: Estimate | None) -> str:
        """−0.004 to +0.031 (98 %)"""
        if estimate is None or estimate.low is None or estimate.high is None:
            return MISSING
        ends = f"{self.gain(estimate.low)} to {self.gain(estimate.high)}"
        return f"{ends} ({level(estimate.level)})"


def _signed(text: str) -> str:
    """A true minus sign, and none before a zero."""
    if text.startswith(("-", "+")) and not text.strip("+-0.,"):
        text = text[1:]
    return text.replace("-", MINUS)


def _decimals(report: Report) -> int:
    """Enough to show a hundredth of the narrowest interval's order of magnitude."""
    decide, known = report.decide, []
    if decide.estimates:
        known = [
            decide.estimates.behavior,
            *(row.estimate for row in decide.estimates.rows),
        ]
    known += [verdict.estimate for verdict in decide.verdicts if verdict.estimate]
    widths = [
        estimate.high - estimate.low
        for estimate in known
        if estimate.low is not None and estimate.high is not None
    ]
    widths = [width for width in widths if width > 0]
    if widths:
        return min(max(2 - ceil(log10(min(widths))), 0), 6)
    sizes = [abs(estimate.value) for estimate in known if estimate.value != 0]
    return min(max(2 - floor(log10(max(sizes))), 0), 6) if sizes else 3
