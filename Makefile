# Everything here installs what it needs where that is missing, as root or through sudo: see tests/setup.
VENV := $(shell tests/setup venv)
PYTHON = $(VENV)/bin/python
PYTEST = $(VENV)/bin/pytest
# Two VMs at a time; tests/conftest.py says what stays together.
VMS ?= 2
PARALLEL = -n $(VMS) --no-loadscope-reorder --durations=25 --durations-min=5
OUT ?= out
RECIPE ?= vm

help:
	@echo 'make demo       a virtual machine installs itself, and boots as a node (make demo-node: and stays)'
	@echo 'make image      the image and its ISO, to OUT=$(OUT); RECIPE=$(RECIPE), or metal, or a file'
	@echo 'make test       linters, unit tests, virtual machines; test-unit, test-vm, test-all: one part, or more of it'
	@echo 'make powercut   a machine on record, its power cut in thousands of places: what is left, and what is wrong with it'
	@echo 'make lint       linters only'
	@echo 'make bench      what it costs, beside dd, a script by hand and RAUC, into docs/performance.md; on an idle host'

setup:
	@tests/setup

image: setup
	$(PYTHON) -m autoinstall build --recipe $(RECIPE) -o $(OUT)

demo: setup
	@$(PYTHON) -m tests.vm.demo

demo-node: setup
	@$(PYTHON) -m tests.vm.demo --stay

test: setup
	$(PYTEST) $(PARALLEL) -m 'not exhaustive' tests

test-all: setup
	$(PYTEST) $(PARALLEL) -m 'exhaustive or not exhaustive' tests

test-unit: setup
	$(PYTEST) $(PARALLEL) -m 'not exhaustive' tests/unit

test-vm: setup
	$(PYTEST) $(PARALLEL) -m 'not exhaustive' tests/vm

# PARTS: install, chain, upgrade, verity, contents; all of them without a word.
bench: setup
	@$(PYTHON) -m tests.bench $(PARTS)

# WORDS: --states 50000, --seed 2, --seeded, … see docs/reliability.md.
powercut: setup
	@$(PYTHON) -m tests.powercut $(WORDS)

lint: setup
	$(PYTEST) -q tests/unit/test_linters.py tests/unit/test_architecture.py

format: setup
	$(VENV)/bin/ruff check --fix autoinstall tests
	$(VENV)/bin/ruff format autoinstall tests

clean:
	rm -rf $(OUT) .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup image demo demo-node test test-all test-unit test-vm bench powercut lint format clean
