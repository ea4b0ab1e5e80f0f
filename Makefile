# Everything here needs only make and Python 3.11 or newer; each target sets up what it needs in .venv.
PY := .venv/bin/python
DATA ?=
ARGS ?=
# Several processes, each with servers of its own; `make test ARGS="-n 0"` runs the tests one after the other.
TESTS := pytest -n auto --dist loadgroup
# Byte code is kept wherever this is set: tests start hundreds of processes, and each would compile everything again.
export PYTHONDONTWRITEBYTECODE :=
# .venv/.run and .venv/.dev record what was installed last; both are older than a file that changed.
PINS := pyproject.toml requirements/install.sh requirements/run.txt

# A virtual environment does not survive a move of its folder.
ifneq ($(shell cat .venv/.where 2>/dev/null),$(CURDIR))
$(shell rm -rf .venv)
endif

.PHONY: help demo test coverage check prove lowest bench docs reference lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## */	/' | expand -t 10

demo: .venv/.run  ## the whole system on this machine; DATA=path uses recorded market data from there
	.venv/bin/quantx demo $(if $(DATA),--data "$(DATA)") $(ARGS)

test: .venv/.dev .venv/.azurite .venv/.axe .venv/.aws .venv/.spark .venv/.azureml  ## the tests; ARGS passes on to pytest: ARGS="-k symbols", ARGS="-m 'not slow'" (the quick loop)
	$(PY) -m $(TESTS) $(ARGS)

coverage: .venv/.dev .venv/.azurite .venv/.axe .venv/.aws .venv/.spark .venv/.azureml  ## the tests with branch coverage, also of other processes, into build/coverage
	$(PY) -m coverage erase
	@failed=0; $(PY) -m coverage run -m $(TESTS) $(ARGS) || failed=$$?; \
	$(PY) -m coverage combine --quiet && $(PY) -m coverage json --quiet && $(PY) -m coverage html --quiet && \
	$(PY) -m coverage report && exit $$failed

check: .venv/.dev .venv/.site  ## lint, format, types, layers, documentation and its site
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@if [ -d tests/docs ]; then echo $(PY) -m pytest tests/docs && $(PY) -m pytest tests/docs; fi

prove: .venv/.dev  ## what needs big tools (checkov, azure-cli, buildah): templates, deploy script, workflows, container
	sh requirements/prove.sh
	sh requirements/libraries.sh
	$(PY) -m pytest tests/prove -rs $(ARGS)
	FLIPS=400 $(PY) -m pytest tests/pipeline/verifying/test_flips.py -n 2 $(ARGS)
	CLEAN_FILES=all $(PY) -m pytest tests/core/quality/test_recorded_defects.py $(ARGS)

lowest: .venv/.dev  ## the reader's tests on the oldest versions of Polars, deltalake, pandas and others that are allowed
	sh requirements/lowest.sh $(ARGS)

bench: .venv/.dev .venv/.azurite .venv/.arctic .venv/.databento .venv/.spark  ## the measurements, into docs/benchmarks.md; ARGS="b1 --quick" shows some of them
	$(PY) -m benchmarks $(or $(ARGS),--write)

docs: .venv/.site  ## serve the site of the documentation on http://127.0.0.1:8000
	NO_MKDOCS_2_WARNING=1 .venv/site/bin/mkdocs serve $(ARGS)

reference: .venv/.dev  ## write docs/reference from the program
	$(PY) docs/generate.py

lock:  ## pin the dependencies again (needs uv); ARGS=--upgrade takes the newest
	sh requirements/lock.sh $(ARGS)

clean:  ## remove the environment, caches and what was built (not data/)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find src tests benchmarks docs azure_functions container -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run: $(PINS)
	@sh requirements/install.sh run
	@echo "$(CURDIR)" > .venv/.where
	@touch $@

.venv/.dev: $(PINS) requirements/dev.txt
	@sh requirements/install.sh dev
	@echo "$(CURDIR)" > .venv/.where
	@touch .venv/.run $@

# Not made where npm is not available; the next run tries again.
.venv/.azurite: requirements/azurite.sh requirements/npm.sh requirements/node.txt requirements/azurite/package-lock.json | .venv/.dev
	@sh requirements/azurite.sh

# Not made where the registry of packages has not all of it; the next run tries again.
.venv/.site: requirements/site.sh requirements/site.txt | .venv/.dev
	@sh requirements/site.sh

# Not made where npm is not available; the next run tries again.
.venv/.axe: requirements/axe.sh requirements/npm.sh requirements/node.txt requirements/axe/package-lock.json | .venv/.dev
	@sh requirements/axe.sh

.venv/.aws: requirements/aws.sh requirements/aws.txt | .venv/.dev
	@sh requirements/aws.sh
.venv/.spark: requirements/spark.sh requirements/sail.txt requirements/spark.txt | .venv/.dev
	@sh requirements/spark.sh
.venv/.azureml: requirements/azureml.sh requirements/azureml.txt | .venv/.dev
	@sh requirements/azureml.sh
.venv/.arctic: requirements/arctic.sh requirements/arctic.txt | .venv/.dev
	@sh requirements/arctic.sh
.venv/.databento: requirements/databento.sh requirements/databento.txt | .venv/.dev
	@sh requirements/databento.sh
