"""From the raw windows of `speed.py` to figures.

A rate is the median of all windows, with the slowest and the fastest. A ratio is taken in
each round, of the medians of that round; then the median of the rounds, with the extremes.
A share of the limit is of the fastest windows of both, which nobody else disturbed.
"""

from statistics import median
from typing import Any

from record import row
from speed_task import ALGORITHMS, FLOP, MEMBERS, MORE_MEMBERS, ROUNDS

Results = dict[str, list[dict[str, Any]]]  # Of each part, what each round measured.


def rows_of(results: Results) -> list[dict[str, Any]]:
    """All figures, the headlines first."""
    limit = sgemm_limit(results)
    figures = []
    for name in ALGORITHMS:
        peer, single = rates(results, f"{name}_d3rlpy"), rates(results, f"{name}_stitchrl")
        population = rates(results, population_of(name))
        eager = rates(results, f"{name}_torch")
        figures += [
            spread(f"{name}_single_over_d3rlpy", over(single, peer), "ratio"),
            spread(f"{name}_population_over_d3rlpy", over(population, peer), "ratio"),
            spread(f"{name}_single_over_torch", over(single, eager), "ratio"),
            spread(f"{name}_population_over_torch", over(population, eager), "ratio"),
            spread(f"{name}_population_over_single", over(population, single), "ratio"),
        ]
        if name in FLOP:
            most = max(limit) * 1e9 / FLOP[name]()  # Updates/s.
            shares = [one / most for one in windows(results, population_of(name))]
            figures.append(
                row(f"{name}_population_share_of_sgemm", max(shares), unit="share",
                    n=len(shares), low=min(shares), high=max(shares))
            )  # fmt: skip
    more = over(
        rates(results, population_of("iql", MORE_MEMBERS)), rates(results, "iql_d3rlpy")
    )
    figures += [
        spread(f"iql_population_of_{MORE_MEMBERS}_over_d3rlpy", more, "ratio"),
        spread("sgemm", limit, "GFLOP/s"),
        spread("sgemm_one_core", sgemm_limit(results, "_one"), "GFLOP/s"),
        row("population_members", MEMBERS, unit="runs", n=1, low=MEMBERS, high=MEMBERS),
    ]
    for name, flop in FLOP.items():
        gflop = flop() / 1e9
        figures.append(
            row(f"{name}_gflop_per_update", gflop, unit="GFLOP", n=1, low=gflop, high=gflop)
        )
    for part, rounds in results.items():
        if part.startswith("sgemm"):
            figures.append(spread(part, [each["best"] for each in rounds], "GFLOP/s"))
        else:
            figures.append(spread(f"{part}_rate", windows(results, part), "updates/s"))
            peak = [each["peak_bytes"] / 2**20 for each in rounds]
            figures.append(spread(f"{part}_peak_memory", peak, "MiB"))
            if part.endswith("stitchrl"):
                for way in ("compile", "cached"):
                    seconds = [each[f"{way}_seconds"] for each in rounds]
                    figures.append(spread(f"{part}_{way}", seconds, "s"))
    busy = [each["busy"] for rounds in results.values() for each in rounds]
    figures.append(spread("busy_with_others", busy, "share of CPUs"))
    return figures


def population_of(name: str, members: int = MEMBERS) -> str:
    """The part that measures a population of ours."""
    return f"{name}_population_{members}_stitchrl"


def spread(figure: str, values: list[float], unit: str) -> dict[str, Any]:
    """The median of the values, with the lowest and the highest."""
    ends = {"low": min(values), "high": max(values)}
    return row(figure, median(values), unit=unit, n=len(values), **ends)


def rates(results: Results, part: str) -> list[float]:
    """Updates per second of each round: the median of its windows."""
    return [median(each["rates"]) for each in results[part]]


def windows(results: Results, part: str) -> list[float]:
    """Updates per second of all windows of all rounds."""
    return [rate for each in results[part] for rate in each["rates"]]


def over(values: list[float], others: list[float]) -> list[float]:
    return [value / other for value, other in zip(values, others)]


def sgemm_limit(results: Results, end: str = "") -> list[float]:
    """GFLOP/s of each round: the best window of the fastest library and way."""
    found = [
        rounds
        for part, rounds in results.items()
        if part.startswith("sgemm_") and part.endswith(end)
    ]
    return [max(rounds[number]["best"] for rounds in found) for number in range(ROUNDS)]


def fastest_sgemm(results: Results) -> str:
    """The part that reached most, in words."""
    parts = [part for part in results if part.startswith("sgemm")]
    best = max(parts, key=lambda part: max(each["best"] for each in results[part]))
    return best.removeprefix("sgemm_").replace("_", " ")
