"""From the raw windows of `speed.py` to figures.

A rate is the median of all windows, with the slowest and the fastest. A ratio is taken in
each round, of the medians of that round; then the median of the rounds, with the extremes.
"""

from statistics import median
from typing import Any

from record import row
from speed_task import MEMBERS, ROUNDS, iql_flop

ALGORITHMS = ("iql", "bc", "td3_bc", "cql")
POPULATION = "iql_population_stitchrl"
Results = dict[str, list[dict[str, Any]]]  # Of each part, what each round measured.


def rows_of(results: Results) -> list[dict[str, Any]]:
    """All figures, the headlines first."""
    gflop = iql_flop() / 1e9
    population, peer = rates(results, POPULATION), rates(results, "iql_d3rlpy")
    used = [gflop * rate for rate in population]  # GFLOP/s
    limit, as_shipped = sgemm_limit(results), sgemm_limit(results, "sgemm_numpy_")
    one_core = sgemm_limit(results, "sgemm_", "_one")
    single = rates(results, "iql_stitchrl")
    figures = [
        spread("iql_single_over_d3rlpy", over(single, peer), "ratio"),
        spread("iql_population_over_d3rlpy", over(population, peer), "ratio"),
        spread("iql_population_over_single", over(population, single), "ratio"),
        spread("iql_population_share_of_sgemm", over(used, limit), "share"),
        spread("iql_population_share_of_numpy_sgemm", over(used, as_shipped), "share"),
    ]
    for name in ALGORITHMS[1:]:
        ratio = over(rates(results, f"{name}_stitchrl"), rates(results, f"{name}_d3rlpy"))
        figures.append(spread(f"{name}_over_d3rlpy", ratio, "ratio"))
    figures += [
        spread("sgemm", limit, "GFLOP/s"),
        spread("sgemm_one_core", one_core, "GFLOP/s"),
        row("iql_gflop_per_update", gflop, unit="GFLOP", n=1, low=gflop, high=gflop),
        row("population_members", MEMBERS, unit="runs", n=1, low=MEMBERS, high=MEMBERS),
    ]
    for part, rounds in results.items():
        if part.startswith("sgemm"):
            figures.append(spread(part, [each["best"] for each in rounds], "GFLOP/s"))
        else:
            windows = [rate for each in rounds for rate in each["rates"]]
            figures.append(spread(f"{part}_rate", windows, "updates/s"))
    for part in ("iql_stitchrl", POPULATION):
        compiling = [each["compile_seconds"] for each in results[part]]
        figures.append(spread(f"{part}_compile", compiling, "s"))
    busy = [each["busy"] for rounds in results.values() for each in rounds]
    figures.append(spread("busy_with_others", busy, "share of CPUs"))
    return figures


def spread(figure: str, values: list[float], unit: str) -> dict[str, Any]:
    """The median of the values, with the lowest and the highest."""
    ends = {"low": min(values), "high": max(values)}
    return row(figure, median(values), unit=unit, n=len(values), **ends)


def rates(results: Results, part: str) -> list[float]:
    """Updates per second of each round: the median of its windows."""
    return [median(each["rates"]) for each in results[part]]


def over(values: list[float], others: list[float]) -> list[float]:
    return [value / other for value, other in zip(values, others)]


def sgemm_limit(results: Results, start: str = "sgemm_", end: str = "") -> list[float]:
    """GFLOP/s of each round: the best window of the fastest library and way."""
    found = [
        rounds
        for part, rounds in results.items()
        if part.startswith(start) and part.endswith(end) and not is_other(part, start)
    ]
    return [max(rounds[number]["best"] for rounds in found) for number in range(ROUNDS)]


def is_other(part: str, start: str) -> bool:
    """Whether NumPy as shipped is asked for, and this is NumPy with other kernels."""
    return start == "sgemm_numpy_" and part.startswith("sgemm_numpy_avx512")


def fastest_sgemm(results: Results) -> str:
    """The part that reached most, in words."""
    parts = [part for part in results if part.startswith("sgemm")]
    best = max(parts, key=lambda part: max(each["best"] for each in results[part]))
    return best.removeprefix("sgemm_").replace("_", " ")
