# The tasks of a contributor. Needs Python 3.11 or newer on the PATH and the package index, nothing else.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.ready
WORKERS ?= 2

.PHONY: setup demo check test bench

setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "memflow needs Python 3.11 or newer, with venv, as python3 on the PATH (or: make PYTHON=...)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing memflow and its tools into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,otel]' --group dev
	@touch $@

demo: $(STAMP)
	@$(BIN)/memflow demo

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(WORKERS) $(ARGS)

bench: $(STAMP)
	@$(BIN)/memflow bench --short $(ARGS)
