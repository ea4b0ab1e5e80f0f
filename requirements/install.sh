#!/bin/sh
# Make .venv and install requirements/<name>.txt and this package into it: requirements/install.sh run|dev
# Every file is checked against its hash, none is built from source, and the lists are complete (--no-deps).
# PYTHON chooses another interpreter.
set -eu
cd "$(dirname "$0")/.."
name="$1"
venv=.venv
py="$venv/bin/python"

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python3.14}; do
        if recent "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "setup: Python 3.11 or newer is needed, found: $(python3 --version 2>&1 || echo none)." >&2
    echo "       Debian: apt install python3 python3-venv · macOS: brew install python@3.13 · or set PYTHON to its path." >&2
    return 1
}

make_venv() {
    python="$(find_python)"
    rm -rf "$venv"
    echo "setup: .venv with $("$python" --version)"
    if "$python" -m venv "$venv" >/dev/null 2>&1; then
        return
    fi
    # Debian without python3-venv has no ensurepip: an empty environment, and pip from another place.
    if "$python" -m venv --without-pip "$venv" >/dev/null 2>&1; then
        if "$python" -m pip --python "$py" install -qq --require-hashes -r requirements/pip.txt; then
            return
        fi
    fi
    rm -rf "$venv"
    if "$python" -m virtualenv --quiet "$venv" 2>/dev/null; then
        return
    fi
    if command -v uv >/dev/null && uv venv --quiet --seed --python "$python" "$venv"; then
        return
    fi
    rm -rf "$venv"
    echo "setup: $python can't make a virtual environment." >&2
    echo "       Debian: apt install python3-venv (or python3-pip, which is enough); then run make again." >&2
    return 1
}

if ! { recent "$py" && "$py" -m pip --version >/dev/null 2>&1; }; then
    make_venv
fi

# Byte code is written now: where PYTHONDONTWRITEBYTECODE is set, each start would compile pandas and others again.
pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 "$py" -m pip install -qq "$@"; }
echo "setup: installing requirements/$name.txt (the first time takes a minute)"
pip --require-hashes --no-deps --only-binary :all: -r "requirements/$name.txt"
pip --no-deps --no-build-isolation --editable .
