# Everything runs in .venv, made from the lock file. Needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.made-from-lock

# Where bytecode is not kept, each of some hundred processes that the tests start compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help quick deep opinion soak compiled dist pure mutants simulate demo run test check style audit crash attack bench format drawing pictures lock clean

help:  ## what can be made
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)  ## the main job, end to end, then exit
	$(BIN)/pertoken demo

run: $(STAMP)  ## the demo's gateway and provider, kept up
	$(BIN)/pertoken demo --keep

# Each of two processes begins with one half of the tests, in order, and takes of the other's when it is done.
PYTEST := $(BIN)/pytest -n 2 --dist worksteal

test: $(STAMP) check  ## every check and every test
	$(PYTEST)

deep: $(STAMP)  ## what `make test` tries a few times, as often as CI does: properties, requests, attacks, crashes
	DEEP=1 $(PYTEST) -m "hypothesis or deep"

UNITS := tests/core tests/wire tests/services tests/test_settings.py tests/counting tests/catalogs tests/cli

quick: style  ## for daily work, in under a minute: style, types, architecture and the unit tests
	$(BIN)/pytest -n 2 --hypothesis-profile=quick $(UNITS)

check: style audit  ## style, types, architecture, known vulnerabilities

style: $(STAMP)  ## style, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(STAMP)  ## are there known vulnerabilities in what requirements.lock pins?
	$(BIN)/python .ci/audit.py

opinion: $(STAMP)  ## our prices beside LiteLLM's list: which differ, and is each decided?
	$(BIN)/python .ci/second_opinion.py

KILLS ?= 200
SEED ?=

crash: $(STAMP)  ## kills and damage, the long way: make crash KILLS=200 SEED=7
	CRASH_KILLS=$(KILLS) CRASH_SEED=$(SEED) CRASH_COPIES=100 $(BIN)/pytest tests/crash tests/store/test_archiving.py -s

simulate: $(STAMP)  ## whole runs in virtual time with a failing store: make simulate SEEDS=1000
	SIMULATE_FIRST=$(or $(SIMULATE_FIRST),1) SIMULATE_SEEDS=$(or $(SEEDS),30) SIMULATE_POINTS=$(or $(POINTS),5) \
		$(BIN)/pytest tests/simulation -n 2

mutants: $(STAMP)  ## deliberate mistakes, each found by a test: make mutants MUTANTS=name,name EVERY=1
	MUTANTS=$(MUTANTS) EVERY=$(EVERY) $(BIN)/python -m tests.mutants.run

attack: $(STAMP)  ## 5,000 calls from 500 connections against 1 USD
	ATTACK=full $(BIN)/pytest tests/attack -s

soak: $(STAMP)  ## 15 minutes of mixed traffic, flat to the end: make soak, or make soak CALLS=1000000
	SOAK_SECONDS=$(or $(SOAK_SECONDS),900) SOAK_CALLS=$(CALLS) $(BIN)/pytest tests/soak -s

bench: compiled  ## pertoken beside its peers on this machine; BENCH="--quick --without-peers" is shorter
	$(BIN)/python bench/run.py $(BENCH)

COMPILE := HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(BIN)/hatchling build --target wheel

compiled: $(STAMP)  ## the hot modules as C, beside their source: needs a C compiler; undone by `make pure`
	$(COMPILE) --hooks-only

# The platform tag is auditwheel's to give: it reads which system functions the modules need.
dist: $(STAMP)  ## what is released: sdist, a wheel for every machine, a compiled one for this Python on Linux
	rm -rf dist
	$(BIN)/hatchling build --target sdist --target wheel
	$(COMPILE) --directory dist/local
	PATH="$(CURDIR)/$(BIN):$$PATH" auditwheel repair --strip --plat manylinux2014_x86_64 --wheel-dir dist dist/local/*.whl
	rm -r dist/local

pure:  ## Python alone
	find src -name '*.so' -delete

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

drawing: $(STAMP)  ## the house in docs/ARCHITECTURE.md, drawn from what imports what
	$(BIN)/python .ci/drawing.py

pictures: $(STAMP)  ## the pictures of docs/pictures, from the demo's pages (needs chromium)
	$(BIN)/python .ci/pictures.py

lock:  ## pin the newest versions that pyproject.toml allows (needs uv)
	uv pip compile pyproject.toml --all-extras --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --no-header --upgrade -o requirements.lock

clean:
	rm -rf .venv dist

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)
