# Two commands do everything on a fresh machine: make demo · make test
# A second call re-installs nothing: the stamps change only with pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

.PHONY: demo test lint format types bench cluster chaos clean

demo: $(VENV)/.installed
	$(BIN)/ditlab run studies/digits.yaml

test: $(VENV)/.installed-test
	@$(BIN)/python tests/cluster/slurm_cluster.py install
	$(BIN)/python -m pytest tests -n 3 --dist loadfile

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test
	$(BIN)/ditlab bench

cluster: $(VENV)/.installed-test
	$(BIN)/python tests/cluster/slurm_cluster.py up

chaos: $(VENV)/.installed-test
	$(BIN)/python benchmarks/chaos.py

clean:
	rm -rf $(VENV) results/runs results/studies results/index

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@ $(VENV)/.installed
