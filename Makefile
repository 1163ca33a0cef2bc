# The tree's verbs. Each sets up what it needs first; a second call finds everything done and starts at once.
#
#   make run     a pod from a loopback registry, step by step, and everything taken away again
#   make up      the same, but the daemon stays for hand work;  make down  ends it
#   make test    the test suite (what .ci/run calls)
#   make lint    the static tests alone     make bench  the benchmark     make build  bin/ and libexec/

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The system's interpreter by its full path: what a version manager puts first on PATH is not what a node has.
SYSTEM_PYTHON ?= /usr/bin/python3
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest

NATIVE := crio/host/native/_native.abi3.so
NATIVE_SOURCES := $(filter-out %/_native.c,$(wildcard crio/host/native/*.c crio/host/native/*.h)) crio/host/native/build.py
CONTRACT := crio/cri/api_pb2.py

.PHONY: build deps test-deps judges venv dev-venv conmon launchers run up down test bench lint clean distclean

build: venv conmon launchers $(NATIVE) $(CONTRACT)

deps:
	@hack/deps.sh run build

test-deps: deps
	@hack/deps.sh test

venv: deps
	@$(SYSTEM_PYTHON) hack/environment.py run build

dev-venv: deps
	@$(SYSTEM_PYTHON) hack/environment.py run build dev

conmon: venv
	@$(MAKE) -s -C conmon PYTHON=$(abspath $(PYTHON))

launchers: venv
	@$(PYTHON) -m hack.launchers

$(NATIVE): $(NATIVE_SOURCES) requirements/run.txt | venv
	@echo "==> $@" >&2
	@$(PYTHON) -m crio.host.native.build
	@touch $@

$(CONTRACT): crio/cri/api.proto requirements/build.txt | venv
	@echo "==> $@" >&2
	@$(PYTHON) -m grpc_tools.protoc -I . --python_out=. --pyi_out=. $<

run up down: build
	@$(PYTHON) -m hack.demo $@

# What is fetched and compiled once for the tests, before the first of them: their time is their own, and no network later.
judges: build test-deps dev-venv
	@$(PYTHON) -m test.support.gotools
	@$(PYTHON) -m test.images prepare

test: judges
	@$(PYTHON) -m test.lanes $(PYTEST_ARGS)

lint: build dev-venv
	@$(PYTEST) -q test/unit/house $(PYTEST_ARGS)

bench: build test-deps dev-venv
	@$(PYTHON) -m test.bench $(BENCH_ARGS)

clean:
	@$(MAKE) -s -C conmon clean
	@rm -rf bin libexec build crio/host/native/_native.abi3.so crio/host/native/_native.c
	@rm -f crio/cri/api_pb2.py crio/cri/api_pb2.pyi
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find crio hack test -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	@rm -rf .venv
