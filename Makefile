# make demo    simulate a satellite, find its orbit from its frames, show the error
# make setup   the whole environment (several GB, with torch), for everything else
# make test, check, bench, docs
#
# Needs make, Python 3.11 or newer (64 bit) and its venv module. Another interpreter:
# `make demo PYTHON=python3.12`. Another place for the environment: `make test VENV=DIR`.

PYTHON ?= python3
VENV ?= .venv
SEED ?= 1
OUT ?= runs/demo
# An address given here is where torch alone comes from (for its CPU build; see README).
TORCH_INDEX_URL ?=
PYTEST_ARGS ?= -n 2

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
SIM = $(VENV)/.installed-sim
FULL = $(VENV)/.installed-full
TORCH = torch==2.13.0

.DEFAULT_GOAL = help
.PHONY: help setup demo test check bench docs

help:
	@sed -n '/^# /s/^# //p;/^$$/q' Makefile

setup: $(FULL)

demo: $(SIM)
	$(BIN)/vinsat demo --seed $(SEED) --out $(OUT)

test: $(FULL)
	$(BIN)/pytest $(PYTEST_ARGS)

check: $(FULL)
	$(BIN)/ruff check .
	$(BIN)/mypy --strict flightsw
	$(BIN)/lint-imports

bench: $(FULL)
	$(BIN)/vinsat bench all

docs: $(FULL)
	$(BIN)/python -P -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo "docs: open build/docs/index.html"

$(BIN)/python:
	@$(PYTHON) -c 'pass' || { echo "setup: '$(PYTHON)' does not run; install Python 3.11 or newer \
	(Debian, Raspberry Pi OS: sudo apt install python3 python3-venv), or name yours: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: $$($(PYTHON) -V) is too old; \
	Python 3.11 or newer is needed (Debian 12, Raspberry Pi OS of 2023 or later have it), or name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.maxsize < 2**32)' || { echo "setup: this Python is a 32-bit one; the packages exist for \
	64 bit only. On a Raspberry Pi install the 64-bit Raspberry Pi OS" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "setup: this Python has no venv module; \
	sudo apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Base and [sim] alone: what the demo needs, about 1.2 GB, without torch.
$(SIM): pyproject.toml | $(BIN)/python
	@echo "setup: installing what the demo needs into $(VENV) (about a minute)"
	@$(PIP) install -q -e '.[sim]' || { $(call pip_failed); }
	@touch $@

# Everything but [yolo] and [oracles]. torch comes first and alone, so that its source can be chosen.
$(FULL): pyproject.toml | $(BIN)/python
	@echo "setup: installing everything but [yolo] and [oracles] into $(VENV) (about five minutes)"
	@$(PIP) install -q $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) $(TORCH) || { $(call pip_failed); }
	@$(PIP) install -q -e '.[sim,ground,layers,train,rl,dev]' || { $(call pip_failed); }
	@touch $(SIM) $@

pip_failed = echo "setup: pip could not install a package (its own words are above): look at the network, \
	at the free disk space (df -h .) and at $$($(BIN)/python -V) (3.11 to 3.13 have ready-made packages), \
	then run make again: it goes on where it stopped" >&2; exit 1
