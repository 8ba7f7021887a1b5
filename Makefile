# Two commands on a fresh machine do everything: `make search` and `make test`.
# Each sets up what it needs (a virtual environment in .venv) and skips what is done.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/digits
# Compiled by all processors, not by pip, which uses one. Some packages hold templates that are no Python.
PIP_FLAGS := --quiet --disable-pip-version-check --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
SOAK_MINUTES ?= 30
SOAK_SEED ?= 0
# The public packages, and the registries and interfaces that an extension uses.
DOCUMENTED := search_space search_space.channel_mixers search_space.residual_forms search_space.errors \
  trainers trainers.data.sources trainers.errors \
  nas nas.objectives nas.sampler nas.sampler.registry nas.execution.base nas.study.config nas.study.events nas.errors

.DEFAULT_GOAL := help
.PHONY: help search test coverage soak lint audit format docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

search: $(VENV)/.installed ## search a real space on scikit-learn's digits: a front, a report, an exported model
	@$(BIN)/nas search studies/digits.yaml --out $(OUT)
	@$(BIN)/nas report $(OUT)
	@$(BIN)/nas export $(OUT) best --out $(OUT)/best

test: $(VENV)/.installed-dev ## run the tests
	@$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

coverage: $(VENV)/.installed-dev ## run the tests and report which lines they reach
	@$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --cov --cov-report=term --cov-report=html:build/coverage

soak: $(VENV)/.installed-dev ## search under random faults for SOAK_MINUTES (30) minutes, and check that nothing is lost
	@PYTHONPATH=. $(BIN)/python tests/faults/soak.py --minutes $(SOAK_MINUTES) --seed $(SOAK_SEED) --json build/soak.json

lint: $(VENV)/.installed-dev ## format check, lint, types, import law, dependencies
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry .

audit: $(VENV)/.installed-dev ## look for known vulnerabilities of the installed packages (needs the network)
	@mkdir -p build
	@$(BIN)/pip-audit --skip-editable --progress-spinner off >build/audit.txt 2>&1; code=$$?; \
	if grep -q '^Found ' build/audit.txt; then cat build/audit.txt; exit 1; fi; \
	if [ $$code != 0 ] || grep -q 'could not be audited' build/audit.txt; then \
	  echo 'audit: the advisories could not be read for all packages (see build/audit.txt); run it with the network' >&2; exit 1; fi; \
	echo 'audit: no known vulnerabilities'

format: $(VENV)/.installed-dev ## format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev ## build the API reference from the docstrings: build/docs/index.html
	@$(BIN)/pdoc --docformat google --output-directory build/docs $(DOCUMENTED)

clean: ## remove the virtual environment and what was built
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed; name one with PYTHON=...' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo 'installing into $(VENV): about two minutes, 5.5 GB, most of it torch ...'
	@$(BIN)/pip install $(PIP_FLAGS) --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo 'installing into $(VENV) with the tools for tests: about two minutes, 5.5 GB, most of it torch ...'
	@$(BIN)/pip install $(PIP_FLAGS) --editable '.[dev]'
	@$(COMPILE)
	@touch $(VENV)/.installed $@
