#!/bin/sh
# Pack the Functions app with all that it needs for Azure's Linux: deploy/package_functions.sh [output.zip]
# The default output is dist/functions.zip; the same content lies unpacked beside it, in dist/functions.
#
# Environment (all optional):
#   FUNCTIONS_PYTHON   the Python that the app will run on, default 3.13; any machine may pack for any of them
#   FUNCTIONS_ARCH     x86_64 (the default) or aarch64
#   PYTHON             the interpreter that packs, default .venv/bin/python, else python3
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
