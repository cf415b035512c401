# Everything runs in .venv, which these targets make. `make demo` and `make test` need python3 (3.11 or newer) and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo

.PHONY: demo test test-kernels test-faults lint types format check clean

demo: $(VENV)/run.stamp
	@echo "A network that comes with the package, at four widths, on images that it was not trained on:"
	$(BIN)/python -m awn_jax.predict --test-images=12 --weights=digits --width=0.25,0.5,0.75,1
	@echo
	@echo "Now one of your own, from nothing:"
	$(BIN)/python train.py --config=configs/lenet_digits.py --workdir=$(DEMO)
	@echo
	@echo "The curve: $(DEMO)/sweep.png. What to run next:"
	@echo "  $(BIN)/python eval_sweep.py --workdir=$(DEMO) --widths 0.25 0.5 1    # these widths only"
	@echo "  $(BIN)/python train.py --config=configs/lenet_fmnist.py              # Fashion-MNIST, prepared for TFDS"
	@echo "  docs/your_own.md                                                     # make your own network any-width"

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

# The GPU kernels in interpret mode, which needs Python 3.12 or newer: in an environment of its own, .venv-gpu.
test-kernels:
	tests/kernels/gpu_interpret.sh

# Faults made on purpose, in up to a quarter of an hour. KINDS="disk hosts" tries these kinds only.
test-faults: $(VENV)/dev.stamp
	$(BIN)/python -m tests.faults $(if $(KINDS),--only $(KINDS))

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# mypy finds `awn_kernels`, the installed name of the folder `kernels`, by a link.
types: $(VENV)/dev.stamp
	@mkdir -p $(VENV)/types && ln -sfn $(CURDIR)/kernels $(VENV)/types/awn_kernels
	MYPYPATH=$(VENV)/types $(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint types test test-kernels

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "awn_jax needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/run.stamp

clean:
	rm -rf $(VENV) .venv-gpu build *.egg-info .pytest_cache .ruff_cache .mypy_cache
