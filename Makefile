# Everything starts from a bare Python 3.11+: each target makes .venv itself, from the lock files.
PYTHON ?= python3
export DESTDIR EXTRAS PREFIX SYSCONFDIR UNITDIR SYSUSERSDIR TMPFILESDIR
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help demo test check lint chaos mutants bench soak run install deb uninstall lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(VENV)/run.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "reevd needs Python 3.11 or newer: try make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q reevd runner  # as pip does for what it copies: else each start may compile anew
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.lock
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/run.stamp  ## Run the four cases against a fresh daemon and print what it saw
	@$(BIN)/python -m tests.demo

test: $(VENV)/dev.stamp  ## Run the tests
	@$(BIN)/python -m pytest -n 4 --dist worksteal

lint: $(VENV)/dev.stamp  ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

check: lint test  ## lint + test

chaos: $(VENV)/dev.stamp  ## 50,000 schedules of crashes and torn files, 20,000 failures of the disk; about an hour
	@$(BIN)/python -m tests.chaos --schedules 50000 --jobs $$((2 * $$(nproc)))
	@$(BIN)/python -m tests.faults --faults 20000 --jobs $$(nproc)

mutants: $(VENV)/dev.stamp  ## Break the engine on purpose, one way after another, and see that the tests notice
	@$(BIN)/python -m tests.mutants

bench: $(VENV)/dev.stamp  ## Speed, as ratios against floors and peers measured in the same run
	@$(BIN)/python -m tests.perf

soak: $(VENV)/dev.stamp  ## An hour of runs that come and go; memory, descriptors, log
	@$(BIN)/python -m tests.perf.soak --minutes 60

run: $(VENV)/run.stamp  ## The daemon in the foreground
	@exec $(BIN)/reevd

install:  ## On this host, with systemd (as root); or below DESTDIR, for a package
	@systemd/install.sh program host $(if $(DESTDIR),,activate)

deb:  ## A Debian package of it, in build/
	@systemd/deb.sh

uninstall:  ## Remove it from this host; results and settings stay
	@systemd/install.sh remove

lock: $(VENV)/dev.stamp  ## Write both lock files anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--no-emit-find-links --python-version 3.11 --group build --output-file requirements.lock pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--no-emit-find-links --python-version 3.11 --extra dev --group build --output-file requirements-dev.lock pyproject.toml

clean:  ## Remove the virtual environment and caches
	@rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
