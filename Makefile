.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Where the environment is: another one for another version of Python.
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
PROJECTS := . $(dir $(wildcard backends/*/pyproject.toml conformance/pyproject.toml))
# Tests wait for servers and processes more than they compute.
WORKERS ?= 4
# A backend is never looked for on a registry: all of ours come from this tree.
EDITABLE := $(addprefix -e ,$(PROJECTS:/=))

.PHONY: help setup test quick thorough versions zoo check docs format lint types generated demo bench constraints clean

help:  ## list these verbs
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 14

setup: $(VENV)/complete  ## make an environment in .venv with everything that development needs

$(VENV)/complete: constraints.txt requirements-dev.txt $(addsuffix pyproject.toml,$(filter-out .,$(PROJECTS))) pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --constraint constraints.txt --requirement requirements-dev.txt $(EDITABLE)
	touch $@

test: setup  ## run all tests but the thorough ones, a few files at a time
	$(BIN)/pytest -m "not thorough" --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25 --durations-min 10

quick: setup  ## run the fast tests: a minute on two cores
	$(BIN)/pytest -m "not slow" --numprocesses $(WORKERS) --dist loadfile

versions:  ## run the fast tests on the other versions of Python that are installed
	for version in 3.12 3.13; do \
	    if python=$$(.ci/python $$version); then $(MAKE) quick PYTHON=$$python VENV=.venv-$$version; \
	    else echo "Python $$version is not installed"; fi; \
	done

thorough: setup  ## run the deeper runs of tests that `make check` runs fast, and no others
	$(BIN)/pytest -m thorough --numprocesses $(WORKERS) --dist loadfile --durations 25 --durations-min 10

zoo: setup  ## measure the conformance suite: broken stores, generated faults and mutants that it catches (half an hour)
	$(BIN)/python -m kharvest_zoo

check: lint types test  ## what CI runs: format, lint, types, and all tests but the thorough ones (generated code in step is one of them)

format: setup  ## put all code into the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup  ## check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup  ## check types, strictly
	$(BIN)/mypy kharvest tests benchmarks examples/demo
	for project in backends/* conformance examples/kharvest-*; do $(BIN)/mypy $$project/kharvest_* $$project/tests; done

docs: setup  ## build the documentation into .site, links checked
	$(BIN)/python -m zensical build --strict --clean

generated:  ## generate the wire's code from proto/
	proto/generate.sh

demo: setup  ## watch a small fleet harvest real files
	$(BIN)/python examples/demo/demo.py

bench: setup  ## measure speed and memory, beside cp, sync and a bare gRPC server
	$(BIN)/python benchmarks/harvest.py

constraints: setup  ## renew constraints.txt from the newest versions
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/pip install --quiet --requirement requirements-dev.txt $(EDITABLE)
	sed -n '/^#/p' constraints.txt > constraints.new
	.venv-newest/bin/pip list --format=freeze --exclude-editable | grep -vE '^(pip|setuptools)==' >> constraints.new
	mv constraints.new constraints.txt

clean:  ## remove everything that git ignores
	git clean -fdX
