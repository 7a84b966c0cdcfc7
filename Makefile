# Every target sets up what it needs in .venv by itself; nothing has to be activated.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Most tests wait for a child process most of the time; those marked `alone` still run alone.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
COVERAGE := --cov --cov-report=term
# A shared machine may stand still for seconds in the middle of a test that starts processes. Where
# CI is set, a test that fails gets one more try, and is named in the summary to be repaired.
RERUNS := $(if $(CI),--reruns 1 --reruns-delay 1 -r fER)

# Passed on to the demo: how long it runs before it prints its summary and ends.
ifdef DEMO_SECONDS
export DEMO_SECONDS
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check generate lock e2e bench fuzz

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Make the environment .venv from requirements.lock (PYTHON=... picks the interpreter)
	@.ci/setup $(PYTHON) $(VENV)

demo: setup  ## Run a model server, the sidecar, a load and the live page (DEMO_SECONDS=N ends it)
	@$(BIN)/inferometer demo

test: setup  ## Run the tests (where CI is set, with coverage and its floor)
	@$(BIN)/pytest $(PARALLEL) -m "not e2e" $(RERUNS) $(if $(CI),$(COVERAGE))

lint: setup  ## Lint, types, import contracts, generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

check: lint  ## All of lint, then the tests with coverage
	$(BIN)/pytest $(PARALLEL) -m "not e2e" $(COVERAGE)

generate: setup  ## Write the reference pages and the shipped rules anew
	$(BIN)/python docs/generate.py
	$(BIN)/inferometer slo render --shipped -o alerts

lock: setup  ## Resolve requirements.lock and tests/fuzz/requirements.lock anew
	@.ci/lock $(BIN)

e2e: setup  ## Run the tests that need servers and tools built from Go modules (needs Go 1.26)
	@INFEROMETER_BUILD_TOOLS=1 $(BIN)/pytest $(RERUNS) -m e2e tests/e2e
	@INFEROMETER_BUILD_TOOLS=1 $(BIN)/pytest $(PARALLEL) $(RERUNS) -m e2e --ignore=tests/e2e

bench: setup  ## Measure what the sidecar costs, next to other proxies; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

fuzz: setup  ## Fuzz the parsers for a bounded time (FUZZ_SECONDS=N for each, 60 if not given)
	@.ci/fuzz $(BIN)
