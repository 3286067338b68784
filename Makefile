PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The laws, and the folders and files whose tests train nothing and open no runtime.
FAST := $(wildcard $(addprefix tests/,test_laws.py test_mirror.py base decide document metrics spec \
	runtime/test_manifest.py runtime/test_statistics.py runtime/test_tensor_pb.py))

.PHONY: demo test check suite fast docs lint types clean

# The main job, from nothing: set up, build the built-in recipe for OpenVINO, print the table.
demo: $(VENV)/ready
	$(BIN)/edgekd build --target openvino --out dist/digits --overwrite

# Both at once: mypy without its cache takes a minute of one core. It fails where either of them does.
test: $(VENV)/ready
	$(MAKE) -j2 check suite

check: $(VENV)/ready
	$(BIN)/ruff check edgekd tests benchmarks docs
	$(BIN)/ruff format --check edgekd tests benchmarks docs
	$(BIN)/mypy

# Workers of one thread each: twice as fast on two cores as one of two threads. Three, since each waits for a program or
# for the clock now and then. The hundreds of programs that tests start read what is compiled already. Files come in
# their order (tests/conftest.py): else those of few tests, which build, would be the last.
suite: $(VENV)/ready
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=10

# The laws and the unit tests that are quick: in under a minute.
fast: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(FAST)

# Strict: a broken link, a missing anchor or a page that no one lists fails; with --quiet it would not.
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open build/docs/index.html"

lint: $(VENV)/ready
	$(BIN)/ruff check --fix edgekd tests benchmarks docs
	$(BIN)/ruff format edgekd tests benchmarks docs

types: $(VENV)/ready
	$(BIN)/mypy

# One environment for both, with the versions that are known to work.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,dev]'
	touch $@

$(VENV)/docs: $(VENV)/ready
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) dist build
