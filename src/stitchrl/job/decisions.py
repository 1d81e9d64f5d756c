"""What an exported policy would do in new rows, as a table."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from stitchrl.bundle import Bundle
from stitchrl.candidates import Candidate, drawn_actions
from stitchrl.dataset import Bounds
from stitchrl.policies import probabilities_at_rows
from stitchrl.sources import Mapping, Observations, load_observations
from stitchrl.value_iteration import TabularPolicy

AS_BEFORE = "as before"


def read_rows(bundle: Bundle, path: str | Path) -> Observations:
    """New rows as the policy reads them: as its log was read.

    Raises `DataError` naming every column that is missing.
    """
    said = bundle.reading.get("mapping")
    policy = bundle.policy
    has_features = not isinstance(policy, TabularPolicy) and policy != "uniform"
    return load_observations(
        path,
        None if said is None else Mapping.model_validate(said),
        feature_names=bundle.feature_names if has_features else (),
        states=len(policy.probabilities) if isinstance(policy, TabularPolicy) else None,
        choices=bundle.actions.sizes
        if bundle.uses_valid_actions and not isinstance(bundle.actions, Bounds)
        else None,
    )


def decide_rows(bundle: Bundle, rows: Observations, *, seed: int | None) -> pa.Table:
    """One decision for each row: row, action, probability.

    Continuous actions have a column for each amount and no probability; joint actions also
    have one for each choice. In rows that a
    mixture leaves to the present behavior, the action is "as before" (amounts are empty).
    Randomness comes from the operating system unless `seed` is given.
    """
    rng = np.random.default_rng(seed)
    defers = rng.random(rows.size) >= bundle.share
    number = pa.array(np.arange(rows.size))
    if isinstance(bundle.actions, Bounds):
        candidate = Candidate(bundle.name, "external", bundle.act_by, bundle.policy)
        drawn = drawn_actions(
            candidate, rows.observation, samples=1, seed=int(rng.integers(2**31))
        )
        amounts = bundle.actions.from_unit(drawn[:, 0].astype(np.float64))
        columns = {
            f"action.{name}": pa.array(amounts[:, index], mask=defers)
            for index, name in enumerate(bundle.actions.names)
        }
        deferring = {"as_before": pa.array(defers)} if bundle.share < 1 else {}
        return pa.table({"row": number, **columns, **deferring})
    p = _probabilities(bundle, rows)
    drawn = (p.cumsum(axis=1) < rng.random((rows.size, 1))).sum(axis=1)
    chosen = np.minimum(drawn, p.shape[1] - 1)
    labels = np.array([*bundle.actions.labels, AS_BEFORE])
    action = np.where(defers, len(labels) - 1, chosen)
    own = bundle.share * p[np.arange(rows.size), chosen]
    probability = np.where(defers, 1 - bundle.share, own)
    parts = {
        f"action.{name}": pa.array(np.array(part)[numbers], mask=defers)
        for name, part, numbers in zip(
            bundle.actions.names, bundle.actions.parts, bundle.actions.split(chosen).T
        )
    }
    columns = {"action": labels[action], **parts, "probability": probability}
    return pa.table({"row": number, **columns})


def table_to_bytes(table: pa.Table, path: str | Path) -> bytes:
    """As Parquet or CSV, by the extension of `path`. Raises `ValueError` for others."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise ValueError(f"Decisions are written as .parquet or .csv, but not as '{path}'.")
    stream = io.BytesIO()
    (pq.write_table if suffix == ".parquet" else pa_csv.write_csv)(table, stream)
    return stream.getvalue()


def _probabilities(bundle: Bundle, rows: Observations) -> np.ndarray:
    """float64 (rows, count): of each action where the policy does not defer."""
    assert not isinstance(bundle.actions, Bounds)
    count, valid = bundle.actions.count, rows.valid_actions
    if isinstance(bundle.policy, TabularPolicy):
        assert rows.state_id is not None
        return bundle.policy.probabilities[rows.state_id]
    if bundle.policy == "uniform":
        p = np.ones((rows.size, count)) if valid is None else valid.astype(np.float64)
    else:
        p = probabilities_at_rows(bundle.policy, rows.observation, valid, count)
    return p / p.sum(axis=1, keepdims=True)
