# Everything a contributor runs. Needs make and Python 3.11 or newer; another interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?= -n 2
BENCH_ARGS ?=
# Which jax: "lock", or "oldest" or "newest" that pyproject.toml allows for this Python (fetched after the lock)
JAX ?= lock
JAX_oldest := "jax==0.10.0" "jaxlib==0.10.0"
JAX_newest := --upgrade "jax!=0.10.2" "jaxlib!=0.10.2"
# NumPy and SciPy on small matrices: more threads than workers of the tests only wait for each other.
test test-all smoke notebooks: export OMP_NUM_THREADS ?= 1
test test-all smoke notebooks: export OPENBLAS_NUM_THREADS ?= 1
# Every process that a test starts would translate the package anew, and every worker the tests.
unexport PYTHONDONTWRITEBYTECODE
SMOKE := tests/test_imports.py tests/test_registry.py tests/test_ties.py tests/bounds/test_ideal.py \
	tests/dynamics/test_modal_flow.py tests/numerics/test_projection.py tests/sweeps/test_writers.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help bench demo docs test test-all smoke lint format notebooks figures package clean

help:
	@echo "make demo        run the demonstration into demo-output/"
	@echo "make test        run the tests; other options: make test PYTEST_ARGS=\"-x -k contract\""
	@echo "make smoke       run a few tests, in about a minute"
	@echo "make test-all    run all tests, the slow ones too, compiled as users do: in some hours, for every night"
	@echo "make bench       measure this machine against its limits and other programs, in about a quarter of an hour"
	@echo "make lint        ruff and pyright"
	@echo "make format      apply ruff's fixes and formatting"
	@echo "make notebooks   execute the notebooks on small settings"
	@echo "make docs        build the site into build/site; warnings are errors"
	@echo "make figures     draw the pictures of docs/ anew, in some minutes"
	@echo "make package     build wheel and sdist into build/dist, install the wheel alone and use it"
	@echo "make clean       remove the environment, caches and outputs"

# The lock lists every package, so nothing is resolved; the build backend is locked too, so nothing is fetched twice.
$(STAMP): pyproject.toml requirements/lock.txt
	@$(PYTHON) -c '' || { \
	  echo "error: $(PYTHON) does not run; install Python 3.11 or newer, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: spectral_sim needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1);" \
	       "name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot create virtual environments: its venv module is missing;" \
	       "install it (on Debian and Ubuntu: the package python3-venv)" >&2; exit 1; }
	@echo "setting up $(VENV)"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -r requirements/lock.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(if $(JAX_$(JAX)),$(BIN)/python -m pip install -qq --disable-pip-version-check $(JAX_$(JAX)))
	@touch $@

demo: $(STAMP)
	$(BIN)/spectral-sim demo --output demo-output --force

test: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow" $(PYTEST_ARGS) tests

# The fast settings of tests/conftest.py hide what an optimising compiler does; here programs are compiled as users do.
test-all: $(STAMP)
	SPECTRAL_SIM_TEST_COMPILER=users $(BIN)/python -m pytest -q $(PYTEST_ARGS) tests

smoke: $(STAMP)
	$(BIN)/python -m pytest -q $(SMOKE)

bench: $(STAMP)
	$(BIN)/python benchmarks/suite.py $(BENCH_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	@echo "every public name has a type"
	@PATH="$(abspath $(BIN)):$$PATH" pyright --verifytypes spectral_sim --ignoreexternal >$(VENV)/types.txt || { \
	  grep -B1 -A1 "error" $(VENV)/types.txt; exit 1; }

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(STAMP)
	SPECTRAL_SIM_FAST=1 $(BIN)/python -m pytest -q -n 2 --nbmake notebooks/*.ipynb

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

figures: $(STAMP)
	$(BIN)/python docs/figures.py
	$(BIN)/python docs/site_figures.py

package: $(STAMP)
	$(BIN)/python .ci/package.py

clean:
	rm -rf $(VENV) demo-output build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
