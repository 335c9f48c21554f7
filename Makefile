# kstore's verbs; `make help` lists them. A target sets up what it needs, once: the environment in
# .venv, and the native modules whenever one of their sources changes. Nothing outside the checkout
# is written, but for the cache of Kafka's tools (tests/conformance/judges/).

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
LISTEN ?= 127.0.0.1:9092
DATA_DIR ?= ./kstore-data
SEED ?= 1
MINUTES ?= 10
COMMITS ?= 5

VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q -rs
SUITES := $(BIN)/python -m tests.conformance.suites
RETRY := tools/retry
INSTALLED := $(VENV)/.installed
BUILT := $(VENV)/.built
NATIVE := $(wildcard src/kstore/_native/*.pyx src/kstore/_native/*.pxd src/kstore/_native/*.h)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help serve test lint types package check conformance conformance-full bench bench-compare bench-upkeep bench-history torture sanitize clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(BUILT)  ## run a broker on LISTEN (127.0.0.1:9092) with its data in DATA_DIR (./kstore-data)
	exec $(BIN)/kstore serve --listen $(LISTEN) --data-dir $(DATA_DIR)

test: $(BUILT)  ## all tests that need no JDK, in at most 5 minutes
	$(PYTEST) -m "not jdk and not slow" tests

lint: $(INSTALLED)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BUILT)  ## mypy --strict, and every stub against its compiled module
	$(BIN)/python -m mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml --ignore-disjoint-bases \
		$(patsubst src/kstore/_native/%.pyx,kstore._native.%,$(filter %.pyx,$(NATIVE)))

package: $(INSTALLED)  ## sdist -> wheel -> empty environment -> one record served and read back
	rm -rf dist build/package
	PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(RETRY) $(BIN)/python -m build
	$(PYTHON) -m venv build/package
	$(RETRY) build/package/bin/python -m pip install -q -c constraints.txt dist/*.whl
	build/package/bin/python -I tools/check_package.py

check: lint types package test  ## everything that CI runs
	$(PYTEST) -m "jdk and not slow" tests/conformance

conformance: $(BUILT)  ## the judges at full length: clients, Kafka's tools, suites, kill -9
	$(PYTEST) -s -m "not long" tests/conformance tests/faults
	$(SUITES) --quick

conformance-full: $(BUILT)  ## the same, every suite, docs/conformance.md; then Kafka itself judged
	$(PYTEST) -s tests/conformance tests/faults
	$(SUITES) --write-page
	KSTORE_TEST_BROKER=kafka $(SUITES)
	KSTORE_TEST_BROKER=kafka $(PYTEST) -s -m "not long" tests/conformance tests/faults

bench: $(BUILT)  ## measure; writes bench/results/ and the tables of docs/performance.md
	$(BIN)/python bench/single_node.py --output bench/results/single_node.json
	$(BIN)/python bench/steps.py --output bench/results/steps.json
	$(BIN)/python bench/lookups.py --output bench/results/lookups.json
	$(BIN)/python bench/engine.py --output bench/results/engine.json
	$(BIN)/python bench/segments.py --output bench/results/segments.json
	$(BIN)/python bench/group_commit.py --output bench/results/group_commit.json
	$(BIN)/python bench/start_scale.py --output bench/results/start_scale.json
	$(BIN)/python bench/recovery.py --output bench/results/recovery.json
	$(PYTEST) bench/compare_records.py --benchmark-timer=time.process_time \
		--benchmark-columns=median --benchmark-json=bench/results/records.json
	$(BIN)/python bench/report.py

bench-compare: $(BUILT)  ## kstore, Kafka and Tansu in turn, an hour (JDK, Maven, Go); QUICK=1: minutes
	$(BIN)/python -m bench.compare $(if $(QUICK),--quick) $(if $(CASES),--cases $(CASES)) \
		$(if $(BROKERS),--brokers $(BROKERS)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(WARM_UP),--warm-up $(WARM_UP)) $(if $(CONTINUE),--continue)
	$(if $(QUICK),,$(BIN)/python bench/report.py)
	$(if $(QUICK),,$(BIN)/python -m bench.compare.plots)

bench-upkeep: $(BUILT)  ## compaction beside Kafka's cleaner, produce beside compaction and retention, 20 minutes; QUICK=1
	$(BIN)/python bench/compaction.py $(if $(QUICK),--quick,--output bench/results/compaction.json)
	$(BIN)/python bench/beside.py $(if $(QUICK),--quick,--output bench/results/beside.json)
	$(if $(QUICK),,$(BIN)/python bench/upkeep_report.py)
	$(if $(QUICK),,$(BIN)/python bench/report.py)

bench-history: $(BUILT)  ## the micro benchmarks of the last COMMITS (5) commits, by asv, in build/asv
	$(RETRY) $(BIN)/python -m pip install -q -c constraints.txt --no-build-isolation -e '.[bench]'
	mkdir -p build/asv
	cd bench && export HOME=$(CURDIR)/build/asv PATH=$(CURDIR)/$(BIN):$$PATH && asv machine --yes && \
		asv run 'HEAD~$(COMMITS)..HEAD' && asv publish

torture: $(BUILT)  ## all fault suites for MINUTES (10), with choices drawn from SEED (1)
	$(BIN)/python -m tests.faults.torture --seed $(SEED) --minutes $(MINUTES)

sanitize: $(INSTALLED)  ## unit and property tests under AddressSanitizer and UBSan; needs gcc
	tools/sanitize $(BIN)/python tests/unit tests/property

clean:  ## remove all that was built, and the environment; data stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf src/*.egg-info src/kstore/_native/*.so

# Cython looks at the dates of sources only: other options in setup.py need all of them built anew.
$(BUILT): $(INSTALLED) $(NATIVE) setup.py
	$(if $(wildcard $@),$(if $(filter setup.py,$?),CYTHON_FORCE_REGEN=1)) \
		$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

$(INSTALLED): pyproject.toml constraints.txt
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "kstore needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "kstore needs a C compiler (Debian: apt install gcc)" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
		|| { echo "kstore needs the headers of $(PYTHON) (Debian: apt install python3-dev)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RETRY) $(BIN)/python -m pip install -q -c constraints.txt setuptools Cython
	$(RETRY) $(BIN)/python -m pip install -q -c constraints.txt \
		--no-build-isolation -e '.[dev]'
	@touch $@
