"""The committed figure and table of speed show what was measured."""

import repository

bench = repository.bench("figures_speed")
REMEDY = "run `python benchmarks/figures_speed.py`, and look at it."


def test_the_figure_is_up_to_date():
    assert bench.FIGURE.read_text() == bench.drawing(), REMEDY


def test_the_readmes_table_is_up_to_date():
    text = bench.README.read_text()
    assert bench.BEGIN in text and bench.readme(text) == text, REMEDY


def test_the_limit_is_products_over_the_operations_of_an_update():
    figures = bench.rows()
    share = figures["iql_population_share_of_sgemm"]
    found = bench.rate("iql", bench.WAYS[-1]).value / bench.limit("iql")
    assert share["low"] * 0.8 < found < share["high"] * 1.2
    assert bench.limit("rebrac") is None
