#!/bin/sh
# Run the reader's tests on the oldest versions that the package allows: requirements/lowest.sh [pytest's arguments]
# The versions are those of requirements/lowest.txt, which `make lock` resolves from the bounds in pyproject.toml. They
# have wheels for Python 3.11 only. The tests of the pipeline are not among them: it is installed with newer bounds.
set -eu
cd "$(dirname "$0")/.."
pip="$PWD/.venv/bin/python -m pip"
home=.venv/lowest
python=""
for candidate in .venv/bin/python python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python="$candidate" && break; fi
done
[ -n "$python" ] || { echo "lowest: Python 3.11 is needed" >&2; exit 2; }
if ! [ "$home/.done" -nt requirements/lowest.txt ]; then
    rm -rf "$home"
    echo "lowest: installing requirements/lowest.txt"
    "$python" -m venv --without-pip "$home"
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    $pip --python "$home/bin/python" install -qq --require-hashes --no-deps --only-binary :all: -r requirements/lowest.txt
    $pip --python "$home/bin/python" install -qq --no-deps --no-build-isolation --editable .
    touch "$home/.done"
fi
# The conftest.py of all tests starts servers of the pipeline; warnings of old versions are no errors.
exec "$home/bin/python" -m pytest -c pyproject.toml --confcutdir=tests/reader -p no:cacheprovider -o filterwarnings= \
    -o addopts="-q --strict-markers --import-mode=importlib" --ignore=tests/reader/test_minutes.py tests/reader "$@"
