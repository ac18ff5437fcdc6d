# Two commands for a newcomer: `make demo` and `make test`. Everything lives in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORK_DIR ?= work_dirs/demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.installed  ## Make .venv with the tested versions (once)

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "visbench needs Python 3.10 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || \
	  { echo "The venv module of Python is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on -c constraints.txt -e '.[dev,report]'
	@# Dependencies bring both builds of OpenCV; the headless one needs no graphics libraries, so it comes last.
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps -c constraints.txt opencv-python-headless
	@touch $@

demo: setup  ## Make MovingShapes, train and test the demo suite, print the comparison table
	$(BIN)/python tools/benchmark.py compare --suite demo --work-dir $(WORK_DIR)

test: setup  ## Run the test suite
	$(BIN)/python -m pytest

check: setup  ## Install the wheel in a second environment and run there what users run
	$(BIN)/python -m pytest -m check tests/check

lint: setup  ## Ruff, mypy and formatting, as CI checks them
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy visbench tools

clean:  ## Remove caches (keeps data, work_dirs and .venv)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
