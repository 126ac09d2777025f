# The two commands of the README, `make demo` and `make test`, each work alone on a fresh machine
# with Python >= 3.10. The environment lives in .venv and is rebuilt when setup.py changes.

PYTHON ?= python3
VENV := .venv
EXTRA := onedl
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/pip install --disable-pip-version-check

# What all else rests on: layers, families, losses and checkpoints.
FAST := tests/elastic tests/models tests/checkpoints --ignore=tests/checkpoints/official
# Two processes, one for each core of a small machine, with one thread each; files in the order in
# which tests/conftest.py puts them. Byte code is kept, also where the environment says not to: tests
# start many processes, each of which would compile the package again.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help env demo test test-fast lint format check-env clean

help:
	@echo 'make demo       pre-train a small supernet on real photographs and evaluate all of its sizes'
	@echo 'make test       run all tests'
	@echo 'make test-fast  run those of layers, families, losses and checkpoints that take no time'
	@echo 'make lint       ruff and mypy'
	@echo 'make format     format the code'
	@echo 'make check-env  show what is installed and what is missing'
	@echo 'make clean      remove the environment'

env: $(READY)

# The stamp is the last thing written, so an interrupted installation is done again.
$(READY): setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo 'poa_mm needs Python >= 3.10; choose one with: make PYTHON=python3.11 ...'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[$(EXTRA),test]'
# Dependencies pull in opencv-python as well, which needs the system's libGL. Both builds install the
# same folder, so the one without a display goes last.
	$(PIP) --no-deps --force-reinstall 'opencv-python-headless<4.13'
	@touch $@

demo: $(READY)
	$(BIN)/python tools/demo.py

test: $(READY)
	$(PYTEST)

test-fast: $(READY)
	$(PYTEST) -m 'not slow' $(FAST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check-env: $(READY)
	$(BIN)/python tools/check_env.py

clean:
	rm -rf $(VENV)
