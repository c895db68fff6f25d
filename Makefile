# Each target does its own set-up; a second call installs nothing, because the stamps change only with pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help install demo test test-fast lint format docs docs-serve bench cluster chaos clean

help:  ## what `make` can do here
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 18

install: $(VENV)/.installed  ## make .venv and install ditlab there

demo: $(VENV)/.installed  ## train and measure studies/digits.yaml: minutes on two cores
	$(BIN)/ditlab run studies/digits.yaml

test: $(VENV)/.installed-test  ## all tests, a real Slurm included: about ten minutes on two cores
	@$(BIN)/python tests/cluster/slurm_cluster.py install
	$(BIN)/python -m pytest tests -n 3 --dist loadfile -rs

test-fast: $(VENV)/.installed-test  ## the quick tests: no Slurm, no browser, nothing that trains for long
	$(BIN)/python -m pytest tests -n auto --dist loadfile -m "not slow and not cluster and not browser"

lint: $(VENV)/.installed-test  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test  ## mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-docs  ## the documentation as a site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html is written; the search needs a server: make docs-serve"

docs-serve: $(VENV)/.installed-docs  ## the same on http://127.0.0.1:8000, redrawn as pages change
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --quiet

bench: $(VENV)/.installed-test  ## the speed of this machine
	$(BIN)/ditlab bench

cluster: $(VENV)/.installed-test  ## a real Slurm on this machine, to try things
	$(BIN)/python tests/cluster/slurm_cluster.py up

chaos: $(VENV)/.installed-test  ## a study on that Slurm while everything that can fail fails
	$(BIN)/python benchmarks/chaos.py

clean:  ## remove .venv, the site and your own results
	rm -rf $(VENV) build results/runs results/studies results/index

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "ditlab needs Python 3.11 or newer; '$(PYTHON)' is not. Give another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e ".[docs]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e ".[test,docs]"
	@touch $@ $(VENV)/.installed $(VENV)/.installed-docs
