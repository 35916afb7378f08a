# Each target makes the environment that it needs. `make demo` prints the path of the report as its last line.
PYTHON ?= python3
BENCH_FLAGS ?=
BIN := .venv/bin
READY := .venv/.complete

.PHONY: demo test test-slow check bench clean env

demo: $(READY)
	@$(BIN)/bindscope demo

test: $(READY)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(READY)
	@$(BIN)/python -m pytest -m slow

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --doctest-modules src

bench: $(READY)
	@for program in benchmarks/bench_*.py; do $(BIN)/python $$program $(BENCH_FLAGS) || exit 1; done

env: $(READY)

# The stamp is written last. Without it the environment is a torn one (or none) and is made anew; with it, but older
# than what it was made from, the installation is brought up to date in place. All output goes to stderr.
$(READY): pyproject.toml constraints.txt
	@echo "setting up .venv (a few minutes the first time) ..." >&2
	@[ -e $@ ] || $(PYTHON) -m venv --clear .venv >&2
	@rm -f $@
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[all,dev]' >&2
	@touch $@

clean:
	@rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
