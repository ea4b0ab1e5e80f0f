#!/bin/sh
# Package the Functions app with its dependencies for Azure's Linux: deploy/package_functions.sh [output.zip]
# The default output is dist/functions.zip; dist/functions holds the same content unpacked.
#
# Environment (all optional):
#   FUNCTIONS_PYTHON   the Python version of the app, default 3.13; any machine can package for any version
#   FUNCTIONS_ARCH     x86_64 (the default) or aarch64
#   PYTHON             the interpreter that runs the packaging, default .venv/bin/python, else python3
set -eu
case "${1:-}" in
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "package: unknown argument $1; see --help" >&2; exit 2 ;;
esac
case "${1:-dist/functions.zip}" in
    /*) output="$1" ;;
    *) output="$PWD/${1:-dist/functions.zip}" ;;
esac
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
    if [ -x .venv/bin/python ]; then PYTHON="$PWD/.venv/bin/python"; else PYTHON=python3; fi
fi
exec "$PYTHON" deploy/functions_package.py "$output"
