# One command each; every target makes the environment itself in .venv, from requirements.lock.
PY := .venv/bin/python
DEMO_ARGS ?=
TEST_ARGS ?=
E2E_ARGS ?=

.PHONY: help demo test check format bench e2e generate lock clean

help:
	@echo "make demo      run the main job: example service, sidecar, real traffic, live page (DEMO_ARGS=\"--for 20s\")"
	@echo "make test      format, lint, types, unit and integration tests (TEST_ARGS=\"-k bridge\")"
	@echo "make check     format, lint and types alone"
	@echo "make e2e       with the real Collector, Jaeger and Prometheus (needs Go), other FastAPIs and servers; made on first use"
	@echo "make bench     cost per request beside the stock instrumentor, memory of the sidecar"
	@echo "make generate  write the generated files from their one home"
	@echo "make lock      resolve requirements.lock anew (needs uv)"

.venv/.ready: requirements.lock pyproject.toml tools/venv.sh
	@sh tools/venv.sh

demo: .venv/.ready
	@$(PY) -m sidecar demo $(DEMO_ARGS)

check: .venv/.ready
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy

test: check
	$(PY) -m pytest -n 2 --dist loadgroup -m "not e2e and not compat" $(TEST_ARGS)

format: .venv/.ready
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

# The parts first: pytest would hide what a build of minutes is doing.
e2e: .venv/.ready
	@$(PY) -m tools.parts
	@$(PY) -m tests.compat.environments
	$(PY) -m pytest -m "e2e or compat" $(E2E_ARGS)

bench: .venv/.ready
	@$(PY) -m benchmarks

generate: .venv/.ready
	@$(PY) -m tools.generate

lock:
	uv pip compile --universal -p 3.11 --extra otlp --extra sidecar --extra examples --group dev \
		--generate-hashes --no-annotate --no-header -o requirements.lock pyproject.toml

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
