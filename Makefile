# What people run, and CI runs the same. `make help` lists the targets.
#
# Every target that needs the environment goes through scripts/setup first, which takes a fraction
# of a second when there is nothing to do. The environment's commands are called by their real
# place (.venv may be a link), because what they start in turn has to be within reach of
# unprivileged roles.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN = $$(realpath .venv)/bin
FUZZ_SECONDS ?= 180
RUNNER ?= direct

.PHONY: help setup demo test kernel-test kernel-matrix boot-lab boxes lab lab-quick mutation mutation-quick fuzz fuzz-quick lint fix \
  bench bench-quick docs proto lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: ## Install what is missing: Debian packages, system users, the environment
	@scripts/setup

demo: setup ## Show and verify what Bulkhead exists for, on real kernel events
	@scripts/as-root $(BIN)/bulkhead demo

test: ## Run all tests: unit, process, kernel and journeys
	@scripts/setup --for-tests
	@scripts/test $(PYTEST_ARGUMENTS)

kernel-test: setup ## Run the tests of the probes on this kernel
	@scripts/as-root $(BIN)/pytest tests/kernel $(PYTEST_ARGUMENTS)

kernel-matrix: ## Run them in virtual machines on Debian's kernels 5.10, 6.1 and 6.12
	@scripts/setup --for-vms
	@scripts/as-root $(BIN)/python -m lab.kernel_matrix --pytest-arguments="$(PYTEST_ARGUMENTS)"

boot-lab: ## Boot hosts with the sensor in virtual machines, and cut their power (BOOT_ARGUMENTS)
	@scripts/setup --for-vms
	@scripts/as-root $(BIN)/python -m lab.boot $(BOOT_ARGUMENTS)

lab: ## Put the interpreter of July 2024 at several places, break it, and report (RUNNER, LAB_ARGUMENTS)
	@scripts/setup --for-vms
	@scripts/as-root $(BIN)/python -m lab --runner $(RUNNER) $(LAB_ARGUMENTS)

lab-quick: ## The same for two faults and four placements
	@scripts/setup --for-vms
	@scripts/as-root $(BIN)/python -m lab --quick $(LAB_ARGUMENTS)

boxes: ## Make boxes for Vagrant from Debian packages (BOXES='debian-12' for some)
	@scripts/setup --for-vagrant
	@scripts/as-root $(BIN)/python -m lab.boxes $(BOXES)

mutation: setup ## Break the checks of validator and interpreter, and see that the tests notice
	@PYTHONHASHSEED=0 $(BIN)/python -m tests.mutation $(MUTATION_ARGUMENTS)

mutation-quick: setup ## The same for a fixed sample, as CI does
	@PYTHONHASHSEED=0 $(BIN)/python -m tests.mutation --quick

lint: setup ## Check style, types, import directions, the wire and generated files
	@scripts/lint

fix: setup ## Format, and mend what ruff can mend
	@$(BIN)/ruff check --fix . || true
	@$(BIN)/ruff format .

fuzz: setup ## Feed hostile input to what reads it (FUZZ_SECONDS for each target, 180)
	@scripts/as-root $(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

fuzz-quick: setup ## The same with a fixed number of tries from fixed seeds, as CI does
	@scripts/as-root $(BIN)/python -m tests.fuzz --quick

bench: ## Measure everything, and write the figures' pages
	@scripts/setup --for-bench --for-vms
	@scripts/bench

bench-quick: ## Measure everything briefly, as CI does
	@scripts/setup --for-bench
	@scripts/bench --quick

docs: setup ## Write the pages that are generated: figures, Template Types
	@scripts/docs

proto: setup ## Generate the wire's Python from its .proto files
	@scripts/proto

lock: setup ## Pin the dependencies of pyproject.toml (newest: scripts/lock --upgrade)
	@scripts/lock

clean: ## Remove everything made here, and prove that nothing is left running
	@scripts/clean
