"""JAX starts with the devices that a verb asked for, and only when it is needed."""

import json
import os
import subprocess
import sys

import pytest

from stitchrl import devices
from stitchrl.cli import machine
from stitchrl.cli.options import PrecisionName
from stitchrl.devices import DEVICE_COUNT, thread_count

DEVICES = """
import json
from stitchrl.cli import machine
machine.prepare({threads})
from stitchrl.cli import forecast, planning, summary, working
import stitchrl.bundle, stitchrl.job.decisions, stitchrl.job.stages
import jax
print(json.dumps([len(jax.devices("cpu")), len(__import__("os").sched_getaffinity(0))]))
"""
LOADED = """
import json, sys
import stitchrl, stitchrl.cli
loaded = "jax" in sys.modules
stitchrl.IQL
print(json.dumps([loaded, "jax" in sys.modules]))
"""


def printed(program: str, **environment: str):
    """What a new process prints, as JSON."""
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_importing_does_not_load_jax():
    assert printed(LOADED) == [False, True]


def test_the_package_runs_as_a_module():
    words = [sys.executable, "-m", "stitchrl", "zoo", "list", "--json"]
    found = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0 and "icu-sepsis" in found.stdout, found.stderr


def test_each_cpu_becomes_a_device_whatever_else_is_imported():
    count = thread_count()
    assert printed(DEVICES.format(threads=None), XLA_FLAGS="") == [count, count]
    assert printed(DEVICES.format(threads=1), XLA_FLAGS="") == [1, 1]


def test_what_the_user_said_in_xla_flags_stays():
    flags = f"{DEVICE_COUNT}=3"
    assert printed(DEVICES.format(threads=None), XLA_FLAGS=flags)[0] == 3


def test_where_jax_runs_already_it_stays_as_it_is():
    machine.prepare()
    machine.prepare(thread_count())
    with pytest.raises(RuntimeError, match="JAX has already started"):
        machine.prepare(thread_count() + 1)


PRECISION = """
import json
from stitchrl.cli import machine
machine.prepare(None, {precision})
import jax
print(json.dumps(jax.config.jax_default_matmul_precision))
"""


@pytest.mark.parametrize(
    ("precision", "said", "used"),
    [
        (None, "", "float32"),
        (None, "bfloat16", "bfloat16"),
        (None, "highest", "highest"),
        ("tensorfloat32",) * 3,
    ],
)
def test_products_take_in_float32_unless_told(precision, said, used):
    program = PRECISION.format(precision=repr(precision))
    assert printed(program, XLA_FLAGS="", JAX_DEFAULT_MATMUL_PRECISION=said) == used


def test_every_precision_can_be_named():
    assert [*PrecisionName] == [*devices.PRECISIONS]
