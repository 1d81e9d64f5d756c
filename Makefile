# Needs Python 3.11 or newer with pip, and nothing else: every target sets itself up.
PYTHON ?= python3
export PYTHON

.PHONY: demo test lint format lock docs bench-speed bench-demo bench-resume bench-bitflips \
	bench-coverage bench-scores bench-peer bench-notifications bench-stitching \
	bench-overestimation bench-trap bench-estimators bench-budget bench-select bench-fqe parity \
	bench-start bench-stream bench-sweep bench-readers bench-cluster bench-scores-again

demo: ## From simulated patients to a report on whether to change their treatment.
	@.ci/set-up .venv runtime
	@.venv/bin/stitchrl demo --out demo

test: ## Everything that must hold: format, lint, spelling, types, tests.
	@.ci/set-up .venv test
	@start=$$(date +%s); $(checks) && .venv/bin/python -m pytest -n auto \
		--no-loadscope-reorder $(ARGS); status=$$?; \
	echo "make test took $$(($$(date +%s) - start)) s, set-up not counted."; exit $$status

lint: ## The part of `make test` that takes seconds.
	@.ci/set-up .venv test
	@$(checks)

checks = .venv/bin/ruff format --check --quiet . && .venv/bin/ruff check --quiet . \
	&& .venv/bin/codespell && .venv/bin/basedpyright --level error

format: ## Lay out the code and mend what can be mended mechanically.
	@.ci/set-up .venv test
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

docs: ## The table and the facts of docs/algorithms, from the registry.
	@.ci/set-up .venv test
	@.venv/bin/python docs/build.py

bench-speed: ## Speed beside d3rlpy and beside what the machine can do.
	@.ci/set-up .venv-bench bench
	@.venv-bench/bin/python benchmarks/speed.py $(ARGS)

bench-scores: ## Every algorithm and its controls on logs whose truth is known; hours.
	@.ci/set-up .venv-zoo zoo
	@.venv-zoo/bin/python benchmarks/scores.py $(ARGS)

bench-scores-again: ## One further seed of some of them: has any score moved?
	@.ci/set-up .venv-zoo zoo
	@.venv-zoo/bin/python benchmarks/scores_again.py $(ARGS)

bench-select: ## Grids chosen from by the log and 100 trials; half an hour.
	@.ci/set-up .venv-zoo zoo
	@.venv-zoo/bin/python benchmarks/selection.py $(ARGS)

bench-start: ## From the shell to the first update, and what is compiled on the way.
	@.ci/set-up .venv-bench bench
	@.venv-bench/bin/python benchmarks/start.py $(ARGS)

bench-stream: ## 20 million transitions on disk beside the same in memory; 4 GB of disk.
	@.ci/set-up .venv-bench bench
	@.venv-bench/bin/python benchmarks/stream.py $(ARGS)

bench-sweep: ## 32 configurations as one command beside d3rlpy's runs one by one.
	@.ci/set-up .venv-bench bench
	@.venv-bench/bin/python benchmarks/sweep.py $(ARGS)

bench-readers: ## How fast logs are read on one core, and in how much memory.
	@.ci/set-up .venv-bench bench
	@.venv-bench/bin/python benchmarks/readers.py $(ARGS)

bench-fqe: ## FQE by networks of 32 policies beside d3rlpy.
	@.ci/set-up .venv-bench bench
	@.venv-bench/bin/python benchmarks/fqe_speed.py

bench-peer: ## The scores of d3rlpy on two of these logs; hours.
	@.ci/set-up .venv-zoo zoo
	@.ci/set-up .venv-bench bench
	@.venv-zoo/bin/python benchmarks/peer.py $(ARGS)

parity: ## What other packages for evaluation say, which tests must equal; ARGS=--check.
	@.ci/set-up .venv-parity parity
	@.venv-parity/bin/python -P benchmarks/parity_peers.py $(ARGS)

bench-demo bench-resume bench-bitflips bench-coverage bench-notifications \
bench-stitching bench-overestimation bench-trap bench-estimators \
bench-budget: bench-%: ## Longer proofs.
	@.ci/set-up .venv runtime
	@.venv/bin/python benchmarks/$*.py $(ARGS)

bench-cluster: ## A node of a Ray cluster is killed in mid-sweep, five times.
	@.ci/set-up .venv test
	@.venv/bin/python benchmarks/cluster.py $(ARGS)

# `make lock ARGS=--upgrade` moves to the newest versions allowed, else only what the .in
# files demand changes.
lock: ## Write requirements/*.txt from requirements/*.in.
	@$(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	@$(compile) requirements/runtime.in --output-file requirements/runtime.txt $(ARGS)
	@$(compile) requirements/test.in --output-file requirements/test.txt $(ARGS) \
		--constraints requirements/runtime.txt
	@$(compile) requirements/zoo.in --output-file requirements/zoo.txt $(ARGS) \
		--constraints requirements/runtime.txt
	@echo "torch ; sys_platform == 'nowhere'" > .venv-lock/without-torch.in
	@$(compile) requirements/bench.in --output-file requirements/bench.txt $(ARGS) \
		--constraints requirements/runtime.txt \
		--override .venv-lock/without-torch.in --no-emit-package torch
	@$(compile) requirements/parity.in --output-file requirements/parity.txt $(ARGS) \
		--override .venv-lock/without-torch.in --no-emit-package torch

compile = .venv-lock/bin/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-package stitchrl
