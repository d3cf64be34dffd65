.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DISTRIBUTIONS := . backends/kharvest-memory backends/kharvest-sql

.PHONY: help setup test quick check format lint types generated demo bench constraints clean

help:  ## list these verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/complete  ## make an environment in .venv with everything that development needs

.venv/complete: constraints.txt pyproject.toml $(wildcard backends/*/pyproject.toml conformance/pyproject.toml)
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		$(addprefix -e ,$(DISTRIBUTIONS)) --group dev
	touch $@

test: setup  ## run all tests
	$(BIN)/pytest

quick: setup  ## run the tests that take no more than a few seconds each
	$(BIN)/pytest -m "not slow"
