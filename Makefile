# Ferry needs make, Python 3.11 or later and a network; everything else is installed into .venv.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTS := $(wildcard tests/unit tests/contract tests/integration)
# As it was typed: neither make nor the shell reads anything into the words.
override export MESSAGE := $(value MESSAGE)

.PHONY: help install demo up test faults test-batches test-compose scale chaos chaos-short soak bench bench-regression lint lock clean

help: ## this list
	@echo 'make TARGET'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## what all others need, into .venv; done again only when the requirements have changed

demo: $(INSTALLED) ## messages through the whole system, every one accounted for; make demo MESSAGE="hello"
	@$(BIN)/ferry demo -- $${MESSAGE:+"$$MESSAGE"}

up: $(INSTALLED) ## Kafka, Valkey, consumer, worker and beat on this machine, until Ctrl-C
	@$(BIN)/ferry up

test: $(INSTALLED) ## unit, contract and integration tests, on a real Kafka and a real Valkey
	@$(BIN)/pytest $(TESTS)

faults: $(INSTALLED) ## each fault a test of its own, two at a time: those that take no longer than 20 s
	@$(BIN)/pytest tests/faults -m "not long" -n 2 --dist loadfile

test-batches: $(INSTALLED) ## the integration and fault tests again, with batches of up to 100 messages
	@FERRY_TEST_BATCH_SIZE=100 $(BIN)/pytest tests/integration
	@FERRY_TEST_BATCH_SIZE=100 $(BIN)/pytest tests/faults -m "not long" -n 2 --dist loadfile

test-compose: $(INSTALLED) ## the containers, with Docker; the images are built first
	@$(BIN)/pytest tests/compose

scale: $(INSTALLED) ## the same way with 100,000 messages, kills and real logs; ten minutes
	@$(BIN)/pytest tests/scale -s

chaos: $(INSTALLED) ## faults: those that take long, then all kinds at random for ten minutes; SEED=7 SECONDS=120 RATE=500 BATCH=100
	@$(BIN)/pytest tests/faults -m long
	@$(BIN)/python -m tests.chaos mixture $(CHAOS_OPTIONS)

chaos-short: $(INSTALLED) ## faults at random for two minutes, twice: with a fixed seed and with a fresh one
	@$(BIN)/pytest tests/chaos -rP

soak: $(INSTALLED) ## twenty minutes with a fault a minute: does memory grow? SEED=7 SECONDS=600 RATE=300 BATCH=100
	@$(BIN)/python -m tests.chaos soak $(CHAOS_OPTIONS)

CHAOS_OPTIONS = $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RATE),--rate $(RATE)) $(if $(BATCH),--batch-size $(BATCH))

bench: $(INSTALLED) ## all measurements against peers, an hour or two; one of them: NAME=dispatch OUTPUT=folder
	@$(BIN)/python -m bench $(if $(NAME),$(NAME),all) --code --output $(if $(OUTPUT),$(OUTPUT),.ferry/bench)

bench-regression: $(INSTALLED) ## a minute: is dispatch still as far ahead of the usual loop, as close to the limit?
	@$(BIN)/python -m bench regression

lint: $(INSTALLED) ## format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

lock: $(INSTALLED) ## the newest versions of all requirements, with hashes; needs uv, which it installs
	@$(PIP) install uv
	@for part in producer consumer worker; do $(LOCK) --extra $$part -o requirements/$$part.txt || exit 1; done
	@$(LOCK) --extra local --extra json-schema --group dev -o requirements/dev.txt
	@! grep -nE '://|file:|^-' requirements/*.txt || { echo 'a requirements file names a place' >&2; exit 1; }

LOCK = UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --no-config --upgrade --universal \
	--python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml

clean: ## remove .venv and the data of make demo and make up
	rm -rf $(VENV) .ferry

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Ferry needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) --version 2>&1 || true)." >&2; \
		echo "Install one, or name one that is there: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo 'installing Ferry and what it needs into $(VENV) (once) ...' >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
