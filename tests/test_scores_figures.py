"""The committed figures of our own scores show the committed scores."""

import json

import numpy as np
import pytest
import repository

bench = repository.bench("scores_figures")


def test_figures_are_up_to_date():
    made = bench.drawings()
    kept = {path.stem: path for path in bench.FIGURES.glob("scores-*.svg")}
    assert kept.keys() == made.keys()
    for name, svg in made.items():
        assert kept[name].read_text() == svg, (
            f"benchmarks/figures/{name}.svg is not what benchmarks/results says: run "
            "`python benchmarks/scores_figures.py`, and look at it."
        )


def test_only_who_ran_everywhere_is_compared():
    """CRR ran on the replay log only, CQL on the other two, AWAC in mazes."""
    hopper, both = bench.compared(bench.HOPPER), bench.compared(bench.MAZES + bench.HOPPER)
    assert {"IQL", "AWR"} <= hopper.keys() and not {"CRR", "CQL"} & hopper.keys()
    assert both.keys() == hopper.keys() - {"AWR"}
    assert {scores.shape for scores in both.values()} == {(3, 5)}
    np.testing.assert_array_equal(both["IQL"][:, 2:], hopper["IQL"])


def test_scores_are_those_of_the_last_policy():
    path = bench.RESULTS / "scores" / "hopper-medium-zoo-v0,iql,1.json"
    found = bench.compared(bench.HOPPER)["IQL"]
    assert found[1, 1] == json.loads(path.read_text())["scores"][-1]


def test_cells_that_are_not_those_of_the_table_are_refused(monkeypatch):
    rows = [row | {"value": row["value"] + 1} for row in bench.results()["rows"]]
    other = bench.results() | {"rows": rows}
    monkeypatch.setattr(bench, "results", lambda: other)
    with pytest.raises(ValueError, match="ARGS=--table"):
        bench.compared(bench.HOPPER)
