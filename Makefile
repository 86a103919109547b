# The commands a newcomer needs: `make demo`, `make challenge` and `make test`. All do the set-up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo challenge test setup lint types docs bench clean help
.DEFAULT_GOAL := help

help:  ## List the targets.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready  ## Make .venv and install the package with what it needs.

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sigma68 needs Python 3.11 or newer: run 'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,cosmology,peer,docs,dev]'
	@touch $@

demo: setup  ## Run the main job on the default task and write a report to demo-run/.
	$(BIN)/sigma68 run bdt --nuisances none --sets 10 --toys 10 --seed 1 --workers 2 --out demo-run

challenge: setup  ## Open a challenge with demo data in demo-challenge/, and print its address.
	$(BIN)/sigma68 serve demo-challenge --demo

test: setup lint types  ## Lint, type-check and run all tests.
	@# Compiled kernels go by the date of their own file, not of those they inline.
	@find src -name '*.nb[ci]' -delete
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: setup
	$(BIN)/ruff check src tests benchmarks example.py
	$(BIN)/ruff format --check src tests benchmarks example.py

types: setup
	$(BIN)/mypy

docs: setup  ## Build the documentation into site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: setup  ## Measure speed against the peer, one ratio per row.
	$(BIN)/python -m benchmarks.speed

clean:  ## Remove everything that was built.
	rm -rf $(VENV) site dist build demo-run demo-challenge .mypy_cache .ruff_cache
