# Signals: the commands a newcomer, a developer and CI use.
# `make demo` and `make ui` need only Python 3.11+ and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export SIGNALS_HOME ?= $(CURDIR)/.signals
export DAGSTER_HOME ?= $(SIGNALS_HOME)/dagster
PORT ?= 3000

.PHONY: help demo ui test lint format clean install

help:
	@echo "make demo [SESSIONS=path]  simulate four weeks (or read your sessions), run the graph, print what it found"
	@echo "make ui [PORT=3000]        the Dagster UI on what the demo left"
	@echo "make test                  everything CI runs"
	@echo "make format | lint         ruff and mypy"

$(VENV)/.installed: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ui,embeddings,otel]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ui,embeddings,otel,dev]'
	@touch $@

install: $(VENV)/.installed-dev

demo: $(VENV)/.installed
	$(BIN)/signals demo $(if $(SESSIONS),--sessions "$(SESSIONS)") $(if $(FORMAT),--format $(FORMAT))

ui: $(VENV)/.installed
	$(BIN)/signals ui --port $(PORT)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=90

clean:
	rm -rf .signals build dist .pytest_cache .mypy_cache .ruff_cache
