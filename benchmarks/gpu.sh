#!/bin/sh
# What is measured on an accelerator, in under nine minutes: writes results/gpu.json.
# Usage: benchmarks/gpu.sh [OPTIONS of gpu.py]     PYTHON: one whose jax sees the device.
set -eu
cd "$(dirname "$0")/.."
PYTHONPATH="src:benchmarks${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
exec "${PYTHON:-python3}" benchmarks/gpu.py "$@"
