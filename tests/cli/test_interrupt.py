"""Ctrl-C: exit code 130, what was trained is kept, and `resume` goes on from there."""

import json
import shlex
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = [sys.executable, "-c", "from stitchrl.cli import main; main()"]


def started(words: list) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("seconds", [0.0, 1.0, 4.0])
def test_an_interrupt_ends_the_program_wherever_it_is(log, tmp_path, seconds):
    words = ["run", log, "--algorithms", "bc", "--updates", "50000", "--out", tmp_path]
    run = started(words)
    try:
        assert run.stderr is not None and "Checking" in run.stderr.readline()
        time.sleep(seconds)
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130, stderr
    assert "Interrupted" in stderr and "Traceback" not in stderr
    assert stdout == ""


def test_an_interrupted_run_can_be_resumed(log, tmp_path):
    out = tmp_path / "run"
    words = ["run", log, "--algorithms", "bc,filtered_bc", "--seeds", "1", "--threads", "1"]
    words += ["-o", "all.hidden=8", "--updates", "20000", "--out", out]
    run = started(words)
    try:
        saved = out / "members" / "000" / "checkpoint"
        deadline = time.monotonic() + 120
        while (
            not (saved.is_dir() and any(saved.glob("0*"))) and time.monotonic() < deadline
        ):
            assert run.poll() is None, run.communicate()
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=120)
    finally:
        run.kill()
    assert run.returncode == 130, stderr
    assert f"go on from there with: stitchrl resume {out}" in stderr
    assert stdout == "" and "Traceback" not in stderr
    assert not (out / "report.json").exists()
    kept = (out / "members" / "000" / "metrics.jsonl").read_bytes()

    resumed = subprocess.run(
        [*PROGRAM, "resume", str(out), "--json"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["report"] == f"{out}/report.html"
    assert (out / "members" / "000" / "metrics.jsonl").read_bytes().startswith(kept)
    plan = json.loads((out / "plan.json").read_text())
    assert plan["machine"]["threads"] == 1
    report = json.loads((out / "report.json").read_text())
    lines = [command["line"] for command in report["reproduce"]["commands"]]
    assert lines[0] == shlex.join(["stitchrl", *map(str, words)])
