PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing

export PREFECT_LOGGING_EXTRA_LOGGERS := medvision
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help install demo test lint bench clean
help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(INSTALLED) ## make .venv and install the pinned packages

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable '.[all]'
	@touch $@

$(DEVELOPING): $(INSTALLED)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install ## simulate, ingest, train, infer, evaluate and report, in demo/
	$(BIN)/python -m flows.demo

test: $(DEVELOPING) ## the whole test suite
	$(BIN)/python -m pytest

lint: $(DEVELOPING) ## ruff, mypy strict, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEVELOPING) ## speed and accuracy beside peers, as tables
	$(BIN)/python -m benchmarks

clean: ## remove everything that was made here
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
