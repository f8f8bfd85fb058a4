# Everything happens in .venv, which is made on first use from the pinned set in constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test lint wheel bench clean

$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[local]"
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group test --group trainers
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group lint
	touch $@

demo: $(VENV)/.run  ## make the environment, run the main job, print where its result is
	$(BIN)/gristmill demo -o runs/demo

test: $(VENV)/.test  ## every test, in random order, warnings as errors
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.lint  ## format, rules, types, layers, dependencies, dead code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/vulture

wheel: $(VENV)/.test  ## build the wheel, and run its tests where the source tree is not
	rm -rf dist .venv-wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-wheel/bin/python -m pip install --quiet --constraint constraints.txt "$$(echo dist/*.whl)[local]" --group test
	sh tools/test_wheel.sh .venv-wheel
	sh tools/fresh_install.sh dist/*.whl

bench: $(VENV)/.test  ## figures, each beside a floor measured in the same run
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .venv-wheel dist runs
