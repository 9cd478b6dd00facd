# Streamwatch. `make demo` shows it, `make test` checks it; README.md explains the rest.
# Python 3.11 or newer and GNU make are all that must be there; PYTHON=/path/to/python3 chooses one.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
RUN := $(VENV)/bin/python
ARGS ?=

# A stamp says which lock file the environment was filled from, so that a second call is instant.
BASE := $(VENV)/.stamp-base
ALL := $(VENV)/.stamp-all

# uv where it works, else pip; both refuse whatever has not the hash that the lock file names.
INSTALL = if uv --version >/dev/null 2>&1; then \
		uv pip install --quiet --compile-bytecode --python $(RUN) --require-hashes -r $(1); \
	else \
		{ $(RUN) -m pip --version >/dev/null 2>&1 || $(RUN) -m ensurepip --upgrade >/dev/null; } && \
		$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1); \
	fi

.PHONY: help .venv demo test lint bench chaos dlq-consumer --ack lock clean

help:
	@echo "make demo          Slack, Google Cloud and an outage on this machine   ARGS=\"--exit\" tells the story by itself"
	@echo "make test          every test                                         ARGS=\"-k words\" goes to pytest"
	@echo "make lint          ruff, mypy --strict, the import walls"
	@echo "make bench         measurements of the intake, beside others"
	@echo "make chaos         replicas under attack, with figures                 ARGS=\"--minutes 10\" for so long on each database"
	@echo "make dlq-consumer  look into the dead-letter queue; \`make dlq-consumer -- --ack\` deletes after review"
	@echo "make .venv         only install"
	@echo "make lock          resolve both lock files again                      ARGS=\"--upgrade\" takes newer versions"

$(BASE): requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3." >&2; exit 1; }
	@$(RUN) -c '' 2>/dev/null || { rm -rf $(VENV) && \
		if uv --version >/dev/null 2>&1; then uv venv --quiet --python "$(PYTHON)" $(VENV); \
		else "$(PYTHON)" -m venv $(VENV); fi; }
	@echo "Installing what the bot needs ..."
	@$(call INSTALL,requirements.lock)
	@touch $@

$(ALL): requirements-dev.lock $(BASE)
	@echo "Installing Apache Beam and what the tests need ..."
	@$(call INSTALL,requirements-dev.lock)
	@touch $@

.venv: $(ALL)

demo: $(BASE)
	@$(RUN) -m bot demo $(ARGS)

test: $(ALL)
	$(RUN) -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(ALL)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy --strict
	$(VENV)/bin/lint-imports

bench: $(ALL)
	$(RUN) -m tests.bench $(ARGS)

# The figures of two replicas under attack; unless told for how long, then also the attacks of the tests in their long form.
CHAOS_MINUTES ?= 2
CHAOS = tests/faults $(wildcard $(foreach kind,storm kill order slack_faults,tests/e2e/test_$(kind)*.py) \
	tests/integration/intake/test_kill*.py)
chaos: $(ALL)
	$(RUN) -m tests.faults.chaos --minutes $(CHAOS_MINUTES) $(ARGS)
	$(if $(ARGS)$(filter command line environment,$(origin CHAOS_MINUTES)),,STREAMWATCH_LONG=1 $(RUN) -m pytest $(CHAOS))

# An option after `--` reaches make as a goal: the operations document calls this `make dlq-consumer -- --ack`.
dlq-consumer: $(BASE)
	@$(RUN) -m pipeline dlq $(if $(filter --ack,$(MAKECMDGOALS)),ack,peek) $(ARGS)

--ack:
	@$(if $(filter dlq-consumer,$(MAKECMDGOALS)),:,echo "Say: make dlq-consumer -- --ack" >&2; exit 2)

# One resolution for every platform; the bot's own lock may only choose what the whole one chose.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock:
	$(COMPILE) pyproject.toml --extra dev --output-file requirements-dev.lock $(ARGS)
	$(COMPILE) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build
