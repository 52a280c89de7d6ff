PYTHON ?= python3
# More arguments for pip, such as where to find a CPU build of torch.
PIP_FLAGS ?=
# A folder of photos for the demo instead of its samples.
PHOTOS ?=

# Bytecode is written when a module is first imported; compiling every package here took most of the
# time of an installation.
INSTALL = -m pip install --quiet --no-compile --disable-pip-version-check \
	-c constraints.txt $(PIP_FLAGS)
# Test processes: one more than two cores have, since many tests wait. The tests of one file stay
# together and share its fixtures.
WORKERS ?= 3
# Seconds for each fuzz target, and which targets; empty: all.
SECONDS ?= 600
TARGETS ?=
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' -not -path '*.egg-info/*')

.DEFAULT_GOAL := help
.PHONY: help demo serve-demo test test-slow fuzz lint docs dist clean python

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: .venv-demo/.installed ## index sample photos (PHOTOS=folder: your own) and search them
	.venv-demo/bin/python scripts/demo.py --to demo $(if $(PHOTOS),--photos "$(PHOTOS)")

serve-demo: .venv-demo/.serves ## the same, and a page to search them in the browser
	.venv-demo/bin/python scripts/demo.py --to demo --serve $(if $(PHOTOS),--photos "$(PHOTOS)")

test: lint ## lint, types, import contracts and the fast tests
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m "not slow" --numprocesses $(WORKERS) --dist loadfile

test-slow: .venv/.installed ## the tests that take more than a few seconds each
	.venv/bin/python -m pytest -m slow

fuzz: .venv/.fuzzes ## fuzz every boundary for SECONDS=600 (TARGETS="photo exif": only these)
	.venv/bin/python -m tests.fuzz --seconds $(SECONDS) $(TARGETS)

lint: .venv/.installed ## ruff, mypy and import-linter
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

docs: .venv-docs/.installed ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet

dist: .venv/.installed ## a wheel and a source distribution, in dist/
	rm -rf build dist
	.venv/bin/python -m build --outdir dist

clean: ## remove the virtual environments, what was built, the demo and all caches
	rm -rf .venv .venv-docs .venv-demo demo build dist site src/*.egg-info
	rm -rf .fuzz .pytest_cache .mypy_cache .ruff_cache .hypothesis .grimp_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "hgan needs Python 3.11 or newer, and '$(PYTHON)' is not:" \
			"name one that is, as in  make PYTHON=python3.12 ..." >&2; exit 1; }

# Everything, editable: for development.
.venv/.installed: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python $(INSTALL) pip
	.venv/bin/python $(INSTALL) -e '.[train,dev]'
	@touch $@

.venv/.fuzzes: .venv/.installed
	.venv/bin/python $(INSTALL) -e '.[fuzz]'
	@touch $@

.venv-docs/.installed: pyproject.toml constraints.txt | python
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python $(INSTALL) -e '.[docs]'
	@touch $@

# As a user installs it: the runtime alone, without torch. Of scikit-image only the photos are used,
# so what it depends on stays away.
.venv-demo/.installed: pyproject.toml constraints.txt $(SOURCES) | python
	test -x .venv-demo/bin/python || $(PYTHON) -m venv .venv-demo
	rm -rf build
	.venv-demo/bin/python $(INSTALL) .
	.venv-demo/bin/python $(INSTALL) --no-deps scikit-image
	@touch $@

.venv-demo/.serves: .venv-demo/.installed
	.venv-demo/bin/python $(INSTALL) '.[serve]'
	@touch $@
