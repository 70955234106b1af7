#!/bin/sh
# Makes .venv with the locked packages, so that every make target works on a machine that has only Python.
# uv where it is present; else venv + pip. Says what is missing where neither can work.
set -eu
cd "$(dirname "$0")/.."

find_python() {
    for name in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3 python; do
        [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 || continue
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

python=$(find_python) || {
    echo "otel-sidecar needs Python 3.11 or newer on the PATH (or PYTHON=/path/to/python make ...)" >&2
    exit 2
}

rm -f .venv/.ready
echo "Setting up .venv with $("$python" --version) (once; later runs start at once) ..."
if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv
    uv pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes requirements.lock
    uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
else
    # An environment that uv made has no pip: it gets one rather than being thrown away.
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1 && ! .venv/bin/python -m ensurepip >/dev/null 2>&1; then
        rm -rf .venv
        if ! "$python" -m venv .venv >/dev/null 2>&1; then
            # Debian splits venv's pip off into a package of its own; the system's pip can serve a venv too.
            rm -rf .venv
            "$python" -m venv --without-pip .venv
            "$python" -m pip --python .venv/bin/python install --quiet pip 2>/dev/null || {
                echo "$python can make no environment with pip: install uv, or your system's venv package" >&2
                echo "(Debian, Ubuntu: apt-get install python3-venv)" >&2
                exit 2
            }
        fi
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
touch .venv/.ready
