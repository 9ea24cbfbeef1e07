# "make" alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup bench simulate simulate-changes demo-history dashboard example-dashboards test lint format wheel clean distclean

# The interpreter that .venv is made with.
PYTHON ?= python3

# What pip installs first, and without its dependencies (these come with the rest, pinned).
# On Linux the plain name brings several GB of CUDA libraries. The much smaller build for the CPU:
#   make test TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0

# More arguments for "harness run voice_conversion", for pytest, the simulations, the demo and the dashboard.
BENCH_ARGS ?=
TEST_ARGS ?=
SIMULATE_ARGS ?=
DEMO_ARGS ?=
DASHBOARD_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 27

setup: $(STAMP) ## make .venv with all that the other targets need

# The stamp is made last and taken away first. A .venv without it was left half made, or was made
# by something else, and is made again from nothing.
$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null \
		|| { echo "error: no '$(PYTHON)' here; name a Python 3.10 to 3.13: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "error: Python 3.10 to 3.13 is needed, and '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1); name another: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "error: '$(PYTHON)' lacks the module venv or ensurepip (on Debian and Ubuntu: the package python3-venv)" >&2; exit 1; }
	@if [ -e $(STAMP) ]; then rm $(STAMP); else rm -rf $(VENV); "$(PYTHON)" -m venv $(VENV); fi
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[export,f0,tensorrt-rtx,dev]'
	$(BIN)/python -m pip check
	@touch $(STAMP)

bench: $(STAMP) ## run the benchmark of the voice_conversion pipeline (BENCH_ARGS)
	$(BIN)/harness run voice_conversion $(BENCH_ARGS)

simulate: $(STAMP) ## simulate the stopping rule and A/Bs, several minutes (SIMULATE_ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/simulations/simulate.py $(SIMULATE_ARGS) reports/examples/simulations
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/simulations/pairs.py reports/examples/simulations
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/simulations/whole.py reports/examples/simulations
	$(BIN)/python benchmarks/simulations/trend.py reports/examples/simulations

simulate-changes: $(STAMP) ## simulate what is found in histories, several minutes (SIMULATE_ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/simulations/changes.py $(SIMULATE_ARGS) reports/examples/simulations

demo-history: $(STAMP) ## asv over a scratch repository of 30 commits, simulated times (DEMO_ARGS)
	$(BIN)/python benchmarks/demo/demo.py $(DEMO_ARGS) reports/demo-history

dashboard: $(STAMP) ## the figures under reports as one page, reports/dashboard (DASHBOARD_ARGS)
	$(BIN)/harness dashboard $(DASHBOARD_ARGS)

# The first one is of records whose commits git mostly does not know: it is not asked. The second
# one is of what "make demo-history" leaves.
example-dashboards: $(STAMP) ## the pages under reports/examples/dashboard, and a picture of one
	$(BIN)/harness dashboard reports/examples/h200 --repository / --commit-url none \
		--title "voice_conversion on H200s" --out reports/examples/dashboard/h200
	$(BIN)/harness dashboard reports/demo-history/reports/asv/results --repository reports/demo-history \
		--commit-url none --title "The demo history" --out reports/examples/dashboard/demo
	$(BIN)/python benchmarks/screenshots/screenshot.py reports/examples/dashboard/h200/index.html \
		reports/examples/dashboard/h200.png

test: $(STAMP) ## run the tests (TEST_ARGS)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(TEST_ARGS)

lint: $(STAMP) ## ruff, mypy and the import contracts; changes nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## let ruff fix and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove what the tools left, but not .venv
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find harness fixtures tests -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf $(VENV)
