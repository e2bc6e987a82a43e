.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SERVICES := agent_memory_service chat_service
TUTORIAL_DIR ?= ../shared/tutorial
export TUTORIAL_DIR
PIN := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: .venv/ready ## install what is needed into .venv

.venv/ready: requirements.txt local_sidecar/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.11 setup")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e local_sidecar
	@touch $@

.PHONY: run run-dapr run-local
run: setup ## start both services, with Dapr where it is installed
	@$(BIN)/python start.py auto
run-dapr: setup ## start them with Dapr and Redis
	@$(BIN)/python start.py dapr
run-local: setup ## start them with the local sidecar
	@$(BIN)/python start.py local

.PHONY: check
check: setup ## lint, format, strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@for folder in $(SERVICES) local_sidecar tests bench; do \
		echo "mypy $$folder"; (cd $$folder && ../$(BIN)/mypy --config-file ../pyproject.toml .) || exit 1; \
	done

.PHONY: format
format: setup ## rewrite the code as `check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: test
test: setup ## the tests of each service, then of the whole system; two minutes
	@for folder in $(SERVICES) local_sidecar tests; do \
		echo "pytest $$folder"; (cd $$folder && ../$(BIN)/python -m pytest -q -rs -m "not slow") || exit 1; \
	done

.PHONY: test-slow
test-slow: setup ## the long ones: make run-local end to end, kill -9 of every part, requests drawn from OpenAPI
	cd tests && ../$(BIN)/python -m pytest -q -rs -m slow

.PHONY: bench
bench: setup ## what a turn costs, beside the tutorial's own code (QUICK=1: less; DAPR=1: on real Dapr)
	$(BIN)/python -m bench

.PHONY: lock
lock: ## pin again what the pyproject.toml files ask for (needs uv)
	$(PIN) --group dev $(addsuffix /pyproject.toml,$(SERVICES) local_sidecar) -o requirements.txt
	$(PIN) --constraints requirements.txt chat_service/pyproject.toml -o requirements-chat-service.txt
	$(PIN) --constraints requirements.txt agent_memory_service/pyproject.toml -o requirements-agent-memory-service.txt
