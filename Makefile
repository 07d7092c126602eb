# One word runs everything. `make demo` and `make test` work on a fresh machine with git, make and Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8080
# make torture: SEED is drawn when left out.
SEED ?=
KILLS ?= 2000
# make load: how long readers act on each database.
SECONDS ?= 120
# Tests wait for servers and programs half of the time: half as many again as there are cores.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(2, (os.cpu_count() or 1) * 3 // 2))')
DATABASE ?= both

# make test-browser HEADED=1: the journeys in a window, slowly enough to watch.
HEADED ?=
# make lambda: the zip for AWS, of the policy in this folder
POLICY ?= my-list
ARCH ?= arm64

.PHONY: lambda demo test test-browser torture load lint bench bench-full pins clean

.venv/run.stamp: pins/run.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing Consent Bridge into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r pins/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/test.stamp: .venv/run.stamp pins/test.txt pins/lambda.txt package-lock.json
	@echo "installing what the tests need into .venv ..."
	@$(BIN)/python scripts/osls.py & \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r pins/test.txt \
	  && $(BIN)/python scripts/chromium.py; told=$$?; wait; exit $$told
	@touch $@

lambda: .venv/run.stamp
	@$(BIN)/python scripts/lambda_zip.py --policy $(POLICY) --arch $(ARCH)

demo: .venv/run.stamp
	@$(BIN)/consent-bridge demo --port $(PORT)

# Programs that tests start, and the tests as pytest reads them, are compiled once and not by each: also where Python is
# told to write no such files. Meanwhile the code is looked through.
test: .venv/test.stamp
	@$(BIN)/python -m compileall -q -x '/test_[^/]*$$' bridge adapters bench tests
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 & \
	  $(MAKE) --no-print-directory lint; told=$$?; wait; exit $$told
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-browser: .venv/test.stamp
	@$(if $(HEADED),$(BIN)/python scripts/chromium.py --to-watch)
	@HEADED=$(HEADED) $(BIN)/python -m pytest -m "browser$(if $(HEADED), and not gallery)"

torture: .venv/test.stamp
	@$(BIN)/python -m tests.torture --kills $(KILLS) --database $(DATABASE) $(if $(SEED),--seed $(SEED))

load: .venv/test.stamp
	@$(BIN)/python -m tests.load --seconds $(SECONDS) --database $(DATABASE) $(if $(SEED),--seed $(SEED))

lint: .venv/test.stamp
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/test.stamp
	@$(BIN)/python -m bench

bench-full: .venv/test.stamp
	@$(BIN)/python -m bench --full

pins:
	@scripts/pin

clean:
	rm -rf .venv node_modules .serverless build dist demo-data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
