"""What a run computes on. JAX reads its settings once, so most of this needs a process."""

import os
import subprocess
import sys
import textwrap

import jax
import pytest

from stitchrl import devices

COUNT = "--xla_force_host_platform_device_count"
SCHEDULER = "--xla_cpu_enable_concurrency_optimized_scheduler"
ONE_THREAD = f"--xla_cpu_multi_thread_eigen=false {SCHEDULER}=false"


def in_new_process(code: str, flags: str = "") -> str:
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_sets_threads_and_devices_before_jax_starts_and_keeps_the_users_flags():
    said = in_new_process(
        """
        import sys
        from stitchrl import devices
        devices.prepare(threads=1, host_devices=3)
        import os, jax
        print(os.environ["XLA_FLAGS"])
        print(len(jax.devices()), len(os.sched_getaffinity(0)))
        devices.prepare(threads=1, host_devices=3)  # The same again is fine.
        try:
            devices.prepare(host_devices=2)
        except RuntimeError as error:
            print(error)
        facts = devices.describe()
        print(facts["threads"], facts["device_count"], facts["platform"])
        """,
        flags="--xla_cpu_enable_fast_math=false",
    ).splitlines()
    assert said[0] == (f"--xla_cpu_enable_fast_math=false {COUNT}=3 {ONE_THREAD}")
    assert said[1] == "3 1"
    assert said[2].startswith("host_devices = 2, but JAX has already started with 3")
    assert "stitchrl.devices.prepare before anything else uses JAX" in said[2]
    assert said[3] == "1 3 cpu"


def test_importing_does_not_import_jax():
    code = "import importlib.util, sys; assert 'jax' not in sys.modules\n"
    path = devices.__file__
    code += f"spec = importlib.util.spec_from_file_location('devices', {path!r})\n"
    code += "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
    assert in_new_process(code + "print('jax' in sys.modules)") == "False"


@pytest.fixture
def jax_not_started(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "has_started", lambda: False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5, 7}, raising=False)
    taken: list[list[int]] = []

    def take(_, cpus):
        taken.append(cpus)

    monkeypatch.setattr(os, "sched_setaffinity", take, raising=False)
    return taken


def test_one_device_changes_no_flag(monkeypatch: pytest.MonkeyPatch, jax_not_started):
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    devices.prepare(host_devices=1)
    assert os.environ["XLA_FLAGS"] == "--xla_a=1"


def test_a_flag_of_the_user_counts_and_a_contradiction_is_refused(
    monkeypatch: pytest.MonkeyPatch, jax_not_started
):
    monkeypatch.setenv("XLA_FLAGS", f"{COUNT}=4")
    devices.prepare(host_devices=4)
    assert os.environ["XLA_FLAGS"] == f"{COUNT}=4"
    with pytest.raises(ValueError, match=f"host_devices = 2, but XLA_FLAGS says {COUNT}=4"):
        devices.prepare(host_devices=2)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=true")
    devices.prepare(host_devices=2)
    assert os.environ["XLA_FLAGS"] == (
        f"--xla_cpu_multi_thread_eigen=true {COUNT}=2 {SCHEDULER}=false"
    )


def test_threads_are_some_of_the_allowed_cpus(
    monkeypatch: pytest.MonkeyPatch, jax_not_started
):
    for process in (30, 31, 32):  # They run side by side, not all on the same two.
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        devices.prepare(threads=2)
    assert jax_not_started == [[2, 5], [5, 7], [7, 2]]
    devices.prepare(threads=3)
    assert len(jax_not_started) == 3  # All three: nothing to change.
    with pytest.raises(ValueError, match="threads = 4, but this process may use 3 CPUs"):
        devices.prepare(threads=4)
    with pytest.raises(ValueError, match="host_devices must be 1 or more, but is 0"):
        devices.prepare(host_devices=0)


def test_describes_versions_and_names_each_difference():
    facts = devices.describe()
    assert facts["versions"]["python"] == sys.version.split()[0]
    assert set(facts["versions"]) >= {"stitchrl", "jax", "jaxlib", "numpy"}
    assert devices.differences(facts, devices.describe()) == []
    versions = facts["versions"] | {"jax": "0.1"}
    recorded = facts | {"threads": 99, "versions": versions}
    del recorded["system"]
    assert devices.differences(recorded, facts) == [
        f"threads was 99 and is {facts['threads']} now.",
        f"versions of jax was '0.1' and is '{facts['versions']['jax']}' now.",
        f"system was 'not recorded' and is '{facts['system']}' now.",
    ]


def test_cpus_have_but_one_precision_recorded_or_not():
    now = {"platform": "cpu", "precision": "float32"}
    assert devices.differences({"platform": "cpu"}, now) == []
    on_gpu = {"platform": "gpu"}
    assert (
        "not recorded" in devices.differences(on_gpu, on_gpu | {"precision": "float32"})[0]
    )


def test_a_precision_is_said_to_jax_and_an_unknown_one_refused(
    monkeypatch: pytest.MonkeyPatch, jax_not_started
):
    before = devices.precision()
    monkeypatch.setenv(devices.PRECISION, "float32")
    devices.prepare(precision="bfloat16")
    assert devices.precision() == os.environ[devices.PRECISION] == "bfloat16"
    with pytest.raises(ValueError, match="precision must be one of float32, .* 'half'"):
        devices.prepare(precision="half")
    assert devices.precision() == "bfloat16"
    jax.config.update(devices.PRECISION.lower(), before)
    assert devices.describe()["precision"] == "float32"  # CPUs have no other.
