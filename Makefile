# The oldest Python of those supported that is there: the pins are resolved for it.
PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(if $(shell python$(v) -c "print(1)" 2>/dev/null),python$(v))) python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing
TEST_PROCESSES ?= 2 # each of up to 3 GB

.PHONY: help install demo test lint bench soak wheel sbom licences hashes clean
help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(INSTALLED) ## make .venv and install the pinned packages

$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing the pinned packages into $(VENV): one or two minutes"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint constraints.txt --editable '.[all]'
	@touch $@

$(DEVELOPING): $(INSTALLED)
	@echo "installing the test tools"
	@$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install ## simulate, ingest, train, infer, evaluate and report, in demo/
	$(BIN)/python -m flows.demo

test: $(DEVELOPING) ## the whole test suite, by two processes (TEST_PROCESSES=N: by N)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

lint: $(DEVELOPING) ## ruff, mypy strict, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEVELOPING) ## speed and accuracy beside peers, as tables
	$(BIN)/python -m benchmarks

soak: $(DEVELOPING) ## what takes too long for every change: 20,000 damaged files, 50 kills a command, 2,000 associations, 24 nights
	MEDVISION_FUZZ=$${MEDVISION_FUZZ:-20000} $(BIN)/python -m benchmarks.mutations
	MEDVISION_SOAK_KILLS=$${MEDVISION_SOAK_KILLS:-50} MEDVISION_SOAK_ASSOCIATIONS=$${MEDVISION_SOAK_ASSOCIATIONS:-500} \
	MEDVISION_SOAK_NIGHTS=$${MEDVISION_SOAK_NIGHTS:-24} $(BIN)/python -m pytest -s tests/soak

wheel: $(INSTALLED) ## build the wheel twice, and compare the bytes
	@rm -rf build/wheel
	@for copy in 1 2; do $(PIP) wheel . --no-deps --wheel-dir build/wheel/$$copy || exit 1; done
	@cmp build/wheel/1/*.whl build/wheel/2/*.whl && cd build/wheel/1 && sha256sum *.whl

sbom: $(INSTALLED) ## bill of materials (CycloneDX) of what is installed
	@$(BIN)/python .ci/supply_chain.py sbom

licences: $(DEVELOPING) ## write docs/licences.md
	@$(BIN)/python .ci/supply_chain.py licences

hashes: $(INSTALLED) ## write constraints-hashes.txt; resolves everything anew
	@mkdir -p build
	@$(PIP) install --dry-run --ignore-installed --report build/report.json -c constraints.txt '.[all]'
	@$(BIN)/python .ci/supply_chain.py hashes build/report.json

clean: ## remove everything that was made here
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
