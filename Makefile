.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SERVICES := agent_memory_service chat_service
TUTORIAL_DIR ?= ../shared/tutorial
export TUTORIAL_DIR
PIN := uv pip compile --quiet --universal --extra tracing --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# .venv/ready holds the folder that .venv was made in: its commands name that folder, and work nowhere else.
.PHONY: setup
setup: .venv/ready ## install everything into .venv
	@made=$$(cat .venv/ready); here=$$(cd -P .venv && pwd); test -z "$$made" || test "$$made" = "$$here" || { \
		echo "make: .venv was made as $$made and does not work as $$here: run rm -r .venv, then make setup" >&2; exit 1; }

.venv/ready: requirements.txt local_sidecar/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.11 setup")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e local_sidecar
	@(cd -P .venv && pwd) >$@

.PHONY: run run-dapr run-local
run: setup ## start both services, with Dapr if it is installed (STORE=sqlite: the store of components/sqlite)
	@$(BIN)/python -S start.py auto $(STORE)
run-dapr: setup ## start both services with Dapr and Redis
	@$(BIN)/python -S start.py dapr $(STORE)
run-local: setup ## start both services with the local sidecar
	@$(BIN)/python -S start.py local $(STORE)

.PHONY: check
check: setup ## check lint, format and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy start.py launcher
	@for folder in $(SERVICES) local_sidecar harness tests bench; do \
		echo "mypy $$folder"; (cd $$folder && ../$(BIN)/mypy --config-file ../pyproject.toml .) || exit 1; \
	done

.PHONY: format
format: setup ## format the code and fix its lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

TESTED := tests chat_service agent_memory_service local_sidecar
.PHONY: test $(TESTED:%=test-of-%)
test: setup ## run the tests of each service and of the whole system, two folders at a time; two minutes
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(TESTED:%=test-of-%)
$(TESTED:%=test-of-%): test-of-%:
	@echo "pytest $*"; cd $* && ../$(BIN)/python -m pytest -q -rs

.PHONY: test-slow slow-of-the-system slow-of-the-rest
test-slow: setup ## run the slow tests: make run-local end to end, kill -9 of every part, the page, requests from OpenAPI
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target slow-of-the-system slow-of-the-rest
slow-of-the-system:
	@cd tests && ../$(BIN)/python -m pytest -q -rs -m slow --ignore test_interrupted_deletion.py
slow-of-the-rest: # and minutes of waiting until what was interrupted is due
	@for folder in $(SERVICES); do \
		(cd $$folder && ../$(BIN)/python -m pytest -q -rs -m "slow or hypothesis" --hypothesis-profile thorough) || exit 1; \
	done
	@cd local_sidecar && ../$(BIN)/python -m pytest -q -rs -m slow
	@cd tests && ../$(BIN)/python -m pytest -q -rs -m slow test_interrupted_deletion.py

.PHONY: bench
bench: setup ## measure a turn, and the tutorial's (QUICK=1: less; DAPR=1: with Dapr's sidecars)
	$(BIN)/python -m bench

.PHONY: lock
lock: ## pin the packages of all pyproject.toml files again (needs uv)
	$(PIN) --group dev $(addsuffix /pyproject.toml,$(SERVICES) local_sidecar) -o requirements.txt
	$(PIN) --constraints requirements.txt chat_service/pyproject.toml -o requirements-chat-service.txt
	$(PIN) --constraints requirements.txt agent_memory_service/pyproject.toml -o requirements-agent-memory-service.txt
